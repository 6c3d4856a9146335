"""What the notebooks give to try: it shows what the solution says, and costs no finished model.

The notebooks run as a student runs them, with `overrides` in their parameters or a line of a cell
changed, on a finished run of a few pictures.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from support.runs import PROJECT, TINY, everything, run_command, settings

from mnist_rknn.errors import PipelineError
from mnist_rknn.files import read_json
from mnist_rknn.pipeline import runner, runs, steps, tries
from mnist_rknn.records import SecondOpinion, Verification


class Student:
    """Someone with a finished run of recipe smoke who works in the notebooks."""

    def __init__(self, output: Path):
        self.output, self.run = output, output / "smoke"
        self.overrides: list[str] = []

    def opens(self, step: str, edit: Callable[[str], str] = str, **parameters) -> str:
        """Run a notebook from the top; returns all that its cells printed or showed."""
        name = steps.find(step).name
        notebook = nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4)
        for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
            cell.source = edit(cell.source)
        # Beside the others, as its cells name neighbours by "..".
        copy = self.output / "notebooks" / f"{name}.ipynb"
        copy.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, copy)
        executed = self.output / "executed" / f"{name}.ipynb"
        given = {"recipe": "smoke", "output": None, "overrides": self.overrides, **parameters}
        runner.execute(copy, executed, given)
        outputs = [
            output
            for cell in nbformat.read(executed, as_version=4).cells
            for output in cell.get("outputs", [])
        ]
        return "\n".join(
            output.get("text", "") or output.get("data", {}).get("text/plain", "")
            for output in outputs
        )

    @property
    def tried(self) -> Path:
        return tries.folder(self.run, self.overrides)


@pytest.fixture
def student(tiny_run, tmp_path, monkeypatch) -> Student:
    output = tmp_path / "output"
    shutil.copytree(tiny_run, output / "smoke", symlinks=True)
    monkeypatch.setenv("MNIST_RKNN_OUTPUT", str(output))
    return Student(output)


class Exercise(NamedTuple):
    overrides: list[str]
    notebooks: list[str]
    shows: str  # stands in what the last notebook shows, or in the line it stops with
    stops: bool = False


EXERCISES = {
    "01.3": Exercise(["image.width=28"], ["01"], "use a multiple of 16", True),
    "01.4": Exercise(
        ["dataset.redraw={plain: 500, untouched: 200, camera: 500, drawn: 200}"], ["01"], "drawn"
    ),
    "02.1": Exercise(["train.epochs=2"], ["02"], "this try"),
    "02.2": Exercise(["model.arguments.stages=[[16], [24, 24], [32, 32]]"], ["02"], "parameters"),
    "03.1": Exercise(["export.logits=Add.53"], ["03"], "Add.53", True),
    "04.2": Exercise(["calibration.images=500"], ["04", "05", "06"], "500"),
    "05.1": Exercise(["rknn.quantized_algorithm=kl_divergence"], ["05"], "this try"),
    "05.2": Exercise(["image.mean=[0.5, 0.5, 0.5]"], ["05"], "multiply a mean given as", True),
    "06.1": Exercise(["rknn.quantized_method=layer"], ["05", "06"], "this try"),
    "06.2": Exercise(["budget.cycles=1000"], ["06"], "exceed budget.cycles 1,000", True),
    "06.3": Exercise(["verify.min_accuracy=0.9999"], ["06"], "min_accuracy 0.9999", True),
    "07.2": Exercise(
        ["dataset.redraw.strengths.camera.shadow=0.8"], ["01", "02", "03", "07"], "shadow"
    ),
    "07.3": Exercise(["dataset.redraw.drawn=0"], ["01", "02", "03", "07"], "camera"),
}
WITH_AN_EDIT = ("03.2",)  # of a cell too, so in a test of its own
QUICK = ("01.3", "03.1", "05.1", "05.2", "06.2")  # of every kind one; the others in make test-all


@pytest.mark.parametrize(
    "number",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in EXERCISES],
)
def test_an_exercise_shows_what_its_solution_says_and_leaves_the_run_as_it_was(student, number):
    exercise = EXERCISES[number]
    before = everything(student.run)
    student.overrides = exercise.overrides
    *earlier, last = exercise.notebooks
    for step in earlier:
        student.opens(step)
    if exercise.stops:
        with pytest.raises(PipelineError) as stopped:
            student.opens(last)
        assert exercise.shows in str(stopped.value)
    else:
        assert exercise.shows in student.opens(last)
    assert everything(student.run) == before
    if number == "06.3":
        assert Verification.read(student.tried).passed is False
        assert '"verified": false' in (student.tried / "manifest.json").read_text()
    if number == "07.3":
        tables = [
            (run / "dataset" / "pictures.csv").read_text() for run in (student.run, student.tried)
        ]
        assert [",drawn," in table for table in tables] == [True, False]
    if "02" not in exercise.notebooks and not exercise.stops and last != "01":
        assert (student.tried / "train").is_symlink(), "nothing was trained"


@pytest.mark.slow
def test_the_channels_that_one_width_shares_lose_cosine_first(student):
    """06.1: cosine moves, accuracy hardly."""
    student.overrides = ["rknn.quantized_method=layer"]
    for step in ("05", "06"):
        student.opens(step)
    of_run, of_try = (Verification.read(f).stages["rknn"] for f in (student.run, student.tried))
    assert of_try.cosine.mean < of_run.cosine.mean
    assert abs(of_try.accuracy.top1 - of_run.accuracy.top1) < 0.02


@pytest.mark.slow
def test_a_graph_that_ends_in_softmax_is_stopped(student):
    """03.2: the call of onnxslim without `outputs`."""

    def without_outputs(source: str) -> str:
        return source.replace(", outputs=[logits]", "").replace("outputs=[logits],", "")

    before = everything(student.run)
    student.overrides = ["export.max_difference=0.01"]
    with pytest.raises(PipelineError, match="Softmax"):
        student.opens("03", without_outputs)
    assert everything(student.run) == before


@pytest.mark.slow
def test_kernels_that_round_elsewhere_and_one_scale_for_all_channels(student):
    """08.2 and 08.3: onnxruntime not as the graph is written, and `per_channel=False`."""
    few = {"sizes": [20], "seeds": [1], "pictures": 40}

    def opened(old: str, new: str) -> tuple[float, float]:
        student.opens("08", lambda source: source.replace(old, new), **few)
        opinion = SecondOpinion.read(student.run)
        return opinion.steps_between_engines, opinion.scores["QDQ, onnxruntime"].cosine

    steps_apart, cosine = opened("as_written=True", "as_written=True")
    assert opened(", as_written=True", "")[0] > steps_apart
    assert opened("per_channel=True", "per_channel=False")[1] < cosine


def test_frames_are_followed_from_pixels_to_text(student):
    """10: every stage shows its picture, and a line that may be no thicker than a pixel stays."""
    before = everything(student.run)
    shown = student.opens("10", each=1)
    assert "frames/s for capture, locate, crop, classify and draw" in shown
    assert "wrong answers are kept" in shown and "<Figure" in shown
    found = read_json(student.run / "frames.json")
    # The tiny run's network is too unsure to believe a digit, so nothing is asked of what it read.
    assert found["kinds"]["all"]["digits"] > found["kinds"]["all"]["frames"] > 10
    assert found["doubt"][0]["wrong_kept"] == found["doubt"][0]["wrong"]
    after = everything(student.run)
    assert {name for name in after if after[name] != before.get(name)} == {
        "frames.json",
        "steps/10_frames.json",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"chinese": True, "each": 40},
        {"each": 12},
        {"each": 12, "changes": ["train.transforms=[{RandFlipImage: {flip_code: 1}}]"]},
    ],
)
def test_pictures_of_ones_own_with_other_parameters(student, parameters):
    """09.2 to 09.4: parameters of the notebook, in a folder of its own."""
    before = everything(student.run)
    shown = student.opens("09", output=str(student.output / "own"), **parameters)
    assert ("圆形" in shown) is bool(parameters.get("chinese"))
    recipe = (student.output / "own" / "own_data" / "run" / "recipe.yaml").read_text("utf-8")
    assert ("RandFlipImage" in recipe) is ("changes" in parameters)
    assert everything(student.run) == before


def test_the_numbers_here_are_those_of_the_notebooks():
    """An exercise that changes the recipe and is not run here fails."""
    found = set()
    for path in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        last = nbformat.read(path, as_version=4).cells[-1].source
        for line in last.splitlines():
            if line[:1].isdigit() and "overrides = [" in line:
                found.add(f"{path.name[:2]}.{line[0]}")
    assert found == {*EXERCISES, *WITH_AN_EDIT}


def test_a_finished_run_survives_a_step_that_is_run_again_by_hand(student):
    """Without overrides it is the run itself: its recipe is the one it was made with."""
    student.opens("04")
    assert runs.made_with(student.run).overrides == list(TINY)
    listed = run_command(
        "list", "--recipe", "smoke", "--output", str(student.run), *settings(TINY),
        env=os.environ,
    )  # fmt: skip
    assert all("up to date" in line for line in listed.stdout.splitlines()[:6]), listed.stdout
