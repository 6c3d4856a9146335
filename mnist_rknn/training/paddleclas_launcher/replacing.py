"""Replacing a part of PaddleClas or Paddle, or adding one: neither may fail in silence."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any


def replace(owner: Any, name: str, make: Callable[[Any], Any], takes: Sequence[str]) -> None:
    """Put `make(original)` in place of `owner.name`.

    Args:
        owner: a module or a class.
        name: of a function or a class in it.
        make: gets the original and returns what stands there from now on.
        takes: the first parameters that the original must have, in this order.

    Raises:
        RuntimeError: it is not there, or takes other parameters: this is another version.
    """
    place = f"{getattr(owner, '__name__', owner)}.{name}"
    original = getattr(owner, name, None)
    if original is None:
        raise RuntimeError(f"{place} is to be replaced and is not there: another version?")
    signature = inspect.signature(original)
    given = list(signature.parameters)
    if given[: len(takes)] != list(takes):
        raise RuntimeError(
            f"{place} is to be replaced and takes ({', '.join(given)}), "
            f"not ({', '.join(takes)}): another version?"
        )
    made = make(original)
    if inspect.isfunction(made):
        made.__signature__ = signature  # type: ignore[attr-defined]  # it may be replaced again
    setattr(owner, name, made)


def add(owner: Any, name: str, value: Any) -> None:
    """Put `value` where a library looks things up by name and has none of this name.

    Args:
        owner: a module or a class.

    Raises:
        RuntimeError: it has one, which would be hidden: this is another version.
    """
    if hasattr(owner, name):
        place = f"{getattr(owner, '__name__', owner)}.{name}"
        raise RuntimeError(f"{place} is to be added and is there already: another version?")
    setattr(owner, name, value)
