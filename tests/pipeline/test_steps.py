"""Only what is stale runs again, and runs do not collide."""

import ast
import json
import os
import subprocess
import sys

import grimp
import pytest
from support.runs import PROJECT, TINY, last_line, run_command, settings

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import FolderLock
from mnist_rknn.pipeline import graph, runs, steps


def stale(folder, *overrides) -> list[str]:
    """Names of the steps that would run, and what they would cause to run."""
    now = graph.Graph(recipe_file.load("smoke", [*TINY, *overrides]), folder)
    return [step.name for step in steps.select("all") if now.stale_reason(step)]


def reason(folder, name: str, *overrides) -> str | None:
    now = graph.Graph(recipe_file.load("smoke", [*TINY, *overrides]), folder)
    return now.stale_reason(steps.find(name))


def test_finished_run_is_up_to_date_where_it_was_copied_to(finished):
    assert stale(finished) == []


@pytest.mark.parametrize(
    ("override", "first"),
    [
        ("rknn.quantized_algorithm=mmse", "05_convert"),
        ("verify.max_drop=0.5", "06_verify"),
        ("calibration.images=50", "04_calibration"),
        ("export.opset=13", "03_export"),
        ("train.epochs=2", "02_train"),
        ("description=other words", None),
    ],
)
def test_a_changed_key_makes_its_step_and_those_behind_it_stale(finished, override, first):
    found = stale(finished, override)
    assert (found[0] if found else None) == first
    behind = {"03_export": ["05_convert", "06_verify"], "04_calibration": ["05_convert"]}
    assert set(behind.get(first, [])) <= set(found)
    assert "04_calibration" not in found or first == "04_calibration"


def test_the_reason_names_the_key(finished):
    assert (
        reason(finished, "05", "rknn.quantized_algorithm=mmse")
        == "its settings (rknn.quantized_algorithm) changed"
    )
    assert reason(finished, "06", "rknn.quantized_method=layer").startswith("its settings (rknn.")


def test_a_step_waits_for_the_one_that_makes_its_input(finished):
    assert reason(finished, "03", "train.epochs=2") == "02_train has to run"


def test_a_missing_output_makes_its_step_stale(finished):
    (finished / "labels.txt").unlink()
    assert stale(finished)[0] == "03_export"
    assert reason(finished, "03") == "labels.txt is missing"


def test_times_do_not_count_and_content_does(finished):
    model = finished / "smoke.slim.onnx"
    model.touch()
    assert stale(finished) == []
    model.write_bytes(model.read_bytes() + b"0")
    assert reason(finished, "03") == "smoke.slim.onnx is not the file that 03_export wrote"
    assert "05_convert" in stale(finished)


def test_a_step_that_did_not_end_is_stale(finished):
    graph.record_file(steps.find("05"), finished).unlink()
    assert stale(finished) == ["05_convert", "06_verify"]
    assert reason(finished, "05") == "it has not run to its end"


