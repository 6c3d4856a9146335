"""Exercises that ask for a change of the recipe: what an answer changes is what counts."""

from collections.abc import Callable
from typing import Any

from .. import recipe_file
from ..checking import Exercise
from ..errors import PipelineError
from ..language import _

RECIPE = "mnist"
Changed = dict[str, Any]  # by key, the new values


def changed(overrides: Any) -> Changed:
    """What a list of overrides changes in the default recipe.

    Raises:
        PipelineError: it is no list of texts, or the recipe refuses it, or nothing changes.
    """
    if not isinstance(overrides, list) or not all(isinstance(text, str) for text in overrides):
        raise PipelineError(_('a list of texts is asked for, as ["section.key=value"]'))
    before = recipe_file.flat(recipe_file.dump(recipe_file.load(RECIPE)))
    after = recipe_file.flat(recipe_file.dump(recipe_file.load(RECIPE, overrides)))
    found = {
        key: after.get(key) for key in {**before, **after} if before.get(key) != after.get(key)
    }
    if not found:
        raise PipelineError(_("the recipe has that value already, so nothing changes"))
    return found


def change(right: str, mistakes: dict[str, str]) -> Exercise:
    """An exercise whose answer is a list with one override.

    Args:
        mistakes: what to say, and the override that is told so.
    """
    return Exercise(
        _always([right]),
        (),
        {said: _always([override]) for said, override in mistakes.items()},
        read=changed,
    )


def _always(overrides: list[str]) -> Callable[[Any], list[str]]:
    return lambda _run: overrides
