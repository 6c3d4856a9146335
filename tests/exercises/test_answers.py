"""The exercises of notebooks 00 to 10: the right answer passes, a likely mistake is named."""

import contextlib
import io
import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest
from support.runs import PROJECT

from mnist_rknn.checking import Exercise
from mnist_rknn.errors import PipelineError
from mnist_rknn.exercises import answers

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))[:11]
SOLUTIONS = [path.parent / "solutions" / path.name for path in NOTEBOOKS]
OF_A_RUN = {"05.4"}  # the others need none
MISTAKES = [(name, said) for name, one in answers.EXERCISES.items() for said in one.mistakes]
JUNK = (
    0, 1, -1, 2, 100, 10**9, 0.5, math.nan, math.inf, True, False, "", "x", "0", "null", [], {},
    [0], [[1], [1, 2]], object(), ["x=1"], ["seed=7"], (1, 2), len, lambda *given: 0,
    lambda *given: given[0],
    lambda *given: [], lambda *given: 1 / 0, lambda *given: math.nan, lambda: 1, lambda *given: "x",
    lambda *given: [[1], [1, 2]], lambda *given: object(), lambda *given: "a\nb",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tiny_run) -> Path:
    return tiny_run


def answer(exercise: Exercise, function, run: Path):
    """What a student would hand in: the function itself, or the value that it gives."""
    return function if exercise.cases else function(run)


def code_of(path: Path, tag: str = "") -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and (not tag or tag in cell["metadata"].get("tags", []))
    ]


def printed(cells: list[str], **names) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for source in cells:
            exec(source, names)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("name", answers.EXERCISES)
def test_the_right_answer_is_right(name, folder):
    exercise = answers.EXERCISES[name]
    given = answer(exercise, exercise.right, folder)
    assert answers.check(name, given, folder) == f"{name}: right"


@pytest.mark.parametrize(("name", "said"), MISTAKES, ids=[f"{n} {s[:30]}" for n, s in MISTAKES])
def test_each_mistake_is_named_and_no_other(name, said, folder):
    exercise = answers.EXERCISES[name]
    given = answer(exercise, exercise.mistakes[said], folder)
    assert answers.check(name, given, folder) == f"{name}: not yet; {said}"


def test_every_exercise_knows_three_mistakes_and_every_notebook_has_three_to_five():
    assert {name for name, one in answers.EXERCISES.items() if len(one.mistakes) < 3} == set()
    counts = Counter(name[:2] for name in answers.EXERCISES)
    assert set(counts) == {path.name[:2] for path in NOTEBOOKS}
    assert set(counts.values()) <= {3, 4, 5}


@pytest.mark.parametrize("name", answers.EXERCISES)
def test_nothing_is_right_that_is_not_and_the_right_value_is_not_told(name, folder):
    exercise = answers.EXERCISES[name]
    for junk in JUNK:
        said = answers.check(name, junk, folder)
        assert said.startswith(f"{name}: ") and not said.endswith(": right"), junk
        assert "\n" not in said
        if not exercise.cases and isinstance(value := exercise.right(folder), (int, float)):
            assert not re.search(rf"(?<![\d.]){re.escape(f'{value:.4g}')}(?![\d.])", said), junk


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (-32, "the sign"),
        (0.32, "a hundred times too small"),
        (33, "off by one"),
        ("32", "a number is asked for"),
        ([32, 48], "a number is asked for"),
        (lambda: 32, "a number is asked for"),
        (1000, "1000 is not it"),
    ],
)
def test_a_value_that_no_mistake_gives_is_looked_at_too(given, said):
    assert said in answers.check("01.1", given)


def test_a_function_is_not_called_right_for_one_case():
    """One that gives what the first case wants, whatever it is asked."""
    for name, exercise in answers.EXERCISES.items():
        if exercise.cases:
            first = exercise.right(*exercise.cases[0])
            said = answers.check(name, lambda *given, first=first: first)
            assert not said.endswith(": right"), name


def test_an_override_that_the_recipe_refuses_is_told_in_the_recipes_words():
    assert "unknown key train.speed: the keys here are epochs" in answers.check(
        "02.1", ["train.speed=1"]
    )
    assert "a list of texts is asked for" in answers.check("02.1", "train.learning_rate=0.1")
    assert "so nothing changes" in answers.check("02.1", ["train.learning_rate=0.2"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_exercise_that_is_left_as_it_is_runs_and_is_no_answer(path):
    asked = [name for name in answers.EXERCISES if name.startswith(path.name[:2])]

    class Run:
        folder = None  # an answer that is not there needs no run

    lines = printed(code_of(path, "exercise"), run=Run)
    assert [line.partition(": ")[0] for line in lines] == asked
    assert {line.partition(": ")[2] for line in lines} <= {"not answered yet", "not written yet"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_exercises_come_when_the_step_has_ended(path):
    """So that nothing a student writes there can keep a step from its end."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tagged = ["exercise" in cell["metadata"].get("tags", []) for cell in cells]
    ends = max(n for n, cell in enumerate(cells) if "run.finish(" in "".join(cell["source"]))
    assert tagged.index(True) > ends
    assert all(len(source.splitlines()) <= 20 for source in code_of(path, "exercise"))


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_worked_solutions_are_right(path, folder):
    asked = [name for name in answers.EXERCISES if name.startswith(path.name[:2])]
    cells = code_of(path)
    if OF_A_RUN & set(asked):
        cells = [source.replace('run = "mnist"', f"run = {str(folder)!r}") for source in cells]
        assert any(str(folder) in source for source in cells)
    assert printed(cells) == [f"{name}: right" for name in asked]


def test_an_unknown_exercise_is_one_line():
    with pytest.raises(PipelineError, match=r"no exercise '99.1': there are 00\.1, "):
        answers.check("99.1", 1)
