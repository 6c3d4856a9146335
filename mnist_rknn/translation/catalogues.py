"""PO files of pages: read, and kept in step with their source.

A notebook's catalogue has a message for each Markdown cell, with the cell's id as its context, so
that a changed cell makes one translation stale and no other. A page's has a message for each
block. A message whose source changed keeps its translation, marked fuzzy, with the source that it
was made from; only a translator takes the mark away.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polib

from ..files import PROJECT, replacing

WIDTH = 100
CLOSE = 0.6  # how like two sources are for one to have come of the other
ABOUT = "A catalogue of mnist-rknn: docs/contributing.md says how a translator works."


class Message(NamedTuple):
    """Something to translate."""

    text: str
    context: str | None = None  # id of a notebook's cell
    comment: str = ""


class Stale(NamedTuple):
    """A message without a translation that is up to date."""

    path: Path
    line: int
    text: str
    why: str  # "is not translated" or "changed after it was translated"

    def __str__(self) -> str:
        begins = " ".join(self.text.split())[:60]
        return f"{self.path.relative_to(PROJECT)}:{self.line}: {begins!r} {self.why}"


def read(path: Path) -> polib.POFile:
    """A catalogue; an empty one if there is none yet."""
    if path.is_file():
        return polib.pofile(str(path), wrapwidth=WIDTH)
    return polib.POFile(wrapwidth=WIDTH)


def updated(old: polib.POFile, wanted: Sequence[Message], code: str) -> polib.POFile:
    """A catalogue that has just the wanted messages, in their order."""
    new = polib.POFile(wrapwidth=WIDTH)
    new.header = ABOUT
    new.metadata = {
        "Language": code,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
    }
    by_key = {(entry.msgctxt, entry.msgid): entry for entry in old}
    keys = dict.fromkeys((message.context, message.text) for message in wanted)
    left = [entry for key, entry in by_key.items() if key not in keys and entry.msgstr]
    comments = {(message.context, message.text): message.comment for message in wanted}
    for key in keys:
        known = by_key.get(key)
        made = polib.POEntry(msgctxt=key[0], msgid=key[1], comment=comments[key])
        if known is None or not known.msgstr:
            known = _predecessor(key, left)
            if known is not None:
                left.remove(known)
                made.msgstr, made.flags = known.msgstr, ["fuzzy"]
                made.previous_msgid = known.previous_msgid or known.msgid
        else:
            made.msgstr, made.flags = known.msgstr, list(known.flags)
            made.previous_msgid = known.previous_msgid
            made.tcomment = known.tcomment
        new.append(made)
    return new


def _predecessor(key: tuple[str | None, str], left: list[polib.POEntry]) -> polib.POEntry | None:
    """The translated message that a changed one was made from."""
    context, text = key
    if context is not None:
        return next((entry for entry in left if entry.msgctxt == context), None)
    likeness = [(difflib.SequenceMatcher(None, e.msgid, text).ratio(), e) for e in left]
    best = max(likeness, key=lambda pair: pair[0], default=(0.0, None))
    return best[1] if best[0] >= CLOSE else None


def as_text(catalogue: polib.POFile) -> str:
    """What a catalogue's file holds."""
    return str(catalogue).rstrip("\n") + "\n"


def write(path: Path, catalogue: polib.POFile) -> None:
    """Write a catalogue."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(as_text(catalogue), encoding="utf-8")


def is_done(entry: polib.POEntry) -> bool:
    """Whether a message has a translation that is up to date."""
    return bool(entry.msgstr) and not entry.fuzzy


def stale(path: Path, wanted: Sequence[Message]) -> list[Stale]:
    """The messages of a page that its catalogue, as it is on the disk, does not translate."""
    known = {(entry.msgctxt, entry.msgid): entry for entry in read(path)}
    contexts = {entry.msgctxt for entry in known.values() if entry.msgctxt}
    found = []
    for message in wanted:
        entry = known.get((message.context, message.text))
        if entry is not None and is_done(entry):
            continue
        changed = message.context in contexts if entry is None else entry.fuzzy
        why = "changed after it was translated" if changed else "is not translated"
        found.append(Stale(path, entry.linenum if entry else 1, message.text, why))
    return found
