"""Running steps without a browser: papermill, with progress and errors a person can read."""

import contextlib
import errno
import logging
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..capture import output_to
from ..errors import PipelineError
from ..files import FolderLock, relative, write_json
from ..recipe import Recipe
from ..training import progress
from .steps import NOTEBOOKS, OUTPUT, STARTED, Step, refresh, stale_reason

FAILURE = "failure.json"  # in a run's folder, after a step has failed
KERNEL = "python3"  # ipykernel's own, of the environment that runs this


def run_step(
    step: Step,
    recipe: Recipe,
    folder: Path,
    parameters: dict[str, Any],
    force: bool = False,
) -> bool:
    """Run one notebook if it is not up to date.

    Args:
        parameters: values for the notebook's `parameters` cell.
        force: run it even if it is up to date.

    Returns:
        Whether it ran.

    Raises:
        PipelineError: an unknown parameter, a missing kernel, or a failing cell; the message
            has the notebook, the cell and the last error line.
    """
    refresh(step, recipe, folder)
    reason = stale_reason(step, recipe, folder)
    if reason is None and not force:
        _say(f"{step.name}: up to date")
        return False
    _say(f"{step.name}: {step.title} ({reason or 'forced'})")
    started = time.monotonic()
    failure = folder / FAILURE
    failure.unlink(missing_ok=True)
    try:
        execute(
            NOTEBOOKS / f"{step.name}.ipynb",
            folder / "notebooks" / f"{step.name}.ipynb",
            parameters,
            folder / "train",
        )
    except PipelineError as error:  # for the report, which shows why a run has no result
        write_json(failure, {"step": step.name, "message": str(error)})
        raise
    _say(f"{step.name}: done in {time.monotonic() - started:.0f} s")
    return True


def execute(
    notebook: Path, executed: Path, parameters: dict[str, Any], training: Path | None = None
) -> None:
    """Execute a notebook with papermill; the copy is readable up to a failing cell.

    What the kernel's C++ libraries print past Python goes to a log beside the copy.

    Args:
        training: folder in which the notebook may train; its progress is shown.
    """
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    known = papermill.inspect_notebook(str(notebook))
    for name in parameters:
        if name not in known:
            raise PipelineError(
                f"{notebook.name} has no parameter {name!r}: it has {', '.join(known)}"
            )
    shown = TrainingProgress(training or executed.parent)
    try:
        with (
            _kernel_environment() as sockets,
            output_to(executed.with_suffix(".log"), keep_python=True),
        ):
            papermill.execute_notebook(
                str(notebook),
                str(executed),
                parameters=parameters,
                kernel_name=KERNEL,
                cwd=str(notebook.parent),
                progress_bar=sys.stderr.isatty(),
                stdout_file=shown,
                # Unix sockets: they work where even the loopback network is cut.
                config=Config({"KernelManager": {"transport": "ipc", "ip": sockets}}),
            )
    except papermill.PapermillExecutionError as error:
        message = re.sub(r"\x1b\[[\d;]*m", "", str(error.evalue)).strip()
        last = message.splitlines()[-1] if message else ""
        kind = "" if error.ename in ("PipelineError", "AssertionError") else f"{error.ename}: "
        raise PipelineError(
            f"{notebook.name}, cell {error.cell_index + 1}: {kind}{last} "
            f"(executed copy: {relative(executed)})"
        ) from None
    except NoSuchKernel:
        raise PipelineError(
            f"{notebook.name}: this environment has no Jupyter kernel: run `make setup`"
        ) from None
    except DeadKernelError:
        raise PipelineError(
            f"{notebook.name}: the kernel was killed, perhaps for want of memory "
            f"(executed copy: {relative(executed)})"
        ) from None
    except OSError as error:
        cure = ": the disk is full, free some space and run again" * (error.errno == errno.ENOSPC)
        raise PipelineError(f"{notebook.name}: {error.strerror or error}{cure}") from None
    finally:
        shown.close()


@contextlib.contextmanager
def _kernel_environment() -> Iterator[str]:
    """Environment of the kernels: nothing in the user's home, and no kernel from there.

    Yields:
        What the paths of the kernel's sockets begin with.
    """
    runtime = tempfile.mkdtemp(prefix="rknn-")  # short: a socket's path has 107 bytes at most
    changes = {
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_RUNTIME_DIR": runtime,
        "IPYTHONDIR": str(OUTPUT / ".ipython"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "PYTHONWARNINGS": "ignore",
        STARTED: str(time.time()),
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield f"{runtime}/kernel"
    finally:
        shutil.rmtree(runtime, ignore_errors=True)
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


class TrainingProgress:
    """A bar an epoch where there is a terminal, and a line an epoch, as the launcher records it.

    Takes the place of papermill's file for what cells print: each time the training prints, what
    it has recorded is looked up.

    Args:
        folder: of the training, which may not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun = time.time()
        self._shown = 0  # events
        self._bar: tqdm | None = None

    def write(self, _: str) -> None:
        """Show what is new; called by papermill for every piece that a cell prints."""
        events = progress.read_last(self._folder, since=self._begun)
        for event in events[self._shown :]:
            if event["event"] == "iteration":
                self._iteration(event, events[0]["epochs"])
            elif event["event"] == "validation":
                self.close()
                _say(
                    f"  epoch {event['epoch']}/{events[0]['epochs']}: validation loss "
                    f"{event['loss']:.4f}, top-1 {100 * event['top1']:.2f} %"
                )
        self._shown = len(events)

    def flush(self) -> None:
        """Nothing is held back; papermill asks for it."""

    def _iteration(self, event: progress.Event, epochs: int) -> None:
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = tqdm(
                total=event["of"],
                desc=f"epoch {event['epoch']}/{epochs}",
                leave=False,
                position=1,
            )
        self._bar.n = event["iteration"]
        top1 = "-" if event["top1"] is None else f"{event['top1']:.4f}"
        self._bar.set_postfix(loss=f"{event['loss']:.4f}", top1=top1)

    def close(self) -> None:
        """Remove the bar of an epoch."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


def lock(folder: Path, what: str) -> FolderLock:
    """Lock a run's folder for this process and the kernels it starts."""
    held = FolderLock(folder, what).acquire()
    os.environ.update(held.for_children())
    return held
