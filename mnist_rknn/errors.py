"""Errors: those a user can mend, in one line, and ours, which want a traceback."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from .language import _

if TYPE_CHECKING:
    from collections.abc import Iterator


class PipelineError(Exception):
    """Something a user can mend: one line that names the thing and the cure.

    The command prints the message and exits with status 1; notebooks show it as the last line of
    the failing cell.
    """

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))  # names of files and keys may hold anything


class Cure(NamedTuple):
    """What mends a thing, for the two kinds of people who may ask about it."""

    step: str  # for who runs our steps: the step that makes the thing
    owner: str  # for who brought it: they never ran a step of ours, and have no recipe of ours


class Finding(PipelineError):
    """What is wrong with a thing that one of our steps made, or somebody else.

    The finding holds the cause; who asked decides which cure is said with it. As it stands it
    speaks to who runs our steps; `told_to_owners` tells it to everybody else.

    Args:
        cause: names the thing and what is wrong with it.
    """

    def __init__(self, cause: str, cure: Cure):
        self.cause, self.cure = cause, cure
        super().__init__(_("{cause}: {cure}").format(cause=cause, cure=_(cure.step)))

    def __reduce__(self) -> tuple:  # it comes back from a simulator's process
        return (type(self), (self.cause, self.cure))

    def for_owner(self) -> str:
        """The line for somebody who brought the thing."""
        return _("{cause}: {cure}").format(cause=self.cause, cure=_(self.cure.owner))


@contextlib.contextmanager
def told_to_owners() -> Iterator[None]:
    """Tell findings of the block to somebody who brought the thing and never ran our steps."""
    try:
        yield
    except Finding as finding:
        raise PipelineError(finding.for_owner()) from finding


class Fault(Exception):
    """A mistake of this project, which no user can mend: shown with its traceback.

    Its last line asks for a report, so that it is not taken for something a user did.
    """

    def __init__(self, message: str):
        super().__init__(
            _(
                "{message}: this is a fault of mnist-rknn, not yours; please report it, with the "
                "traceback"
            ).format(message=message)
        )
