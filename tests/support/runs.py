"""How tests start the project as a user would, and the smallest run of all its steps."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[2]

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


def command(*arguments: str, cwd=PROJECT) -> subprocess.CompletedProcess:
    """Run `python -m mnist_rknn` as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "mnist_rknn", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
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
