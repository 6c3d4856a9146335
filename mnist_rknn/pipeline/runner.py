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
from ..training.architectures import require_known
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
        PipelineError: an unknown network or parameter, a missing kernel, or a failing cell; the
            message has the notebook, the cell and the last error line.
    """
    require_known(recipe)
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
        )
    except PipelineError as error:  # for the report, which shows why a run has no result
        write_json(failure, {"step": step.name, "message": str(error)})
        raise
    _say(f"{step.name}: done in {time.monotonic() - started:.0f} s")
    return True


def execute(notebook: Path, executed: Path, parameters: dict[str, Any]) -> None:
    """Execute a notebook with papermill; the copy is readable up to a failing cell.

    What the kernel's C++ libraries print past Python goes to a log beside the copy.
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
    progress = TrainingProgress()
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
                stdout_file=progress,
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
        progress.close()


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
    """Reads the training log as the notebook prints it: a bar an epoch, or plain lines."""

    ITERATION = re.compile(
        r"\[Train\]\[Epoch (\d+)/(\d+)\]\[Iter: (\d+)/(\d+)\].*?top1: ([\d.]+).*?\bloss: ([\d.]+)"
    )
    EPOCH = re.compile(r"\[Eval\]\[Epoch ([1-9]\d*)\]\[Avg\].*?\bloss: ([\d.]+), top1: ([\d.]+)")

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._epoch = ""
        self._rest = ""

    def write(self, text: str) -> None:
        """Take what a cell printed; called by papermill for every piece."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if match := self.ITERATION.search(line):
                self._iteration(*match.groups())
            elif match := self.EPOCH.search(line):
                self.close()
                epoch, loss, top1 = match.groups()
                of = f"/{self._epoch}" if self._epoch else ""
                _say(
                    f"  epoch {epoch}{of}: validation loss {float(loss):.4f}, "
                    f"top-1 {100 * float(top1):.2f} %"
                )

    def flush(self) -> None:
        """Nothing is held back; papermill asks for it."""

    def _iteration(
        self, epoch: str, epochs: str, iteration: str, iterations: str, top1: str, loss: str
    ) -> None:
        self._epoch = epochs
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = tqdm(
                total=int(iterations),
                desc=f"epoch {epoch}/{epochs}",
                leave=False,
                position=1,
            )
        self._bar.n = int(iteration)
        self._bar.set_postfix(loss=f"{float(loss):.4f}", top1=f"{float(top1):.4f}")

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
