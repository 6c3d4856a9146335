"""A wrong answer is told what is likely wrong with it."""

import numpy as np
import pytest

from mnist_rknn.compression import exercises
from mnist_rknn.errors import PipelineError

MISTAKES = [
    (name, said, mistake)
    for name, exercise in exercises.EXERCISES.items()
    for said, mistake in exercise.mistakes.items()
]


@pytest.mark.parametrize("name", exercises.EXERCISES)
def test_the_right_answer_is_right_and_none_is_not_written(name):
    assert exercises.check(name, exercises.EXERCISES[name].right) == f"{name}: right"
    assert exercises.check(name, lambda *_: ...) == f"{name}: not written yet"


@pytest.mark.parametrize(("name", "said", "mistake"), MISTAKES, ids=[m[1][:40] for m in MISTAKES])
def test_each_mistake_is_recognised_and_no_other_is_named(name, said, mistake):
    assert exercises.check(name, mistake) == f"{name}: not yet; {said}"


def test_an_unknown_mistake_shows_a_case():
    said = exercises.check("gaps", lambda weights: np.full(np.count_nonzero(weights), 7))
    assert said == (
        "gaps: not yet; for ([0., 0., 3., 0., 5., 6., 0., 0., 0., 2.]) it gives [7, 7, 7, 7], "
        "wanted is [2, 1, 0, 3]"
    )
    assert "shape is (), wanted is (4,)" in exercises.check("gaps", lambda weights: 1)
    assert "stops with ZeroDivisionError" in exercises.check("gaps", lambda weights: 1 / 0)


def test_a_students_function_cannot_spoil_the_cases():
    def careless(weights):
        weights[:] = 0
        return weights

    exercises.check("gaps", careless)
    assert exercises.check("gaps", exercises.EXERCISES["gaps"].right) == "gaps: right"


def test_an_unknown_exercise_is_one_line():
    with pytest.raises(PipelineError, match="no exercise 'x': there are keep, nearest"):
        exercises.check("x", print)
