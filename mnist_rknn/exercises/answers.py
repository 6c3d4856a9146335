"""The exercises of all notebooks, by notebook and number, and their check."""

from pathlib import Path
from typing import Any

from ..checking import Exercise
from ..checking import check as checked
from . import converting, judging, learning, seeing

EXERCISES: dict[str, Exercise] = {
    **seeing.EXERCISES,
    **learning.EXERCISES,
    **converting.EXERCISES,
    **judging.EXERCISES,
}


def check(name: str, answer: Any, run: Path | None = None) -> str:
    """What is right or wrong with a student's answer, in one line; see `checking.check`."""
    return checked(EXERCISES, name, answer, run)
