"""Cells of a study, computed over processes of this machine or over several machines.

A cell is one measurement that no other one waits for. Its result is a small file, named by a hash
of all that it depends on: a finished cell is not computed again, and what ends a study costs the
cells that were running. Where a cell is computed a second time, both results must agree.
"""

import contextlib
import functools
import hashlib
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tqdm import tqdm

from ..errors import PipelineError
from ..files import read_json, relative, write_json, write_text
from ..language import _
from ..machine import cores
from . import environment
from .graph import code_of

SECONDS = "seconds"  # of a result: how long it took, which may differ from time to time
TOLERANCE = 1e-6  # share by which two computations of a number may differ
# As Dask sets it for its workers: several processes share a machine.
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
_CELLS_A_PROCESS = 40  # rknn-toolkit2 keeps some memory of every build
_LONGEST = 3  # differences that a message names

Compute = Callable[[Path, Path, Any], dict[str, Any]]
"""Computes a cell: a function of a module, of the folder of the study's inputs, of an empty folder
to work in, and of what the cell is about. Only the last and the result travel: both are plain."""


class Task(NamedTuple):
    """A cell that is to be computed."""

    title: str  # for messages
    about: Any  # can be pickled
    target: Path  # the file of its result


class Outcome(NamedTuple):
    """What became of a cell."""

    result: dict[str, Any]
    error: PipelineError | None = None
    log: str = ""  # what the tools printed, where it failed


Outcomes = Generator[tuple[Task, Outcome], None, None]  # closed where not all are taken


class Pool(Protocol):
    """Where cells are computed."""

    def outcomes(self, compute: Compute, tasks: Sequence[Task], inputs: Path) -> Outcomes:
        """Each task with what became of it, in the order in which they end."""


def run(
    compute: Compute,
    tasks: Iterable[Task],
    inputs: Path,
    pool: Pool | None = None,
    twice: int = 0,
) -> list[dict[str, Any]]:
    """Compute the cells that have no file yet, with a progress bar.

    Args:
        tasks: the longest first, so that none is left over at the end.
        inputs: folder of files that all cells read.
        pool: None for a process a core on this machine.
        twice: compute so many of the finished cells once more, and compare.

    Returns:
        The result of each task, in the order given.

    Raises:
        PipelineError: a cell fails, or gives another result the second time.
    """
    tasks = list(tasks)
    finished = [task for task in tasks if task.target.is_file()]
    wanted = [task for task in tasks if not task.target.is_file()] + finished[:twice]
    with (
        tqdm(total=len(wanted), unit="cell", file=sys.stdout, leave=False) as bar,
        contextlib.closing((pool or Processes()).outcomes(compute, wanted, inputs)) as outcomes,
    ):
        for task, outcome in outcomes:
            if outcome.error:
                if outcome.log:
                    write_text(task.target.with_suffix(".log"), outcome.log)
                raise outcome.error
            _keep(task, outcome.result)
            bar.update(bar.n < len(wanted))  # a cluster computes one of them several times
    return [read_json(task.target) for task in tasks]


def _keep(task: Task, result: dict[str, Any]) -> None:
    """Write a result; one that is there already must agree with it."""
    if not task.target.is_file():
        write_json(task.target, result)
        return
    found = differences(read_json(task.target), result)
    if found:
        raise PipelineError(
            _(
                "cell {title} came out otherwise a second time: {found}; the first is "
                "kept in {target}: compare the machines, remove the file of the one "
                "that is wrong, and run again"
            ).format(title=task.title, found=", ".join(found), target=relative(task.target))
        )


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """What differs between two results of a cell, each as a few words; seconds do not count."""
    names = [name for name in {**first, **second} if name != SECONDS]
    found = [
        f"{name} {first.get(name)} and {second.get(name)}"
        for name in names
        if not _alike(first.get(name), second.get(name))
    ]
    more = len(found) - _LONGEST
    return [*found[:_LONGEST], f"and {more} more"] if more > 0 else found


def _alike(first: Any, second: Any) -> bool:
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return all(map(_alike, first, second))
    return bool(first == second)


def computed(compute: Compute, inputs: Path, about: Any) -> Outcome:
    """Compute one cell in this process."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = compute(inputs, Path(scratch), about)
        except PipelineError as error:
            logs = sorted(Path(scratch).glob("*.log"))
            text = "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
            return Outcome({}, error, text)
    return Outcome(found | {SECONDS: round(time.perf_counter() - start, 1)})


class Processes:
    """Cells are computed by processes of this machine.

    Args:
        workers: how many; None for as many as there are cores for this process.
    """

    def __init__(self, workers: int | None = None):
        if workers is not None and workers < 1:
            raise PipelineError(
                _("{workers} workers compute nothing: choose 1 or more").format(workers=workers)
            )
        self._workers = workers or cores()

    def outcomes(self, compute: Compute, tasks: Sequence[Task], inputs: Path) -> Outcomes:
        """See `Pool`."""
        batch = _CELLS_A_PROCESS * self._workers
        for start in range(0, len(tasks), batch):
            with ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_use_one_thread,
            ) as pool:
                jobs = {
                    pool.submit(computed, compute, inputs, task.about): task
                    for task in tasks[start : start + batch]
                }
                yield from as_they_end(jobs, lambda: pool.shutdown(wait=False, cancel_futures=True))


def _use_one_thread() -> None:
    os.environ.update(ONE_THREAD)


def as_they_end(jobs: dict[Future[Outcome], Task], give_up: Callable[[], None]) -> Outcomes:
    """The tasks of jobs with their outcomes; `give_up` is called if not all are taken."""
    try:
        for job in as_completed(jobs):
            yield jobs[job], job.result()
    except BaseException:
        give_up()
        raise


# --- are two machines alike? ----------------------------------------------------------


@functools.lru_cache(maxsize=8)
def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """What the results of cells may depend on besides their inputs, in this process.

    Returns:
        Versions of Python and of the packages, "none" where one is not installed, and a hash of
        the code of `mnist_rknn`.
    """
    package = Path(__file__).parents[1]
    codes = [
        f"{file.relative_to(package)} {code_of(file).code}"
        for file in sorted(package.rglob("*.py"))
    ]
    found = {
        "Python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "code of mnist_rknn": hashlib.sha256("\n".join(codes).encode()).hexdigest()[:12],
    }
    for name in packages:
        try:
            found[name] = environment.installed_version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def unlike(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Each thing that is of another version than expected, as a few words."""
    return [
        f"{name} {found.get(name, 'none')} and not {version}"
        for name, version in expected.items()
        if found.get(name) != version
    ]
