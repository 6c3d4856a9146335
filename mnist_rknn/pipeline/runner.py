"""Running steps without a browser: papermill, with progress and errors a person can read."""

import contextlib
import errno
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from ..capture import output_to
from ..errors import PipelineError
from ..files import OUTPUT, PROJECT, FolderLock, relative, write_json
from ..language import _
from ..recipe import Recipe
from ..training import progress
from ..training.architectures import require_known
from . import places, reached, tries
from .graph import Graph, needed
from .runs import (
    RECIPE,
    STARTED,
    MadeWith,
    plan_try,
    read_recipe,
    require_recipe,
    write_recipe,
)
from .steps import STEPS, Step, notebook_file, select

FAILURE = "failure.json"  # in a run's folder, after a step has failed
KERNEL = "python3"  # ipykernel's own, of the environment that runs this


def run_steps(
    wanted: Sequence[Step],
    recipe: Recipe,
    folder: Path,
    made_with: MadeWith,
    assignments: Sequence[str] = (),
    force: bool = False,
    only: bool = False,
) -> list[str]:
    """Run those of the steps, and of the steps they need, that are not up to date.

    The run's folder gets its own recipe first; the notebooks read nothing else.

    Args:
        folder: of the run.
        made_with: where the recipe comes from.
        assignments: other parameters of the notebooks, "NAME=VALUE" with the value in YAML.
        force: run the wanted steps even if they are up to date.
        only: run no other steps than the wanted ones.

    Returns:
        Names of the steps that ran.

    Raises:
        PipelineError: an unknown network or parameter, a missing kernel, or a failing cell; the
            message has the notebook, the cell and the last error line.
    """
    parameters = {"recipe": str(folder / RECIPE), "output": str(folder), "overrides": []}
    own = _values(assignments)
    for step in wanted if own else ():
        _require_parameters(notebook_file(step.name), own)
    require_known(recipe)
    require_recipe(made_with.recipe, recipe, folder)
    now = Graph(recipe, folder)
    ran: list[str] = []
    needs = {other.name for step in wanted for other in needed(step)}
    for step in wanted if only else [step for step in STEPS if step.name in needs]:
        reason = now.stale_reason(step) or ("forced" if force and step in wanted else None)
        if reason is None:
            continue
        if not ran:
            places.require(folder)
        if not ran:  # before, the folder's recipe says what its files were made with
            write_recipe(folder, recipe, made_with)
        run_tries(step, folder)
        _say(
            _("{step}: {title} ({reason})").format(
                step=step.name, title=_(step.title), reason=reason
            )
        )
        _run_step(step, folder, parameters | own if step in wanted else parameters)
        ran.append(step.name)
        now.look_again()
    return ran


def _values(assignments: Sequence[str]) -> dict[str, Any]:
    values = {}
    for assignment in assignments:
        parameter, separator, value = assignment.partition("=")
        if not separator:
            raise PipelineError(
                _("--parameter {assignment}: write it as NAME=VALUE").format(assignment=assignment)
            )
        values[parameter] = yaml.safe_load(value)
    return values


def _run_step(step: Step, folder: Path, parameters: dict[str, Any]) -> None:
    started = time.monotonic()
    failure = folder / FAILURE
    failure.unlink(missing_ok=True)
    executed = folder / "notebooks" / f"{step.name}.ipynb"
    code = reached.digest(step, read_recipe(folder))  # what is edited meanwhile did not run
    try:
        execute(notebook_file(step.name), executed, parameters, folder / "train")
    except PipelineError as error:  # for the report, which shows why a run has no result
        write_json(failure, {"step": step.name, "message": str(error)})
        raise
    reached.stamp(executed, code)
    _say(
        _("{step}: done in {seconds:.0f} s").format(
            step=step.name, seconds=time.monotonic() - started
        )
    )


def run_tries(step: Step, run: Path) -> list[Path]:
    """Run what a step compares its run with, as far as it is not up to date.

    Returns:
        A folder for each of `step.tries`.
    """
    return [_run_try(run, [change], select(text))[0] for change, text in step.tries]


