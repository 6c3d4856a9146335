"""Notebooks are committed with outputs, and CI says when these are no longer true."""

import base64
import io
import shutil

import nbformat
import numpy as np
import pytest
from PIL import Image
from support.runs import PROJECT, run_script

from mnist_rknn import plots, recipe_file
from mnist_rknn.pipeline import outputs, reached, steps
from mnist_rknn.verification import frame_plots, quotes

CONVERT = steps.find("05")
SAID = "87,486 cycles, 180.688 KB of weights"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that executed 05; the notebooks are a copy without outputs."""
    shutil.copytree(steps.NOTEBOOKS, tmp_path / "notebooks")
    monkeypatch.setattr(outputs, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(steps.notebook_file, "__defaults__", (tmp_path / "notebooks",))
    for step in steps.STEPS:
        outputs.strip(outputs.of(step))
    execute(tmp_path / "run", nbformat.v4.new_output("stream", name="stdout", text=f"{SAID}\n"))
    return tmp_path / "run"


def execute(run, *shown) -> None:
    """An executed copy of 05 in which every cell shows something."""
    notebook = nbformat.read(outputs.of(CONVERT), as_version=4)
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
        cell.execution_count, cell.outputs = number, list(shown)
    copy = outputs.executed_copy(CONVERT, run)
    copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, copy)
    reached.stamp(copy, outputs.code_digest(CONVERT))


def edit(kind: str, old: str, new: str) -> None:
    """Change the first cell of a kind in which `old` stands."""
    path = outputs.of(CONVERT)
    notebook = nbformat.read(path, as_version=4)
    cell = next(c for c in notebook.cells if c.cell_type == kind and old in c.source)
    cell.source = cell.source.replace(old, new, 1)
    nbformat.write(notebook, path)


def test_what_the_run_showed_is_written_once_and_found_good(run):
    assert outputs.problems(CONVERT) == []
    assert outputs.is_executed(CONVERT, run)
    assert outputs.take_over(CONVERT, run) is True
    assert outputs.take_over(CONVERT, run) is False
    assert outputs.problems(CONVERT) == quotes.contradicted(CONVERT) == []
    nbformat.validate(nbformat.read(outputs.of(CONVERT), as_version=4))
    assert [step.name for step in outputs.unmade()] == [
        step.name for step in steps.STEPS if step is not CONVERT
    ]


def test_a_notebook_without_outputs_says_nothing_and_one_run_by_hand_is_found(run):
    assert [outputs.problems(step) for step in steps.STEPS] == [[] for _ in steps.STEPS]
    shutil.copy(outputs.executed_copy(CONVERT, run), outputs.of(CONVERT))
    (line,) = outputs.problems(CONVERT)
    assert "outputs of a session" in line


def test_text_may_change_and_code_may_not(run):
    outputs.take_over(CONVERT, run)
    edit("markdown", "## Configure", "## Settings")
    assert outputs.problems(CONVERT) == []
    assert outputs.is_executed(CONVERT, run)
    edit("code", "plots.use_style()", "plots.use_style()  # as in the docs")
    (line,) = outputs.problems(CONVERT)
    assert "changed after its outputs were made" in line
    assert not outputs.is_executed(CONVERT, run)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package, to change."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(steps.PACKAGE, tmp_path / "package", ignore=ignored)
    monkeypatch.setattr(reached, "PACKAGE", tmp_path / "package")
    return tmp_path / "package"


@pytest.mark.parametrize(
    ("module", "old", "new", "counts"),
    [
        ("conversion/rknn_toolkit.py", '"""', '"""Changed. ', False),
        ("conversion/rknn_toolkit.py", "def parse_log(", "def parse_log(changed=1, *, ", True),
        ("plots.py", "def use_style(", "def use_style(changed=1", True),
        ("plots.py", "def learning_curves(", "def learning_curves(changed=1, *, ", False),
        ("records.py", "class FrameGroup(", "class Another: ...\n\n\nclass FrameGroup(", False),
        ("records.py", "class FrameGroup(", "print()\n\n\nclass FrameGroup(", True),
        ("data/drawing.py", "def split(", "def split(changed=1, *, ", False),
    ],
)
def test_what_of_the_package_the_notebook_reaches_counts(run, package, module, old, new, counts):
    outputs.take_over(CONVERT, run)
    text = (package / module).read_text(encoding="utf-8")
    assert old in text
    (package / module).write_text(text.replace(old, new, 1), encoding="utf-8")
    found = outputs.problems(CONVERT)
    assert [("changed after its outputs" in line) for line in found] == [True] * counts
    assert outputs.is_behind(CONVERT) is counts and outputs.is_executed(CONVERT, run) is not counts


def test_code_is_reached_by_name_through_other_code():
    module = """
