"""Lists with a picture and its label a line, as PaddleX and PaddleClas read them.

`train.txt` or `train_list.txt`, and the same for validation and test, with "file label" a line;
the classes in `label.txt`, `labels.txt` or `label_list.txt`, with a number before each or without.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .. import text
from ..errors import PipelineError
from ..text import folded, shown, strip
from . import class_names, folder_names
from .listing import Listing
from .tree import Finder, Folder

WORDS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
ENDS = (".txt", "_list.txt", "list.txt", "_label.txt", "_labels.txt")
LISTS = {split: [word + end for word in words for end in ENDS] for split, words in WORDS.items()}
LOOKED_AT = 200  # lines of a list that are looked at to tell what it is
NAMES = ("label.txt", "labels.txt", "label_list.txt", "classes.txt", "class_list.txt", "class.txt")


class Entry(NamedTuple):
    """A line of a list."""

    where: str  # its file and line, for messages
    file: str
    label: str
    split: str
    near: Path  # the folder that its file is seen from


def take(listing: Listing, finder: Finder, entries: Iterable[Entry], number: Mapping[str, int],
          names: str) -> None:  # fmt: skip
    """Take the pictures that entries name into a list, or say what is wrong with an entry.

    Args:
        number: classes by what entries call them, folded.
        names: where the classes' names come from.
    """
    wrong: dict[str, list[str]] = {}
    seen: dict[Path, Entry] = {}
    for entry in entries:
        found = finder.find(entry.file, entry.near)
        label = number.get(folded(entry.label))
        shown_name = f"{shown(entry.file)} ({entry.where})"
        outside = Path(entry.near / text.slashed(entry.file)).resolve()
        if label is None:
            what = f"lines end in no class of {names}"
            called = f" ({shown(entry.label)})" if entry.label else ""
            wrong.setdefault(what, []).append(entry.where + called)
        elif not found and ".." in entry.file and not outside.is_relative_to(finder.root.resolve()):
            wrong.setdefault("lines name a file outside of the set", []).append(entry.where)
        elif not found:
            wrong.setdefault("files are missing", []).append(shown_name)
        elif len(found) > 1:
            wrong.setdefault("names fit two files or more", []).append(shown_name)
        elif found[0] in seen:
            before = seen[found[0]]
            same = folded(before.label) == folded(entry.label)
            labels = "" if same else f" with {shown(before.label)} and {shown(entry.label)}"
            what = "files stand in the lists twice" if same else "files stand there with two labels"
            named_lines = f"{shown(entry.file)}{labels} ({before.where} and {entry.where})"
            wrong.setdefault(what, []).append(named_lines)
        else:
            listing.add(found[0], label, entry.split)
            seen[found[0]] = entry
    listing.refuse_each(wrong)


# --- PaddleX and PaddleClas -----------------------------------------------------------


def place_of_lists(root: Folder) -> Folder | None:
    """The folder in which PaddleX's lists lie, the topmost one."""
    places = sorted(root.all(), key=lambda place: len(place.path.parts))
    return next((place for place in places if "train" in _lists(place)), None)


def _lists(place: Folder) -> dict[str, Path]:
    files = {file.name.lower(): file for file in place.others}
    found = {s: [files[name] for name in names if name in files] for s, names in LISTS.items()}
    return {split: listed[0] for split, listed in found.items() if listed}


def is_one(root: Folder, share: float) -> bool:
    """Whether a list to train on has files with labels, and names this share of files that exist.

    Without a share, one such line is enough: what is wrong with the others is said.
    """
    place = place_of_lists(root)
    if place is None:
        return False
    try:
        rows = [_cells(row) for _, row in text.read(_lists(place)["train"]).lines()[:LOOKED_AT]]
    except PipelineError:
        return not share  # which is said when it is read
    finder = Finder(root.path, root.all_pictures())
    labelled = [name for name, label in rows if label]
    there = [name for name in labelled if finder.find(name, place.path)]
    return bool(labelled) and len(there) >= share * len(rows)


def read(root: Folder) -> Listing:
    """The list of a set in the layout of PaddleX or PaddleClas."""
    place = place_of_lists(root)
    if place is None:
        raise PipelineError("there is no train.txt or train_list.txt")
    listing = Listing(root.path, [])
    entries = []
    for split, file in _lists(place).items():
        listing.consulted.add(file)
        content = text.read(file)
        listing.say_encoding(file, content.encoding)
        for line, row in content.lines():
            name, label = _cells(row)
            entries.append(Entry(f"{file.name}, line {line}", name, label, split, place.path))
    number, names = _numbers(listing, place, [entry.label for entry in entries])
    take(listing, Finder(root.path, root.all_pictures()), entries, number, names)
    if not listing.named_by:
        class_names.rename(listing, (place, root))
    return listing.close(root, "{n} pictures are left out, no list names them")


def _cells(row: str) -> tuple[str, str]:
    """File and label of a line; the label stands behind the last tab, blank or comma."""
    separator = "\t" if "\t" in row else "," if re.search(r"\.\w{3,4}\s*,", row) else " "
    name, _, label = row.rpartition(separator)
    return strip(name) or row, strip(label) if name else ""


def _numbers(listing: Listing, place: Folder, used: list[str]) -> tuple[dict[str, int], str]:
    """Classes by what lines call them, and the file that names them; labels go into the list."""
    files = {file.name.lower(): file for file in place.others}
    named_in = next((files[name] for name in NAMES if name in files), None)
    if named_in is None:
        found = sorted(set(filter(None, used)), key=folder_names.natural)
        listing.labels = found
        return {folded(name): index for index, name in enumerate(found)}, "the lists"
    content = text.read(named_in)
    listing.say_encoding(named_in, content.encoding)
    listing.consulted.add(named_in)
    listing.named_by = named_in.name
    lines = [line for _, line in content.lines()]
    pairs = class_names.split_names(lines)
    counted = [key for key, _ in pairs] == [str(index) for index in range(len(pairs))]
    if counted:
        lines = [name for _, name in pairs]
    elif all(key for key, _ in pairs):
        places = {str(index) for index in range(len(lines))}
        if named_in.name.lower() == "label.txt" or not set(used) <= places:
            listing.refuse(f'{named_in.name} must count its lines from 0, as in "0 cat"')
    listing.labels = lines
    numbers = {folded(name): index for index, name in enumerate(lines)}
    return numbers | {str(index): index for index in range(len(lines))}, named_in.name
