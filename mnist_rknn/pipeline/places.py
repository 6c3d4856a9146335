"""Folders of this machine that the steps need: short enough, writable, without blanks, there.

What fails here would fail in the middle of a run, with a message of another program. Needs
nothing that is to be installed.
"""

import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from ..errors import PipelineError
from ..files import OUTPUT, PROJECT
from ..language import _

LONGEST_SOCKET = 107  # bytes of a socket's path, unix(7)
SOCKET = "/pymp-12345678/listener-12345678"  # what multiprocessing adds to the folder
HOME_FILES = (".cache", ".local", ".config")  # where packages write, beside the home itself


class Problem(NamedTuple):
    """A folder that a step would fail on, and what to do."""

    detail: str
    cure: str

    def __str__(self) -> str:
        return f"{self.detail}: {self.cure}"


def problems(results: Path = OUTPUT) -> list[Problem]:
    """What is wrong with the folders of this machine; [] if all is well.

    Args:
        results: the folder of a run, or of all.
    """
    found = (temporary_folder(), without_blanks(results), home(), shared_memory())
    return [problem for problem in found if problem is not None]


def require(results: Path) -> None:
    """Refuse to start a step where one of the folders would let it fail.

    Raises:
        PipelineError: names the first, and the cure.
    """
    for problem in problems(results):
        raise PipelineError(str(problem))


def temporary_folder() -> Problem | None:
    """Whether sockets and files can be made in the folder for temporary files."""
    named = os.environ.get("TMPDIR", "")
    if named and not _writable(Path(named)):
        return Problem(
            _("TMPDIR is {named}, where nothing can be written").format(named=named),
            _("unset TMPDIR"),
        )
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:
        return Problem(_("there is no folder for temporary files"), _("set TMPDIR to one, as /tmp"))
    if len(os.fsencode(folder + SOCKET)) > LONGEST_SOCKET:
        return Problem(
            _("TMPDIR has {count} bytes, too many for a socket in it").format(
                count=len(os.fsencode(folder))
            ),
            _("set TMPDIR to a shorter folder, as /tmp"),
        )
    return None


def without_blanks(results: Path) -> Problem | None:
    """Whether rknn-toolkit2 can read the project's paths: it splits its lists at blanks."""
    for what, folder in (("project", PROJECT), ("results", results)):
        if any(letter.isspace() for letter in str(folder)):
            return Problem(
                _(
                    "the path of the {what} holds a blank ({folder!r}), at which "
                    "rknn-toolkit2 splits the calibration list"
                ).format(what=what, folder=str(folder)),
                _("move it to a path without"),
            )
    return None


def home() -> Problem | None:
    """Whether packages can keep what they keep in the home."""
    place = Path("~").expanduser()
    for folder in (place, *(place / name for name in HOME_FILES if (place / name).is_dir())):
        if not _writable(folder):
            return Problem(
                _("nothing can be written into {folder}").format(folder=folder),
                _("set HOME to a folder of yours: export HOME=/path/to/folder"),
            )
    return None


def shared_memory() -> Problem | None:
    """Whether processes can share locks, which live in /dev/shm."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except (OSError, ImportError) as error:
        return Problem(
            _("processes cannot share memory here (/dev/shm: {error})").format(error=error),
            _("mount it: mount -t tmpfs shm /dev/shm, or docker run --shm-size=1g"),
        )
    return None


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
