"""A data set as a list, in which every file that was brought has its place.

A file is a picture of a class, or something that a layout's reader has read, or it is left out
with a reason. What is left when a reader is done is left out too, so nothing goes unsaid.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..text import shown
from . import tree
from .tree import Folder

LISTS = "lists of the pictures that this layout does not read"


class Finding(NamedTuple):
    """Something for which a set is refused, and the answers that would let it be read."""

    text: str
    answers: tuple[tuple[str, str], ...] = ()  # keys of `dataset` in the recipe, and their values


@dataclass
class Listing:
    """A data set as its layout names it; no picture has been decoded."""

    folder: Path
    labels: list[str]  # names of the classes, by index
    files: list[Path] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)  # train, val, test; "" is not split yet
    notes: list[str] = field(default_factory=list)  # what was left out, or taken for something
    problems: list[Finding] = field(default_factory=list)  # for which the set is refused
    left: dict[Path, str] = field(default_factory=dict)  # files that are left out, and why
    consulted: set[Path] = field(default_factory=set)  # files that said something about others
    named_by: str = ""  # the file that names the classes, if one does
    empty: dict[tuple[str, str], str] = field(default_factory=dict)  # why a class has none there

    def add(self, file: Path, label: int, split: str = "") -> None:
        """Take a picture into the list."""
        self.files.append(file)
        self.classes.append(label)
        self.splits.append(split)

    def leave(self, files: Iterable[Path], reason: str) -> None:
        """Leave files out; the first reason given for one stays.

        Args:
            reason: "no pictures", or a whole sentence with {n} for how many.
        """
        for file in files:
            self.left.setdefault(file, reason)

    def refuse(self, text: str, *answers: tuple[str, str]) -> None:
        """Note something for which the set is refused."""
        self.problems.append(Finding(text, answers))

    def refuse_each(self, wrong: dict[str, list[str]]) -> None:
        """Refuse for several things, each with the places where it stands."""
        for what, names in wrong.items():
            self.refuse(f"{len(names):,} {what}: {named(names)}")

    def say_encoding(self, file: Path, encoding: str) -> None:
        """Say of a list of an older encoding as what it was read: few words cannot prove it."""
        if encoding not in ("UTF-8", "UTF-16"):
            self.notes.append(
                f"{file.name} is read as {encoding}: if names look wrong, save it as UTF-8"
            )

    def close(self, root: Folder, pictures: str = "outside of the class folders") -> "Listing":
        """Give every file a place that has none, and say what is left out.

        Args:
            pictures: why a picture that nobody has named is left out.
        """
        placed = self.left.keys() | self.consulted | set(self.files)
        rest = [file for file in root.all_pictures() if file not in placed]
        self.leave(rest, pictures)
        pictures_there = list(root.all_pictures())
        for file in root.all_others():
            if file not in placed:
                listed = tree.names_pictures(file, pictures_there)
                self.leave([file], LISTS if listed else tree.why_no_picture(file))
        for file in (file for place in root.all() for file in place.hidden):
            self.leave([file], tree.why_hidden(file, root.path))
        by_reason: dict[str, list[Path]] = {}
        for file, reason in self.left.items():
            by_reason.setdefault(reason, []).append(file)
        for reason, files in by_reason.items():
            what = reason if "{n}" in reason else f"{{n}} files are left out, {reason}"
            self.notes.append(f"{what.replace('{n}', f'{len(files):,}')}: {self.names(files)}")
        return self

    def names(self, files: Iterable[Path]) -> str:
        """Some of its files in a message: the first few, and how many more."""
        return named(shown(self.name(file)) for file in files)

    def name(self, file: Path) -> str:
        """A file as seen from the set's folder."""
        return str(file.relative_to(self.folder))


def named(names: Iterable[str], few: int = 5) -> str:
    """Names for a message: the first few, and how many more."""
    names = list(names)
    more = len(names) - few
    return ", ".join(names[:few]) + (f" and {more:,} more" if more > 0 else "")


class Answers(NamedTuple):
    """What an owner says about a set, where it can be read in several ways."""

    kind: str | None = None  # its layout; None recognises it
    take: str | None = None  # a folder in it, one of several IDX sets, or class folders as "*/*"
    split: str = "own"  # new: not the set's own
    turn: bool | None = None  # idx: pictures lie on their side
    labels: list[str] | None = None  # idx: names of its classes
