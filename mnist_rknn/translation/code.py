"""The words of the package: found in its code and its commands, and compiled for gettext.

Babel finds what `_()` holds. The help of the commands is taken from the commands themselves, and
so is what click says for them.
"""

from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract_from_dir

from ..compression import exercises as lab
from ..exercises import answers
from ..files import relative
from ..language import DOMAIN, LOCALE
from ..pipeline import steps
from . import catalogues
from .catalogues import Message

PACKAGE = Path(__file__).parents[1]
METHODS = [("**.py", "python")]
KEYWORDS = {"_": None, "later": None}
# Of click, as far as a reader meets it in a help or in an error's line.
OF_CLICK = (
    "Commands",
    "Options",
    "Positional arguments",
    "Usage:",
    "Show this message and exit.",
    "Show the version and exit.",
    "Missing command.",
    "Missing argument",
    "Missing option",
    "Invalid value: {message}",
    "Invalid value for {param_hint}: {message}",
    "No such option {name!r}.",
    "No such command {name!r}.",
    "{value!r} is not a valid {number_type}.",
    "default: {default}",
)


def path(code: str) -> Path:
    """The catalogue of the package's words; compiled it is the .mo file beside it."""
    return LOCALE / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def messages() -> list[Message]:
    """Every message of the package, once, in the order of its files."""
    found: dict[str, list[str]] = {}
    for file, _line, text, _comments, _context in extract_from_dir(
        PACKAGE, METHODS, keywords=KEYWORDS
    ):
        if isinstance(text, str):
            found.setdefault(text, []).append(Path(file).as_posix())
    for text in _of_commands():
        found.setdefault(text, []).append("cli.py")
    for step in steps.STEPS:
        found.setdefault(step.title, []).append("pipeline/steps.py")
    for exercise in (*answers.EXERCISES.values(), *lab.EXERCISES.values()):
        for text in exercise.mistakes:
            found.setdefault(text, []).append("exercises")
    for text in OF_CLICK:
        found.setdefault(text, []).append("click")
    return [Message(text, comment=", ".join(dict.fromkeys(files))) for text, files in found.items()]


def _of_commands() -> Iterator[str]:
    """The help of every command and option, and the headings above them."""
    from .. import cli, command

    with_commands = cli.cli
    yield from command.words(with_commands)
    yield from with_commands.headings
    yield from command.EXIT_STATUS.values()


def compiled(code: str) -> bytes:
    """What the .mo file should hold."""
    return catalogues.read(path(code)).to_binary()


def update(code: str) -> Iterator[Path]:
    """Bring the catalogue in step with the package and compile it; yields what changed."""
    new = catalogues.updated(catalogues.read(path(code)), messages(), code)
    file = path(code)
    if not file.is_file() or file.read_text("utf-8") != catalogues.as_text(new):
        catalogues.write(file, new)
        yield file
    if (binary := file.with_suffix(".mo")) and _behind(binary, code):
        binary.write_bytes(compiled(code))
        yield binary


def _behind(binary: Path, code: str) -> bool:
    return not binary.is_file() or binary.read_bytes() != compiled(code)


def stale(code: str) -> list[str]:
    """What is not translated, changed since, or not compiled."""
    lines = [str(line) for line in catalogues.stale(path(code), messages())]
    binary = path(code).with_suffix(".mo")
    if _behind(binary, code):
        lines.append(f"{relative(binary)} is not what its .po file says")
    return lines
