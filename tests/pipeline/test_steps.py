"""Only what is stale runs again, make and the scripts agree on it, and runs do not collide."""

import os
import re
import subprocess
import sys
import time

import grimp
import pytest
from support.runs import PROJECT, TINY, last_line, run_command, settings

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import FolderLock
from mnist_rknn.pipeline import steps


def stale(folder, *overrides) -> list[str]:
    """Names of the steps that would run first-hand, ignoring what they would cause."""
    run = recipe_file.load("smoke", [*TINY, *overrides])
    return [step.name for step in steps.select("all") if steps.stale_reason(step, run, folder)]


def test_finished_run_is_up_to_date(finished):
    assert stale(finished) == []


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("rknn.quantized_algorithm=mmse", ["05_convert", "06_verify"]),
        ("verify.max_drop=0.5", ["06_verify"]),
        ("calibration.images=50", ["04_calibration"]),
        ("export.opset=13", ["03_export"]),
        ("train.epochs=2", ["02_train"]),
        ("description=other words", []),
    ],
)
def test_a_changed_key_makes_only_its_steps_stale(finished, override, expected):
    assert stale(finished, override) == expected


def test_the_reason_names_the_key(finished):
    run = recipe_file.load("smoke", [*TINY, "rknn.quantized_algorithm=mmse"])
    reason = steps.stale_reason(steps.find("05"), run, finished)
    assert reason == "its settings (rknn.quantized_algorithm) changed"


def test_a_missing_output_makes_its_step_stale(finished):
    (finished / "labels.txt").unlink()
    assert stale(finished) == ["03_export"]


def test_an_input_touched_later_makes_the_next_step_stale(finished):
    time.sleep(0.01)
    (finished / "smoke.slim.onnx").touch()
    assert stale(finished) == ["05_convert"]


def test_a_step_that_did_not_end_is_stale(finished):
    steps.record_file(steps.find("05"), finished).unlink()
    assert stale(finished) == ["05_convert"]


def test_saving_a_notebook_with_outputs_changes_nothing(tmp_path):
    import nbformat

    notebook = nbformat.read(steps.NOTEBOOKS / "03_export.ipynb", as_version=4)
    before = steps.notebook_digest(steps.NOTEBOOKS / "03_export.ipynb")
    notebook.cells[2]["outputs"] = [nbformat.v4.new_output("stream", text="seen")]
    notebook.cells[0]["source"] += "\nmore words"
    nbformat.write(notebook, tmp_path / "saved.ipynb")
    assert steps.notebook_digest(tmp_path / "saved.ipynb") == before
    notebook.cells[-2]["source"] += "\n1 + 1"
    nbformat.write(notebook, tmp_path / "edited.ipynb")
    assert steps.notebook_digest(tmp_path / "edited.ipynb") != before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("02", ["02_train"]),
        ("train", ["02_train"]),
        ("02_train", ["02_train"]),
        ("04-05", ["04_calibration", "05_convert"]),
        ("05-", ["05_convert", "06_verify"]),
        ("-01", ["00_environment", "01_data"]),
    ],
)
def test_steps_are_named_in_full_by_number_or_as_a_range(text, expected):
    assert [step.name for step in steps.select(text)] == expected


def test_make_and_package_agree_on_what_a_step_reads():
    """The Makefile's rules are the inputs that `STEPS` declares."""
    database = subprocess.run(
        ["make", "-pnq", "RECIPE=smoke", "help"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    out = "output/smoke"
    for step in steps.STEPS:
        target = re.escape(f"{out}/steps/{step.name}.json")
        rule = re.search(rf"^{target}:(.*)$", database, re.MULTILINE)
        prerequisites = set(rule[1].split()) if rule else set()
        declared = {f"{out}/{path.format(name='smoke')}" for path in step.inputs}
        chain = {f"{out}/steps/00_environment.json"} if step.name == "01_data" else set()
        implicit = {f"{out}/.inputs/{step.name}.json"}
        assert prerequisites - implicit == declared | chain, step.name
        for path in declared:
            writer = next(
                s
                for s in steps.STEPS
                if path.removeprefix(f"{out}/") in {o.format(name="smoke") for o in s.outputs}
            )
            made_by = re.search(rf"^{re.escape(path)}:(.*)$", database, re.MULTILINE)
            assert made_by and f"{out}/steps/{writer.name}.json" in made_by[1]


def test_bare_make_prints_help():
    result = subprocess.run(["make"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "make rknn" in result.stdout


def test_missing_input_names_the_step_to_run_first(tmp_path):
    with pytest.raises(PipelineError, match=r"inference\.json is missing: run 02_train first"):
        steps.Run("03_export", "smoke", str(tmp_path))


# --- two runs at once -----------------------------------------------------------------


def test_second_run_of_a_recipe_says_who_holds_the_lock(finished):
    with FolderLock(finished, "01_data by a test"):
        result = run_command(
            "run", "01", "--recipe", "smoke", "--output", str(finished), *settings(TINY)
        )
    assert result.returncode == 1
    assert f"is in use by process {os.getpid()} (01_data by a test, since " in last_line(result)


def test_notebook_that_failed_can_be_run_again_in_the_same_kernel(tmp_path):
    for _ in range(2):
        run = steps.Run("00_environment", "smoke", str(tmp_path))
    with pytest.raises(PipelineError, match="is in use by process"):
        FolderLock(run.folder, "another program").acquire()
    (run.folder / "environment.json").write_text("[]")
    run.finish()
    FolderLock(run.folder, "another program").acquire().release()


def test_lock_is_gone_with_its_holder_even_after_kill(tmp_path):
    code = (
        f"import sys, time; sys.path.insert(0, {str(PROJECT)!r})\n"
        "from pathlib import Path; from mnist_rknn.files import FolderLock\n"
        f"lock = FolderLock(Path({str(tmp_path)!r}), 'x').acquire(); print('held', flush=True)\n"
        "time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(PipelineError, match=f"process {holder.pid}"):
        FolderLock(tmp_path, "y").acquire()
    holder.kill()
    holder.wait()
    FolderLock(tmp_path, "y").acquire().release()


# --- make sees only what is stale ------------------------------------------------------


def test_list_shows_state_and_reason(finished):
    result = run_command(
        "run", "--list", "--recipe", "smoke", "--output", str(finished),
        *settings((*TINY, "rknn.quantized_method=layer")),
    )  # fmt: skip
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["02_train"] == "up to date"
    assert lines["05_convert"] == "to run: its settings (rknn.quantized_method) changed"


def test_training_depends_on_every_file_the_engine_loads():
    """The launcher runs in a process of its own; what it imports shapes the weights."""
    graph = grimp.build_graph("mnist_rknn", cache_dir=None)
    launcher = "mnist_rknn.training.paddleclas_launcher.launcher"
    loaded = {launcher, *graph.find_upstream_modules(launcher)}
    files = {name.replace(".", "/").removeprefix("mnist_rknn/") + ".py" for name in loaded}
    assert len(files) > 5
    assert files <= set(steps.select("02")[0].modules)