from a import far as near

def called(): return near() + LIMIT
def idle(): return 1
def unused(): return called()
LIMIT: int = 3
OTHER = {"x": idle}
@noted
def listed(): return by_text
def by_text(): ...
class Made:
    def method(self): return Base
class Base: ...
"""
    defined = {"called", "idle", "unused", "LIMIT", "OTHER", "listed", "by_text", "Made", "Base"}

    def found(*names):
        dumps = reached.reached(names, [module, "def far(): ..."])
        return {name for name in {*defined, "far"} if any(f"'{name}'," in d[:60] for d in dumps)}

    assert found() == {"listed", "by_text", "far"}
    assert found("called") == {"listed", "by_text", "far", "called", "LIMIT"}
    assert found("Made") == {"listed", "by_text", "far", "Made", "Base"}
    assert found("OTHER") == {"listed", "by_text", "far", "OTHER", "idle"}


def test_settings_of_the_steps_before_count(monkeypatch):
    recipes = [recipe_file.load("mnist", changes) for changes in ([], ["train.epochs=9"])]
    before, after = ([reached.digest(step, one) for step in steps.STEPS[:7]] for one in recipes)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True] + [False] * 2 + [
        True,  # nothing that 04 reads comes from the training
        False,
        False,
    ]


def test_outputs_of_another_session_do_not_pass(run):
    outputs.take_over(CONVERT, run)
    path = outputs.of(CONVERT)
    path.write_text(path.read_text(encoding="utf-8").replace("87,486", "48,028"), encoding="utf-8")
    (line,) = outputs.problems(CONVERT)
    assert "are not those that `make notebooks` wrote" in line


def test_once_one_has_outputs_all_have_but_the_lab_which_says_so(run):
    assert outputs.missing() == [] and len(outputs.unmade()) == len(steps.STEPS)
    outputs.take_over(CONVERT, run)
    lacking = [step for step in steps.STEPS if not step.lab and step is not CONVERT]
    assert len(lacking) >= 10 and outputs.missing() == lacking
    assert outputs.kept() == [*lacking[:5], CONVERT, *lacking[5:]]
    pruning = steps.find("11")
    assert pruning.lab and quotes.silent(pruning) == quotes.silent(CONVERT) == []
    assert "It was not run for this page" in quotes.not_run("11_pruning")
    assert quotes.not_run("05_convert") == ""
    notebook = outputs.read(outputs.of(pruning))
    notebook["cells"][0]["source"] = ["# 11"]
    outputs.write(outputs.of(pruning), notebook)
    (line,) = quotes.silent(pruning)
    assert "11_pruning.ipynb has no outputs and does not say so" in line


@pytest.mark.parametrize("name", [step.name for step in steps.STEPS if step.lab])
def test_a_lesson_of_the_lab_says_nothing_of_outputs_once_it_has_some(run, name):
    path = outputs.of(steps.find(name))
    before = quotes.refreshed(path.read_text(encoding="utf-8"), path)
    notebook = outputs.read(path)
    notebook["metadata"][outputs.KEY] = {"code": "", "outputs": ""}
    outputs.write(path, notebook)
    after = quotes.refreshed(path.read_text(encoding="utf-8"), path)
    assert ("not run for this page" in before, "not run for this page" in after) == (True, False)
    assert quotes.silent(steps.find(name)) == []


def stream(text: str, name: str = "stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


@pytest.mark.parametrize(
    ("shown", "fault"),
    [
        (stream("Using the font", "stderr"), "prints on stderr"),
        (stream("results in /srv/lessons/output/mnist"), "a path of a machine, /srv/lessons"),
        (stream("UserWarning: deprecated"), "a warning, UserWarning:"),
        (nbformat.v4.new_output("error", ename="KeyError", evalue="x"), "an error, KeyError"),
    ],
)
def test_what_nobody_should_read_is_found(run, shown, fault):
    execute(run, shown)
    outputs.take_over(CONVERT, run)
    found = outputs.problems(CONVERT)
    assert len(found) > 10 and all(fault in line for line in found)


@pytest.mark.parametrize(
    "text", ["see https://example.org/a/b", "1/2 of 3/4", "</td>/<td>", "output/mnist/mnist.rknn"]
)
def test_what_is_no_path_of_a_machine_passes(run, text):
    execute(run, stream(text))
    outputs.take_over(CONVERT, run)
    assert outputs.problems(CONVERT) == []


def test_pieces_of_a_stream_are_one_output(run):
    execute(run, stream("one\nt"), stream("wo\n"))
    outputs.take_over(CONVERT, run)
    cell = next(c for c in outputs.read(outputs.of(CONVERT))["cells"] if c["cell_type"] == "code")
    assert [output["text"] for output in cell["outputs"]] == [["one\n", "two\n"]]


def test_a_progress_bar_leaves_what_a_screen_shows_in_the_end(run):
    execute(
        run, stream("\rlooking: 40%"), stream("\rlooking: 100%"), stream("\r" + 14 * " " + "\rok\n")
    )
    outputs.take_over(CONVERT, run)
    cell = next(c for c in outputs.read(outputs.of(CONVERT))["cells"] if c["cell_type"] == "code")
    assert [output["text"] for output in cell["outputs"]] == [["ok\n"]]


def test_a_large_notebook_and_widgets_are_found(run):
    execute(run, stream("x" * (outputs.LARGEST // 10)))
    outputs.take_over(CONVERT, run)
    notebook = outputs.read(outputs.of(CONVERT))
    notebook["metadata"]["widgets"] = {}
    outputs.write(outputs.of(CONVERT), notebook)
    found = outputs.problems(CONVERT)
    assert len(found) == 2 and "bytes, more than 600,000" in found[0] and "widgets" in found[1]


def test_a_figure_in_the_text_that_no_output_shows_is_found(run):
    execute(run, stream("86,486 cycles, 180.688 KB of weights"))
    outputs.take_over(CONVERT, run)
    (line,) = quotes.contradicted(CONVERT)
    assert "its text says 87,486 (mnist cycles)" in line


@pytest.mark.parametrize(
    ("quoted", "number", "same"),
    [
        ("99.73", 0.9973, True),
        ("99.73", 0.99729, True),
        ("99.73", 0.9974, False),
        ("181", 180.688, True),
        ("181", 180.4, False),
        ("87,486", 87486, True),
    ],
)
def test_a_figure_is_shown_if_it_is_an_output_rounded(quoted, number, same):
    assert quotes._is_among(quoted, [0.0, number]) is same


def drawing():
    noise = np.random.default_rng(1).integers(0, 256, (48, 48), np.uint8)
    return plots.image_grid([noise] * 10, ["a digit"] * 10)


def photograph():
    tones = np.linspace(40, 200, 640)[None, :, None] + np.zeros((480, 1, 3))
    noise = np.random.default_rng(1).normal(0, 6, tones.shape)
    return frame_plots.frame_row([np.clip(tones + noise, 0, 255).astype(np.uint8)], ["a frame"])


@pytest.mark.parametrize(
    ("figure", "kind", "share"), [(drawing, "image/png", 0.6), (photograph, "image/jpeg", 0.2)]
)
def test_pictures_get_smaller_and_stay_what_they_are(run, figure, kind, share):
    buffer = io.BytesIO()
    figure().savefig(buffer, format="png")
    picture = base64.b64encode(buffer.getvalue()).decode()
    execute(run, nbformat.v4.new_output("display_data", {"image/png": picture}))
    outputs.take_over(CONVERT, run)
    nbformat.validate(nbformat.read(outputs.of(CONVERT), as_version=4))
    cell = next(c for c in outputs.read(outputs.of(CONVERT))["cells"] if c["cell_type"] == "code")
    assert set(cell["outputs"][0]["data"]) == {kind}
    small = cell["outputs"][0]["data"][kind]
    assert len(small) < share * len(picture)
    before, after = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), float)
        for data in (picture, small)
    )
    assert before.shape == after.shape
    assert np.abs(before - after).mean() < 5


def test_the_committed_notebooks_are_true():
    result = run_script("notebooks.py", "--check", "--json")
    assert (result.returncode, result.stderr) == (0, ""), result.stdout


def test_steps_that_are_not_there_are_refused():
    result = run_script("notebooks.py", "77")
    assert result.returncode == 1
    assert "unknown step" in result.stderr
    assert (PROJECT / "notebooks" / "05_convert.ipynb").is_file()
