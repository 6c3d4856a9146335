"""What is right or wrong with a student's answer, in one line that names the likely mistake.

A function is held against the right one and against wrong ones, on cases that it may not spoil. A
value is held against the right value and against those that known mistakes give; it is never told
what the right one is.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import PipelineError
from .language import _, later

Function = Callable[..., Any]


def _as_it_is(answer: Any) -> Any:
    return answer


class Exercise(NamedTuple):
    """What is asked for.

    With cases, a function is asked for: `right` and the mistakes are functions of a case. Without,
    a value is: they are functions of the run's folder, which give it.
    """

    right: Function
    cases: tuple[tuple, ...]  # arguments
    mistakes: dict[str, Function]  # what to say about each
    read: Function = _as_it_is  # what an answer comes to, before it is compared
    tolerance: float = 1e-6  # relative


NOT_YET = later("not yet; {}")


class Refused(NamedTuple):
    """Something that could not be worked out; equal if it was refused with the same words."""

    why: str


def check(
    exercises: Mapping[str, Exercise], name: str, answer: Any, run: Path | None = None
) -> str:
    """What is right or wrong with an answer, in one line.

    Args:
        answer: a function or a value; None and ... are no answer.
        run: folder of the run, for exercises that ask about it.

    Raises:
        PipelineError: there is no such exercise.
    """
    if name not in exercises:
        raise PipelineError(
            _("no exercise {name!r}: there are {names}").format(
                name=name, names=", ".join(exercises)
            )
        )
    exercise = exercises[name]
    if answer is None or answer is Ellipsis:
        return _("{name}: not answered yet").format(name=name)
    with np.errstate(all="ignore"):
        said = (
            _of_function(exercise, answer) if exercise.cases else _of_value(exercise, answer, run)
        )
    return _("{name}: {said}").format(name=name, said=said)


# --- functions --------------------------------------------------------------------------


def _of_function(exercise: Exercise, function: Any) -> str:
    right, cases, mistakes, tolerance = (*exercise[:3], exercise.tolerance)
    if not callable(function):
        return _(NOT_YET).format(
            _("a function is asked for, and this is {value}").format(value=_short(function))
        )
    try:
        found = [function(*_copies(case)) for case in cases]
    except Exception as error:  # whatever a first attempt does
        return _("it stops with {}: {}").format(type(error).__name__, " ".join(str(error).split()))
    if any(answer is None or answer is Ellipsis for answer in found):
        return _("not written yet")
    wanted = [right(*_copies(case)) for case in cases]
    if _alike(found, wanted, tolerance):
        return _("right")
    for said, mistake in mistakes.items():
        if _alike(found, [mistake(*_copies(case)) for case in cases], tolerance):
            return _(NOT_YET).format(_(said))
    return _(NOT_YET).format(_first_difference(cases, found, wanted, tolerance))


def _first_difference(cases: tuple[tuple, ...], found: list, wanted: list, tolerance: float) -> str:
    """What an answer gives for the first case in which it is wrong."""
    pairs = zip(found, wanted, strict=True)
    number = next(n for n, pair in enumerate(pairs) if not _same(*pair, tolerance))
    shapes = _shape(found[number]), _shape(wanted[number])
    if shapes[0] != shapes[1]:
        return _("the answer's shape is {}, wanted is {}").format(*shapes)
    given = ", ".join(_short(argument) for argument in cases[number])
    return _("for ({given}) it gives {found}, wanted is {wanted}").format(
        given=given, found=_short(found[number]), wanted=_short(wanted[number])
    )


def _shape(value: Any) -> tuple[int, ...] | None:
    """None for rows of different lengths, which are no array."""
    try:
        return np.shape(value)
    except ValueError:
        return None


def _copies(case: tuple) -> list:
    return [np.copy(value) if isinstance(value, np.ndarray) else value for value in case]


def _alike(found: list, wanted: list, tolerance: float) -> bool:
    return all(_same(*pair, tolerance) for pair in zip(found, wanted, strict=True))


# --- values -----------------------------------------------------------------------------


def _of_value(exercise: Exercise, answer: Any, run: Path | None) -> str:
    found, wanted = _read(exercise, answer), _read(exercise, exercise.right(run))
    if isinstance(wanted, Refused):
        raise PipelineError(wanted.why)
    if _same(found, wanted, exercise.tolerance):
        return _("right")
    for said, mistake in exercise.mistakes.items():
        if _same(found, _read(exercise, mistake(run)), exercise.tolerance):
            return _(NOT_YET).format(_(said))
    if isinstance(found, Refused):
        return _(NOT_YET).format(found.why)
    return _(NOT_YET).format(
        _likely(found, wanted) or _("{answer} is not it").format(answer=_short(answer))
    )


def _read(exercise: Exercise, answer: Any) -> Any:
    try:
        return exercise.read(answer)
    except PipelineError as error:
        return Refused(str(error))


def _likely(found: Any, wanted: Any) -> str:
    """What is likely wrong with a value that no mistake of this exercise gives; "" if unknown."""
    if isinstance(wanted, str) and not isinstance(found, str):
        return _("a text is asked for, and nothing else")
    if not _is_number(wanted):
        return ""
    if not _is_number(found):
        return _("a number is asked for, and nothing else")
    signs = (
        (_("the sign"), _same(found, -wanted, 0.01)),
        (_("a share is asked for, 0 to 1, and this is per cent"), _same(found, 100 * wanted, 0.01)),
        (_("a hundred times too small: is it a share?"), _same(100 * found, wanted, 0.01)),
        (_("off by one"), isinstance(wanted, int) and abs(found - wanted) == 1),
        (_("nearly: mind the rounding"), _same(found, wanted, 0.03)),
    )
    return next((said for said, holds in signs if holds), "")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


# --- both -------------------------------------------------------------------------------


def _same(first: Any, second: Any, tolerance: float) -> bool:
    if isinstance(first, str) and isinstance(second, str):
        return " ".join(first.casefold().split()) == " ".join(second.casefold().split())
    if isinstance(second, (dict, Refused)) or isinstance(first, (dict, Refused)):
        return type(first) is type(second) and first == second
    a, b = _array(first), _array(second)
    if a is None or b is None or a.shape != b.shape:
        return False
    return bool(np.allclose(a, b, rtol=tolerance, atol=1e-9, equal_nan=True))


def _array(value: Any) -> np.ndarray | None:
    """float64; None for what is no numbers: a text, or a truth where a number is meant."""
    try:
        array = np.asarray(value)
        return None if array.dtype.kind in "bUSO" and array.ndim == 0 else array.astype(np.float64)
    except (TypeError, ValueError):
        return None


def _short(value: Any) -> str:
    if isinstance(value, str) or _shape(value) is None:
        return repr(value)[:200]
    text = np.array2string(np.asarray(value), separator=", ", threshold=12, precision=3)
    return " ".join(text.split())
