"""Cells of a study over machines, by Dask: a scheduler, and workers that one command starts.

Dask's client is an executor as Python's own are. Scheduler and workers trust whoever reaches them
(a worker runs what it is sent), so they belong into a network of one's own, or behind TLS.
"""

import contextlib
import logging
import pickle
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PipelineError
from ..language import _
from . import cells

if TYPE_CHECKING:
    import distributed

REQUIREMENTS = "docs/requirements-cluster.txt"
ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:]+\]|[^\s/:\[\]]+):(\d{1,5})/?")
ENGINE = ("dask", "distributed")
START = "dask worker {address} --nthreads 1"
_PATIENCE = 10  # seconds, until a scheduler answers and has a worker


def require_distributed() -> None:
    """Refuse to go on without the optional package.

    Raises:
        PipelineError: it is not installed.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise PipelineError(
            _(
                "a study over machines needs the package distributed, which is not "
                "installed: .venv/bin/pip install --no-deps --require-hashes -r "
                "{requirements}, or `make cluster`"
            ).format(requirements=REQUIREMENTS)
        ) from None


def require_address(address: str) -> None:
    """Refuse what is no scheduler's address.

    Raises:
        PipelineError: it is another kind of address, or none.
    """
    found = ADDRESS.fullmatch(address)
    if not found or not 1 <= int(found[3]) <= 65535:
        raise PipelineError(
            _(
                "--scheduler {address!r} is no address of a scheduler: write "
                "tcp://HOST:8786, as `dask scheduler` or `make cluster` says it"
            ).format(address=address)
        )


class Cluster:
    """Cells are computed by the workers of a Dask scheduler.

    Before the first cell every worker says its versions. Then each of them computes the last task,
    so that machines that come to other results are found out.

    Args:
        address: of the scheduler, such as "tcp://host:8786".
        packages: names of those that results depend on.

    Raises:
        PipelineError: it is no address, or the package distributed is not installed.
    """

    def __init__(self, address: str, packages: tuple[str, ...]):
        require_address(address)
        require_distributed()
        self._address = address.rstrip("/")
        self._versions = cells.versions((*packages, *ENGINE))

    def outcomes(
        self, compute: cells.Compute, tasks: Sequence[cells.Task], inputs: Path
    ) -> cells.Outcomes:
        """See `cells.Pool`.

        Raises:
            PipelineError: the scheduler does not answer, has no worker or loses it for good, or a
                worker is of other versions.
        """
        if not tasks:
            return
        from . import worker_files

        with self._connected() as client:
            workers = self._fit_workers(client)
            sent = worker_files.Inputs(inputs)
            client.register_plugin(sent)
            arguments = (self._versions, sent.digest)
            jobs: dict[Future[cells.Outcome], cells.Task] = {}
            every = client.get_executor(pure=False)
            for task in tasks[:-1]:
                jobs[every.submit(_on_worker, *arguments, pickle.dumps((compute, task.about)))] = (
                    task
                )
            for worker in workers:
                one = client.get_executor(pure=False, workers=[worker], allow_other_workers=True)
                jobs[
                    one.submit(_on_worker, *arguments, pickle.dumps((compute, tasks[-1].about)))
                ] = tasks[-1]
            with self._plain_errors():
                try:
                    yield from cells.as_they_end(jobs, lambda: every.shutdown(wait=False))
                finally:
                    if client.status == "running":  # the scheduler would keep the files
                        client.unregister_worker_plugin(sent.name)

    @contextlib.contextmanager
    def _connected(self) -> Iterator["distributed.Client"]:
        import distributed

        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # one line of ours, not theirs
        try:
            client = distributed.Client(
                self._address, timeout=_PATIENCE, set_as_default=False, name="mnist-rknn"
            )
        except (OSError, TimeoutError, ValueError) as error:
            raise PipelineError(
                _(
                    "no scheduler answers at {address} ({name}): start one there with "
                    "`dask scheduler`, or one here with `make cluster`"
                ).format(address=self._address, name=type(error).__name__)
            ) from None
        with client:
            yield client

    def _fit_workers(self, client: "distributed.Client") -> list[str]:
        """Addresses of the workers.

        Raises:
            PipelineError: there is none, or one of them would compute something else.
        """
        with contextlib.suppress(TimeoutError, OSError):
            client.wait_for_workers(1, timeout=_PATIENCE)
        answers = client.run(_unfit, self._versions, on_error="return")
        if not answers:
            raise PipelineError(
                _(
                    "the scheduler at {address} has no workers: start one on each machine "
                    "with `{format}`"
                ).format(address=self._address, format=START.format(address=self._address))
            )
        wrong = {name: found for name, found in answers.items() if found}
        if wrong:
            name, found = next(iter(wrong.items()))
            others = f" (and {len(wrong) - 1} more workers)" if len(wrong) > 1 else ""
            raise PipelineError(
                _("worker {name}{others} {said}: {cure}").format(
                    name=name, others=others, said=_said(found), cure=_cure(self._address)
                )
            )
        return list(answers)

    @contextlib.contextmanager
    def _plain_errors(self) -> Iterator[None]:
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

        try:
            yield
        except KilledWorker as error:
            raise PipelineError(
                _(
                    "a cell ended every worker that tried it ({address} was the last): "
                    "look at the workers' output, most often there is too little memory"
                ).format(address=error.last_worker.address)
            ) from None
        except (CancelledError, CommClosedError):
            raise PipelineError(
                _(
                    "the scheduler at {address} is gone; finished cells are kept: start it "
                    "and its workers, and run again"
                ).format(address=self._address)
            ) from None


def _said(found: Any) -> str:
    if isinstance(found, ModuleNotFoundError):
        return f"has no package {found.name}"
    return f"failed with {found!r}" if isinstance(found, Exception) else f"has {', '.join(found)}"


def _cure(address: str) -> str:
    return (
        "bring it to the same commit, run `make setup` there, install "
        f"{REQUIREMENTS}, and start it with `{START.format(address=address)}`"
    )


# --- on a worker ----------------------------------------------------------------------


def _unfit(expected: dict[str, str], dask_worker: Any) -> list[str]:
    """Why a worker would not compute the same; [] for one that would.

    Args:
        dask_worker: Dask fills it in, where the client runs this on a worker.
    """
    packages = tuple(name for name in expected if name not in cells.versions(()))
    found = cells.unlike(expected, cells.versions(packages))
    threads = dask_worker.state.nthreads
    if threads != 1:
        # The toolkit's output is caught by the process, and so is the folder it works in.
        found.append(f"{threads} threads and not 1")
    return found


def _on_worker(expected: dict[str, str], digest: str, cell: bytes) -> cells.Outcome:
    """Compute a cell on the worker that this runs on.

    Args:
        cell: pickled, and read only when it is sure that the worker has the same code: it may have
            come after the others were asked, and Dask waits for ever where it cannot read a task.
    """
    import distributed

    from . import worker_files

    worker = distributed.get_worker()
    found = _unfit(expected, worker)
    if found:
        cure = _cure(worker.scheduler.addr)
        return cells.Outcome(
            {},
            PipelineError(
                _("worker {address} {said}: {cure}").format(
                    address=worker.address, said=_said(found), cure=cure
                )
            ),
        )
    compute, about = pickle.loads(cell)
    return cells.computed(compute, worker_files.folder(worker, digest), about)
