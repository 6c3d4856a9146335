"""Cells of a study: computed once, over processes or machines, and the same everywhere."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time

import click
import pytest
from support import cell_work

from mnist_rknn import command
from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import cells, cluster

DASK = importlib.util.find_spec("distributed") is not None
needs_dask = pytest.mark.skipif(not DASK, reason="the optional package distributed (make cluster)")
NAMES = ("a", "b", "c")
ADDRESSES = ("host:8786", "http://host:8786", "tcp://host", "tcp://host:99999", "")  # all wrong


@pytest.fixture
def study(tmp_path):
    """A folder of inputs and the tasks that read them."""
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for count, name in enumerate(NAMES, 1):
        (inputs / name).write_bytes(b"x" * count)
    return inputs, [cells.Task(f"cell {n}", n, tmp_path / f"done/{n}.json") for n in NAMES]


@pytest.fixture(scope="module")
def workers():
    """A cluster of two workers, each a process."""
    if not DASK:
        pytest.skip("the optional package distributed is not installed (make cluster)")
    with own_cluster() as address:
        yield address


@contextlib.contextmanager
def own_cluster(count=2, **options):
    from distributed import LocalCluster

    settings = {"threads_per_worker": 1, "dashboard_address": ":0", **options}
    with LocalCluster(n_workers=count, scheduler_port=0, **settings) as started:
        yield started.scheduler_address


def all_workers(client):
    client.wait_for_workers(1)
    return list(client.scheduler_info()["workers"])


def on(address):
    return cluster.Cluster(address, ("numpy",))


def test_a_finished_cell_is_not_computed_again_and_the_others_are(study):
    inputs, tasks = study
    found = cells.run(cell_work.length, tasks, inputs, cells.Processes(2))
    assert [row["length"] for row in found] == [1, 2, 3]
    tasks[1].target.unlink()
    times = {task.title: task.target.stat().st_mtime_ns for task in (tasks[0], tasks[2])}
    again = cells.run(cell_work.length, tasks, inputs, cells.Processes(1))
    assert [row["length"] for row in again] == [1, 2, 3]
    assert times == {t.title: t.target.stat().st_mtime_ns for t in (tasks[0], tasks[2])}


def test_two_computations_of_a_cell_must_agree_and_seconds_need_not(study):
    inputs, tasks = study
    cells.run(cell_work.length, tasks, inputs, cells.Processes(1))
    kept = json.loads(tasks[0].target.read_text())
    tasks[0].target.write_text(json.dumps({**kept, "seconds": 99.0, "half": 0.5 + 1e-9}))
    cells.run(cell_work.length, tasks, inputs, cells.Processes(1), twice=3)
    tasks[0].target.write_text(json.dumps({**kept, "length": 7}))
    with pytest.raises(
        PipelineError, match=r"cell a came out otherwise .*length 7 and 1; .*a\.json"
    ):
        cells.run(cell_work.length, tasks, inputs, cells.Processes(1), twice=1)
    assert json.loads(tasks[0].target.read_text())["length"] == 7, "the first is kept"


def test_a_cell_that_fails_says_why_and_leaves_its_log_alone(study):
    inputs, tasks = study
    with pytest.raises(PipelineError, match="a cannot be computed: choose another"):
        cells.run(cell_work.refused, tasks[:1], inputs, cells.Processes(1))
    assert tasks[0].target.with_suffix(".log").read_text() == "the tool says why\n"
    assert not tasks[0].target.exists()


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_no_scheduler_is_one_line_with_the_cure(address):
    with pytest.raises(PipelineError, match="is no address of a scheduler: write tcp://HOST:8786"):
        on(address)


def test_without_distributed_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)  # as `import` finds it when it is absent
    with pytest.raises(PipelineError, match=r"not installed: .*docs/requirements-cluster\.txt"):
        on("tcp://localhost:8786")


def test_no_workers_at_all_is_refused():
    with pytest.raises(PipelineError, match="0 workers compute nothing"):
        cells.Processes(0)


def test_processes_and_a_scheduler_exclude_each_other():
    with pytest.raises(click.UsageError, match="leave --workers out"):
        command.PoolOptions(2, "tcp://host:8786", 0).pool(())


# --- over machines --------------------------------------------------------------------


@needs_dask
def test_workers_give_what_processes_give(study, workers):
    inputs, tasks = study
    found = cells.run(cell_work.length, tasks, inputs, on(workers))
    assert [row["length"] for row in found] == [1, 2, 3]
    for task in tasks[1:]:
        task.target.unlink()
    assert [
        {**row, "seconds": 0}
        for row in cells.run(cell_work.length, tasks, inputs, cells.Processes(1))
    ] == [{**row, "seconds": 0} for row in found]


@needs_dask
def test_workers_that_come_to_other_results_are_found_out(study, workers):
    inputs, tasks = study
    with pytest.raises(PipelineError, match=r"cell c came out otherwise a second time: process"):
        cells.run(cell_work.of_this_process, tasks, inputs, on(workers))


@needs_dask
def test_a_cell_that_fails_on_a_worker_says_why(study, workers):
    inputs, tasks = study
    with pytest.raises(PipelineError, match="cannot be computed: choose another"):
        cells.run(cell_work.refused, tasks, inputs, on(workers))
    assert "the tool says why\n" in [p.read_text() for p in tasks[0].target.parent.glob("*.log")]


@needs_dask
def test_a_lost_worker_costs_its_cell_only(study, tmp_path):
    inputs, _ = study
    marks = tmp_path / "marks"
    marks.mkdir()
    tasks = [
        cells.Task(n, (n, str(marks)), tmp_path / f"lost/{n}.json") for n in ("b", "a", "c", "d")
    ]
    with own_cluster() as address:
        found = cells.run(cell_work.once_deadly, tasks, inputs, on(address))
    assert [row["name"] for row in found] == ["b", "a", "c", "d"]
    assert len((marks / "b").read_text().splitlines()) == 2


@needs_dask
def test_a_scheduler_that_does_not_answer_is_one_line(study, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    inputs, tasks = study
    with pytest.raises(
        PipelineError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9 .*make cl"
    ):
        cells.run(cell_work.length, tasks, inputs, on("tcp://127.0.0.1:9"))


@needs_dask
def test_a_scheduler_without_workers_is_one_line(study, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    inputs, tasks = study
    with (
        own_cluster(0) as address,
        pytest.raises(PipelineError, match=r"has no workers: start one .* --nthreads 1"),
    ):
        cells.run(cell_work.length, tasks, inputs, on(address))


@needs_dask
def test_a_worker_of_several_threads_is_refused(study):
    inputs, tasks = study
    with (
        own_cluster(1, threads_per_worker=2) as address,
        pytest.raises(PipelineError, match=r"has 2 threads and not 1: .*--nthreads 1"),
    ):
        cells.run(cell_work.length, tasks, inputs, on(address))
    assert not tasks[0].target.exists()


@needs_dask
@pytest.mark.parametrize("late", [False, True])
def test_a_worker_with_another_package_is_named_before_it_computes(study, tmp_path, late):
    """Another numpy, as far as a worker's packages say it."""
    inputs, tasks = study
    other = tmp_path / "other/numpy-9.9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 9.9.9\n")
    with own_cluster(0) as address:
        line = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
        line += ["--no-dashboard", "--no-nanny", "--local-directory", str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(other.parent)}
        worker = subprocess.Popen(
            line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        pool = on(address)
        if late:  # as if it had come after the others had been asked
            pool._fit_workers = all_workers
        try:
            with pytest.raises(PipelineError, match=r" numpy 9\.9\.9 and not \d.*same commit"):
                cells.run(cell_work.length, tasks, inputs, pool)
        finally:
            worker.kill()
            worker.wait()
    assert not tasks[0].target.exists()


@needs_dask
def test_a_cell_that_ends_every_worker_ends_the_study(study, tmp_path):
    import dask

    inputs, _ = study
    tasks = [cells.Task("x", 0, tmp_path / "x.json")]
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        own_cluster(1) as address,
        pytest.raises(PipelineError, match="a cell ended every worker that tried it"),
    ):
        cells.run(cell_work.deadly, tasks, inputs, on(address))


@needs_dask
def test_a_lost_scheduler_ends_the_study_and_finished_cells_stay(study, tmp_path):
    inputs, done = study
    place = tmp_path / "scheduler.json"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for kind, options in (
            ("scheduler", ["--port", "0", "--dashboard-address", ":0", "--scheduler-file", place]),
            ("worker", ["--scheduler-file", place, "--nthreads", "1", "--no-nanny",
                        "--no-dashboard", "--local-directory", tmp_path]),
        )
    ]  # fmt: skip
    try:
        while not place.is_file():
            time.sleep(0.1)
        pool = on(json.loads(place.read_text())["address"].replace("0.0.0.0", "127.0.0.1"))
        cells.run(cell_work.length, done[:1], inputs, pool)
        tasks = [cells.Task("x", started[0].pid, tmp_path / "x.json")]
        with pytest.raises(
            PipelineError, match=r"the scheduler at tcp://.* is gone; finished cell"
        ):
            cells.run(cell_work.deadly, tasks, inputs, pool)
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert done[0].target.is_file() and not tasks[0].target.exists()
