"""What a translation must have: its source's figures, code, links and placeholders, our terms.

The terms stand in `docs/glossary.md`, each with the words that are not to be used for it.
"""

import re
import string
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import polib

from ..files import PROJECT
from . import catalogues, code, links, scope
from .editions import Edition

GLOSSARY = PROJECT / "docs" / "glossary.md"
_NUMBER = re.compile(r"(?<![A-Za-z0-9_.#,])\d+(?:,\d{3})*(?:\.\d+)?")


class Term(NamedTuple):
    """A row of the glossary."""

    english: str
    chinese: tuple[str, ...]  # the first is the rule, the others are allowed
    forbidden: tuple[str, ...]


@cache
def terms() -> list[Term]:
    """The rows of the glossary."""
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    return [Term(row[0], _several(row[1]), _several(row[2])) for row in rows[2:]]


def _several(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split("、") if part.strip())


def broken(edition: Edition) -> list[str]:
    """Every translation that breaks a rule, with the rule, a line each."""
    paths = [scope.catalogue(name, edition.code) for name in edition.names]
    lines = []
    for path in [*paths, code.path(edition.code)]:
        for entry in catalogues.read(path):
            if catalogues.is_done(entry):
                place = f"{path.relative_to(PROJECT)}:{entry.linenum}"
                lines += [f"{place}: {fault}" for fault in faults(entry)]
    return lines


def faults(entry: polib.POEntry) -> Iterator[str]:
    """What a translation lacks, or has too much."""
    source, made = entry.msgid, entry.msgstr
    for what, of in (("links", links.found), ("code", _code), ("figures", numbers)):
        before, after = sorted(of(source)), sorted(of(made))
        if before != after:
            missing = [x for x in before if before.count(x) > after.count(x)]
            more = [x for x in after if after.count(x) > before.count(x)]
            told = [", ".join(some) or "nothing" for some in (missing, more)]
            yield f"{what} differ: {told[0]} -> {told[1]}"
    if _placeholders(source) != _placeholders(made):
        yield f"placeholders differ: {_placeholders(source)} -> {_placeholders(made)}"
    yield from _wrong_words(source, made)
    yield from _wrong_signs(made)


def _code(text: str) -> list[str]:
    """Code in a line, and the lines of code blocks without their comments."""
    from .markdown import code_comments

    blocks = re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))
    inline = [" ".join(name.split()) for name in inline]
    return inline + [line for block in blocks for line, _ in code_comments(block) if line]


def numbers(text: str) -> list[str]:
    """Figures in a text, without code and the targets of links."""
    plain = re.sub(r"^```.*?^```|`[^`\n]*`|\]\([^)]*\)|\{[^{}]*\}", " ", text, flags=re.S | re.M)
    return _NUMBER.findall(plain)


def _placeholders(text: str) -> list[str]:
    try:
        parsed = list(string.Formatter().parse(re.sub(r"`[^`\n]*`", "", text)))
    except ValueError:  # no format, but a text with a brace in it
        return []
    return sorted(f"{name}:{form}" for _, name, form, _ in parsed if name)


def _wrong_words(source: str, made: str) -> Iterator[str]:
    plain, words = _without_code(source), _without_code(made)
    for term in terms():
        if _is_used(term.english, plain) and not any(word in words for word in term.chinese):
            yield f"{term.english!r} is {' or '.join(term.chinese)} in docs/glossary.md"
        for word in term.forbidden:
            if word in words:
                yield f"{word} is not used: {term.english!r} is {term.chinese[0]}"


def _is_used(term: str, text: str) -> bool:
    either = f"[{term[0].upper()}{term[0]}]{re.escape(term[1:])}"  # not a variable, as RECIPE
    return bool(re.search(rf"(?<![\w/.-]){either}(?:s|es)?(?![\w-]|\.\w)", text))


def _without_code(text: str) -> str:
    return re.sub(
        r"^```.*?^```|`[^`\n]*`|\]\([^)]*\)|\{[^{}]*\}|<[^>]*>", " ", text, flags=re.S | re.M
    )


_CHINESE = r"[\u4e00-\u9fff]"


def _wrong_signs(made: str) -> Iterator[str]:
    """Punctuation and blanks that Chinese text does not have."""
    text = _without_code(made)
    if found := re.search(rf"{_CHINESE}[,;:?!]", text):
        yield f"{found[0]!r}: write the full-width sign"
    if found := re.search(rf"{_CHINESE}[A-Za-z0-9]|[A-Za-z0-9%]{_CHINESE}", text):
        yield f"{found[0]!r}: a blank belongs between Chinese and Latin"
    if found := re.search(rf"{_CHINESE} {_CHINESE}", re.sub(r"`[^`\n]*`", "``", made)):
        yield f"{found[0]!r}: no blank between Chinese characters"