def run_try(
    run: Path, overrides: Sequence[str], wanted: Sequence[Step], force: bool = False
) -> tuple[Path, list[str]]:
    """Run steps with changed settings in a folder of their own, beside the finished run's files.

    Returns:
        The folder of the try, and the names of the steps that ran.
    """
    with lock(run, "a try"):
        return _run_try(run, overrides, wanted, force)


def _run_try(
    run: Path, overrides: Sequence[str], wanted: Sequence[Step], force: bool = False
) -> tuple[Path, list[str]]:
    folder, recipe, made_with = plan_try(run, overrides)
    with lock(folder, "a try"):
        tries.start(run, folder, read_recipe(run), recipe)
        return folder, run_steps(wanted, recipe, folder, made_with, force=force)


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
    _require_parameters(notebook, parameters)
    shown = TrainingProgress(training or executed.parent).start()
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
                # Unix sockets: they work where even the loopback network is cut.
                config=Config({"KernelManager": {"transport": "ipc", "ip": sockets}}),
            )
    except papermill.PapermillExecutionError as error:
        message = re.sub(r"\x1b\[[\d;]*m", "", str(error.evalue)).strip()
        last = message.splitlines()[-1] if message else ""
        kind = "" if error.ename in ("PipelineError", "AssertionError") else f"{error.ename}: "
        raise PipelineError(
            _("{name}, cell {cell_index}: {kind}{last} (executed copy: {executed})").format(
                name=notebook.name,
                cell_index=error.cell_index + 1,
                kind=kind,
                last=last,
                executed=relative(executed),
            )
        ) from None
    except NoSuchKernel:
        raise PipelineError(
            _("{name}: this environment has no Jupyter kernel: run `make setup`").format(
                name=notebook.name
            )
        ) from None
    except DeadKernelError:
        raise PipelineError(
            _(
                "{name}: the kernel was killed, perhaps because the memory was full "
                "(executed copy: {executed})"
            ).format(name=notebook.name, executed=relative(executed))
        ) from None
    except OSError as error:
        cure = ": the disk is full, free some space and run again" * (error.errno == errno.ENOSPC)
        raise PipelineError(f"{notebook.name}: {error.strerror or error}{cure}") from None
    finally:
        shown.close()


def python_path() -> str:
    """PYTHONPATH with which a child process imports this very package, installed or not."""
    return os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))


def _require_parameters(notebook: Path, names: Iterable[str]) -> None:
    import papermill

    known = papermill.inspect_notebook(str(notebook))
    for name in names:
        if name not in known:
            raise PipelineError(
                _("{name} has no parameter {name2!r}: it has {known}").format(
                    name=notebook.name, name2=name, known=", ".join(known)
                )
            )


@contextlib.contextmanager
def _kernel_environment() -> Iterator[str]:
    """Environment of the kernels: nothing in the user's home, and no kernel from there.

    Yields:
        What the paths of the kernel's sockets begin with.
    """
    runtime = tempfile.mkdtemp(prefix="rknn-")  # short: a socket's path has 107 bytes at most
    changes = {
        "PYTHONPATH": python_path(),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_PATH": "",  # of the user: it would come before this environment's
        "JUPYTER_RUNTIME_DIR": runtime,
        "IPYTHONDIR": str(OUTPUT / ".ipython"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "PYTHONWARNINGS": "ignore",
        "GLOG_minloglevel": "2",  # Paddle says which executor it takes, and the like
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

    A thread of its own looks up what is recorded, every half second from `start` to `close`.

    Args:
        folder: of the training, which may not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun = time.time()
        self._shown = 0  # events
        self._lines = 0
        self._bar: tqdm | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> "TrainingProgress":
        """Begin to look."""
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self.look()

    def look(self) -> None:
        """Show what is new."""
        events = progress.read_last(self._folder, since=self._begun)
        for event in events[self._shown :]:
            if event["event"] == "iteration":
                self._iteration(event, events[0]["epochs"])
            elif event["event"] == "validation":
                self._remove_bar()
        self._shown = len(events)
        lines = progress.epoch_lines(events)
        for line in lines[self._lines :]:
            _say(f"  {line}")
        self._lines = len(lines)

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
        """Look once more, and end."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
            self.look()
        self._remove_bar()

    def _remove_bar(self) -> None:
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
