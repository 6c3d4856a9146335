"""What the tests share: MNIST, one small run through all notebooks, and a way to start commands."""

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
# Commands and kernels that tests start take this clone's package, whichever is installed.
os.environ["PYTHONPATH"] = str(PROJECT)

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


COMMAND = (sys.executable, "-m", "mnist_rknn")


def run_command(*arguments: object, **kwargs) -> subprocess.CompletedProcess:
    """Run `mnist-rknn` as a user would, from another folder."""
    return _run([*COMMAND, *map(str, arguments)], **kwargs)


def run_script(script: str, *arguments: object, **kwargs) -> subprocess.CompletedProcess:
    """Run a script of the project as a user would, from another folder."""
    return _run([sys.executable, f"{PROJECT}/scripts/{script}", *map(str, arguments)], **kwargs)


def _run(command: list[str], **kwargs) -> subprocess.CompletedProcess:
    settings = {"cwd": "/", "capture_output": True, "text": True, "timeout": 600, "check": False}
    if environment := kwargs.pop("env", None):
        settings["env"] = {"PYTHONPATH": str(PROJECT), **environment}
    return subprocess.run(command, **{**settings, **kwargs})


def kill_when(process: subprocess.Popen, reached: Callable[[], bool], timeout: float = 300) -> None:
    """Kill -9 a command once something is reached, and wait until its children are gone too."""
    deadline = time.monotonic() + timeout
    while not reached():
        assert process.poll() is None, "the command ended before it could be killed"
        assert time.monotonic() < deadline, "the command did not get that far in time"
        time.sleep(0.02)
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(below, timeout=10)
    assert not alive, f"left behind by kill -9: {[child.cmdline() for child in alive]}"
    beside = [path.name for path in (PROJECT / "notebooks").iterdir() if path.suffix != ".ipynb"]
    assert set(beside) <= {".ipynb_checkpoints"}, f"left beside the notebooks: {beside}"


def settings(overrides: tuple[str, ...]) -> list[str]:
    """Overrides as options of the command."""
    return [argument for override in overrides for argument in ("--set", override)]


def last_line(result: subprocess.CompletedProcess) -> str:
    """The last line a failed command wrote, which is the one the user reads."""
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
    result = run_command("run", "--recipe", "smoke", "--output", str(folder), *settings(TINY))
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