CODE = '''"""What it does."""


def half(x: int) -> float:
    """Half of it."""
    return x / 2
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("    return", "    # why\n    return", True),
        ('"""Half of it."""', '"""A half."""', True),
        ("(x: int)", "(\n    x: int,\n)", True),
        ("x / 2", "x // 2", False),
        ("x / 2", "x / 3", False),
        ("def half", "def third", False),
    ],
)
def test_comments_and_layout_of_code_do_not_count(tmp_path, old, new, same):
    file = tmp_path / "a.py"
    file.write_text(CODE)
    before = graph.code_of(file)
    file.write_text(CODE.replace(old, new))
    after = graph.code_of(file, before)
    assert before.bytes != after.bytes
    assert (before.code == after.code) is same


def changed_module(monkeypatch, tmp_path, name: str, text: str):
    """The package's code as it would be with some text behind one of its files."""
    import shutil

    package = tmp_path / "mnist_rknn"
    shutil.copytree(graph.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / name).open("a") as file:
        file.write(text)
    monkeypatch.setattr(graph, "PACKAGE", package)


def test_a_comment_makes_nothing_stale(finished, monkeypatch, tmp_path):
    changed_module(monkeypatch, tmp_path, "verification/metrics.py", "\n# a remark\n")
    assert stale(finished) == []


def test_the_code_of_the_conversion_makes_conversion_and_proof_stale(
    finished, monkeypatch, tmp_path
):
    changed_module(monkeypatch, tmp_path, "conversion/rknn_toolkit.py", "\nADDED = 1\n")
    assert stale(finished) == ["05_convert", "06_verify"]
    assert reason(finished, "05") == "its code (conversion/rknn_toolkit.py) changed"


def test_the_pages_script_makes_the_proof_stale(finished, monkeypatch, tmp_path):
    changed_module(monkeypatch, tmp_path, "verification/web/network.js", "\n// a remark\n")
    assert stale(finished) == ["06_verify"]
    assert reason(finished, "06") == "its code (verification/web/network.js) changed"


def test_what_is_made_elsewhere_is_not_taken_for_the_runs_own(finished):
    """The findings that this graph mends: nothing is built on what other settings made."""
    with pytest.raises(PipelineError, match="06_verify needs 02_train, which is not up to date"):
        runs.Run("06_verify", "smoke", str(finished), [*TINY, "train.epochs=3"])
    with pytest.raises(PipelineError, match=r"run 05_convert first"):
        runs.Run("06_verify", "smoke", str(finished), [*TINY, "rknn.quantized_algorithm=mmse"])


def test_an_older_version_of_a_package_is_named(finished, monkeypatch):
    monkeypatch.setattr(graph, "installed_version", lambda package: "0.1")
    assert "packages (" in reason(finished, "02")


def test_own_data_is_read_anew_only_if_something_hints_at_a_change(tmp_path):
    data = tmp_path / "set"
    (data / "cat").mkdir(parents=True)
    picture = data / "cat" / "1.png"
    picture.write_bytes(b"one")
    before = graph.own_data(data)
    os.utime(picture, (1, 1))
    touched = graph.own_data(data, before)
    assert touched.quick != before.quick and touched.content == before.content
    picture.write_bytes(b"two")
    assert graph.own_data(data, before).content != before.content
    assert graph.own_data(tmp_path / "none") is None


def test_saving_a_notebook_with_outputs_changes_nothing(tmp_path):
    import nbformat

    notebook = nbformat.read(steps.NOTEBOOKS / "03_export.ipynb", as_version=4)
    before = graph.notebook_digest(steps.NOTEBOOKS / "03_export.ipynb")
    notebook.cells[2]["outputs"] = [nbformat.v4.new_output("stream", text="seen")]
    notebook.cells[0]["source"] += "\nmore words"
    [parameters] = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    parameters["source"] = parameters["source"].replace("[]", '["train.epochs=1"]')  # a try
    nbformat.write(notebook, tmp_path / "saved.ipynb")
    assert graph.notebook_digest(tmp_path / "saved.ipynb") == before
    answered = next(cell for cell in notebook.cells if "exercise" in cell.metadata.get("tags", []))
    answered["source"] += "\n2 + 2"  # a student's answer shapes no file
    nbformat.write(notebook, tmp_path / "answered.ipynb")
    assert graph.notebook_digest(tmp_path / "answered.ipynb") == before
    next(cell for cell in notebook.cells if "run.finish" in cell.source)["source"] += "\n1 + 1"
    nbformat.write(notebook, tmp_path / "edited.ipynb")
    assert graph.notebook_digest(tmp_path / "edited.ipynb") != before


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


def test_every_input_is_made_by_a_step_before():
    made: set[str] = set()
    for step in steps.STEPS:
        assert set(step.inputs) <= made, step.name
        made |= set(step.outputs)


def test_no_two_steps_write_into_one_place():
    places = [place for step in steps.STEPS for place in step.owns]
    assert len(places) == len(set(places)) > 12


def test_bare_make_prints_help():
    result = subprocess.run(["make"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "make rknn" in result.stdout


def test_missing_input_names_the_step_to_run_first(tmp_path):
    with pytest.raises(PipelineError, match=r"03_export needs 01_data, .* run 01_data first"):
        runs.Run("03_export", "smoke", str(tmp_path))


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
        run = runs.Run("00_environment", "smoke", str(tmp_path))
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


# --- what the command shows -----------------------------------------------------------


def test_list_shows_state_and_reason(finished):
    result = run_command(
        "run", "--list", "--recipe", "smoke", "--output", str(finished),
        *settings((*TINY, "rknn.quantized_method=layer")),
    )  # fmt: skip
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert lines["02_train"] == "up to date"
    assert lines["05_convert"] == "to run: its settings (rknn.quantized_method) changed"


NEUTRAL = {
    "errors": "says what went wrong",
    "language": "says the same in another language",
    "files": "writes, hashes and locks",
    "capture": "catches what is printed",
    "machine": "counts processes; results do not depend on how many",
    "fonts": "letters of plots",
    "plots": "pictures for the reader",
    "lesson": "drawings for the reader",
    "checking": "says what is wrong with an exercise",
    "exercises": "asked when the step has ended; writes nothing",
    "recipe": "its values are the step's settings",
    "recipe_file": "as above",
    "pipeline": "runs the steps",
}


def used_by(notebook: str, graph: grimp.ImportGraph) -> set[str]:
    """Files of the package that a notebook's code reaches, but for what is neutral."""
    package = "mnist_rknn."
    waiting = set()
    cells = json.loads((steps.NOTEBOOKS / notebook).read_text(encoding="utf-8"))["cells"]
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mnist_rknn"):
                for name in (f"{node.module}.{alias.name}" for alias in node.names):
                    waiting.add(name if name in graph.modules else node.module)
    found = set()
    while waiting:
        module = waiting.pop()
        if module in found or set(module.removeprefix(package).split(".")[:1]) & set(NEUTRAL):
            continue
        found.add(module)
        waiting |= graph.find_modules_directly_imported_by(module)
    files = (module.removeprefix(package).replace(".", "/") + ".py" for module in found)
    return {file for file in files if (PROJECT / "mnist_rknn" / file).is_file()}


# What a step is about, though its notebook does not import it as a module.
BESIDES = {
    "00_environment": {
        "pipeline/environment.py",
        "pipeline/places.py",
        "fonts.py",
        "machine.py",
    },
    "10_frames": set(steps.LOCATOR),
    # What the page is made of, which is no Python.
    "06_verify": {
        path.relative_to(steps.PACKAGE).as_posix()
        for path in (steps.PACKAGE / "verification" / "web").iterdir()
    },
}


@pytest.mark.parametrize("step", steps.STEPS, ids=lambda step: step.name)
def test_a_step_declares_just_the_code_that_its_notebook_uses(step):
    graph = grimp.build_graph("mnist_rknn", cache_dir=None)
    used = used_by(f"{step.name}.ipynb", graph) | BESIDES.get(step.name, set())
    assert set(step.modules) == used
    assert list(step.modules) == sorted(step.modules)


def test_training_declares_what_the_launcher_loads_in_its_own_process():
    graph = grimp.build_graph("mnist_rknn", cache_dir=None)
    launcher = "mnist_rknn.training.paddleclas_launcher.launcher"
    loaded = {launcher, *graph.find_upstream_modules(launcher)}
    files = {name.removeprefix("mnist_rknn.").replace(".", "/") + ".py" for name in loaded}
    files = {file for file in files if file.startswith("training/")}
    assert len(files) > 5
    assert files <= set(steps.find("02").modules)
