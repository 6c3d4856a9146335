"""The language of what a user reads: English, or one that has a catalogue in `locale/`.

`_()` marks a message and translates it when it is called, so a message is put together with
`format` and not in an f-string: `_("{count} pictures").format(count=3)`. The standard library's
gettext; `make translations` looks after the catalogues.
"""

from __future__ import annotations

import contextlib
import contextvars
import gettext
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCALE = Path(__file__).resolve().parent / "locale"
DOMAIN = "mnist_rknn"
SOURCE = "en"  # what the messages are written in
NAMES = {SOURCE: "English", "zh": "中文"}  # by code, each in itself
# As gettext has them, the first that is set decides. Only LANGUAGE names several.
VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")

_used: contextvars.ContextVar[str] = contextvars.ContextVar("language", default="")


def chosen() -> str:
    """Code of the language to speak.

    That of the block (`use`); else what `LANG` says where it is just one of our codes, as in
    `LANG=zh mnist-rknn list`, whatever the system's other variables say; else the system's locale.
    """
    return _used.get() or _from_environment(*(os.environ.get(n, "") for n in ("LANG", *VARIABLES)))


@cache
def _from_environment(lang: str, *others: str) -> str:
    if lang in NAMES:
        return lang
    said = next(filter(None, others), "")
    for name in said.split(":"):  # such as zh_CN.UTF-8
        code = name.partition(".")[0].partition("_")[0].partition("-")[0].lower()
        if code in NAMES:
            return code
        if code in ("c", "posix"):
            break
    return SOURCE


def of_page(path: Path) -> str:
    """Code of the language that a page of the project is in, by its name or its folder."""
    said = {path.parent.name, *path.name.split(".")[1:-1]}
    return next((code for code in NAMES if code in said), SOURCE)


@contextlib.contextmanager
def use(code: str) -> Iterator[None]:
    """Speak a language within the block."""
    before = _used.set(code)
    try:
        yield
    finally:
        _used.reset(before)


@cache
def _catalogue(code: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALE, [code], fallback=True)


def _(message: str) -> str:
    """A message in the language to speak; in English where that has none for it."""
    return _catalogue(chosen()).gettext(message)


def later(message: str) -> str:
    """Mark a message that is translated where it is used, as one that stands outside a function."""
    return message


def speak_everywhere() -> None:
    """Let click, and every child process, speak the language of this one too."""
    os.environ["LANGUAGE"] = chosen()
    gettext.bindtextdomain(DOMAIN, str(LOCALE))
    gettext.textdomain(DOMAIN)


if __name__ == "__main__":  # make asks which edition it opens: "" for English
    print(chosen() if chosen() != SOURCE else "")
