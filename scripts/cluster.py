#!/usr/bin/env python
"""A Dask scheduler with workers on this machine, to practise studies over several machines with.

Runs until Ctrl-C. Only programs on this machine reach it. On several machines, start
`dask scheduler` on one of them, and `dask worker tcp://HOST:8786 --nthreads 1` on each.

\b
python scripts/cluster.py --workers 2
"""

import sys
import threading

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click

from mnist_rknn import command
from mnist_rknn.errors import PipelineError
from mnist_rknn.machine import cores
from mnist_rknn.pipeline import cluster


@click.command("cluster", help=__doc__)
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one a core]")
@click.option("--port", default=8786, show_default=True, help="Of the scheduler.")
def practice(workers: int | None, port: int) -> None:
    cluster.require_distributed()
    from distributed import LocalCluster

    try:
        started = LocalCluster(
            n_workers=workers or cores(),
            threads_per_worker=1,
            scheduler_port=port,
            dashboard_address=":0",
        )
    except (OSError, RuntimeError):
        raise PipelineError(
            f"port {port} is taken, perhaps by another cluster: end that, or name another --port"
        ) from None
    with started:
        address = started.scheduler_address
        print(f"scheduler  {address}, {len(started.workers)} workers; Ctrl-C ends it")
        print(f"next       {command.NAME} quantstudy --scheduler {address}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    sys.exit(command.start(practice, name="scripts/cluster.py"))
