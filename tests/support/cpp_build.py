"""The C++ programs, built once for all tests."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.runs import PROJECT


@pytest.fixture(scope="session")
def cpp_programs(tmp_path_factory) -> Path:
    """Folder with `digits` (on our fake of the SDK) and `locator/locate`, warnings being errors."""
    if not shutil.which("cmake") or not shutil.which("g++"):
        pytest.skip("needs the Debian packages cmake and g++")
    if not list(Path("/usr").glob("lib/*/cmake/opencv4/OpenCVConfig.cmake")):
        pytest.skip("needs the Debian package libopencv-dev")
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # the folder all workers of this run share
    folder = base / "cpp"
    with folder.with_name("cpp.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for command in (
            ["cmake", "-S", str(PROJECT / "tests" / "support" / "sdk"), "-B", str(folder)],
            ["cmake", "--build", str(folder), "--parallel", "2"],
        ):
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stdout + result.stderr
    return folder
