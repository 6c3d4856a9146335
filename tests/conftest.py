"""What the tests share: MNIST, one small run through all notebooks, and a way to start scripts."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from mnist_rknn.data import mnist

# The smoke recipe, smaller still: every stage is real, and the whole takes about a minute.
TINY = (
    "dataset.samples.train=2400",
    "dataset.samples.validation=400",
    "dataset.samples.test=400",
    "dataset.redraw.plain=2400",
    "dataset.redraw.untouched=1600",
    "dataset.redraw.camera=300",
    "dataset.redraw.drawn=100",
    "dataset.redraw.validation=100",
    "dataset.redraw.test=100",
    "dataset.redraw.hard=20",
    "verify.min_accuracy=0.5",
    "verify.max_drop=0.05",
)


def run_script(*arguments: str, timeout: float = 600, **kwargs) -> subprocess.CompletedProcess:
    """Run a script of the project as a user would, from another folder."""
    return subprocess.run(
        [sys.executable, str(PROJECT / "scripts" / arguments[0]), *arguments[1:]],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **kwargs,
    )


def kill_when(process: subprocess.Popen, reached: Callable[[], bool], timeout: float = 300) -> None:
    """Kill -9 a script once something is reached, and wait until its children are gone too."""
    deadline = time.monotonic() + timeout
    while not reached():
        assert process.poll() is None, "the script ended before it could be killed"
        assert time.monotonic() < deadline, "the script did not get that far in time"
        time.sleep(0.02)
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(below, timeout=10)
    assert not alive, f"left behind by kill -9: {[child.cmdline() for child in alive]}"
    beside = [path.name for path in (PROJECT / "notebooks").iterdir() if path.suffix != ".ipynb"]
    assert set(beside) <= {".ipynb_checkpoints"}, f"left beside the notebooks: {beside}"


def settings(overrides: tuple[str, ...]) -> list[str]:
    """Overrides as arguments of scripts/run.py."""
    return [argument for override in overrides for argument in ("--set", override)]


def last_line(result: subprocess.CompletedProcess) -> str:
    """The last line a failed script wrote, which is the one the user reads."""
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="session")
def mnist_folder(tmp_path_factory) -> Path:
    """The verified files in data/mnist, fetched if this is the first run here."""
    folder = PROJECT / "data" / "mnist"
    turn = tmp_path_factory.getbasetemp().parent / "fetching"  # the folder all workers share
    with turn.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        mnist.fetch(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_run(mnist_folder, tmp_path_factory) -> Path:
    """Folder of a finished run of the smoke recipe on few images, through the notebooks."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = run_script("run.py", "--recipe", "smoke", "--output", str(folder), *settings(TINY))
    assert result.returncode == 0, result.stderr + result.stdout
    return folder


@pytest.fixture
def finished(tiny_run, tmp_path) -> Path:
    """A copy of the finished run, times kept, whose calibration list names its own pictures."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    listed = folder / "calibration.txt"
    times = listed.stat()
    listed.write_text(listed.read_text().replace(str(tiny_run), str(folder)))
    os.utime(listed, ns=(times.st_atime_ns, times.st_mtime_ns))
    return folder
