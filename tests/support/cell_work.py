"""What cells compute in tests; processes and workers import it."""

import os
import signal
import time
from pathlib import Path

from mnist_rknn.errors import PipelineError


def length(inputs: Path, scratch: Path, about: str) -> dict:
    """Length of an input file, in a process that is told."""
    (scratch / "build.log").write_text(f"reading {about}\n")
    return {"name": about, "length": len((inputs / about).read_bytes()), "half": 0.5}


def refused(inputs: Path, scratch: Path, about: str) -> dict:
    (scratch / "build.log").write_text("the tool says why\n")
    raise PipelineError(f"{about} cannot be computed: choose another")


def once_deadly(inputs: Path, scratch: Path, about: tuple[str, str]) -> dict:
    """Ends its own process at the first attempt, without a word."""
    name, mark = about
    with (Path(mark) / name).open("a") as file:
        file.write("tried\n")
    if name == "b" and len((Path(mark) / name).read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"name": name}


def of_this_process(inputs: Path, scratch: Path, about: str) -> dict:
    """Something that differs from process to process."""
    return {"name": about, "process": os.getpid()}


def deadly(inputs: Path, scratch: Path, about: int) -> dict:
    """Ends a process, the one it runs in where `about` is 0, and then waits to be ended itself."""
    os.kill(about or os.getpid(), signal.SIGKILL)
    time.sleep(600)
    return {}
