"""How tests start the project as a user would, and the smallest run of all its steps."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from mnist_rknn.files import sha256, write_json
from mnist_rknn.pipeline import graph, steps, tries

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


COMMAND = (sys.executable, "-m", "mnist_rknn")


def run_command(*arguments: object, **kwargs) -> subprocess.CompletedProcess:
    """Run `mnist-rknn` as a user would, from another folder."""
    return _run([*COMMAND, *map(str, arguments)], **kwargs)


def command_json(*arguments: object) -> Any:
    """What a command that goes well prints with `--json`."""
    result = run_command(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


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
    beside = [path for path in (PROJECT / "notebooks").rglob("*") if path.is_file()]
    beside = [path.name for path in beside if path.suffix != ".ipynb"]
    assert not beside, f"left beside the notebooks: {beside}"


def settings(overrides: tuple[str, ...]) -> list[str]:
    """Overrides as options of the command."""
    return [argument for override in overrides for argument in ("--set", override)]


def last_line(result: subprocess.CompletedProcess) -> str:
    """The last line a failed command wrote, which is the one the user reads."""
    return result.stderr.strip().splitlines()[-1]


def sign(folder: Path) -> None:
    """Make a run's records agree with its files: what was changed passes for what a step wrote."""
    for step in steps.STEPS:
        record = graph.read_record(step, folder)
        if record is None:
            continue
        content = record.model_dump(mode="json", by_alias=True)
        for part in (content["outputs"], content["made_from"]["inputs"]):
            part.update({name: sha256(folder / name) for name in part})
        write_json(graph.record_file(step, folder), content)


def everything(folder: Path) -> dict[str, str]:
    """Hashes of all files of a run but its tries, its locks and its executed notebooks."""
    left_out = {tries.FOLDER, ".lock"}
    return {
        str(path.relative_to(folder)): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not left_out & set(path.relative_to(folder).parts)
    }
