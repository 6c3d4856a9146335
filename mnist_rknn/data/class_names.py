"""Names and order of the classes of a set of folders, and what a list of names says of them."""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from .. import text
from ..errors import PipelineError
from ..text import folded, shown
from . import folder_names
from .class_folders import Class
from .listing import Listing, named
from .tree import Folder

# Files that name classes, one a line, with a number or the folder's name before it or without.
FILES = (
    "labels.txt", "label.txt", "label_list.txt", "classes.txt", "class.txt", "class_names.txt",
    "class_list.txt", "names.txt", "synsets.txt", "synset.txt", "synset_words.txt",
    "synset_mapping.txt", "loc_synset_mapping.txt", "words.txt", "cat_to_name.json",
    "class_names.json", "classes.json", "labels.json",
)  # fmt: skip


def give(listing: Listing, places: Sequence[Folder], classes: Sequence[Class]) -> None:
    """Put the pictures of class folders into a list, by the classes' names.

    Two Unicode forms of a name are one class. Names that differ by case or blanks are refused.

    Args:
        places: folders in which a list of names may lie.
    """
    for twins in _twins([text.from_disk(c.label) for c in classes]):
        where = [
            f"{shown(label)} ({listing.name(c.folder.path)})"
            for label in twins
            for c in classes
            if _name(c.label) == label
        ]
        listing.refuse(
            f"{' and '.join(where[:2])} differ by {_difference(*twins[:2])} only: rename one"
        )
    found = {_name(c.label) for c in classes}
    listing.labels = sorted(found, key=folder_names.natural)
    number = {folder: index for index, folder in enumerate(listing.labels)}
    for c in classes:
        for picture in c.folder.all_pictures():
            listing.add(picture, number[_name(c.label)], c.split)
    rename(listing, places)


def rename(listing: Listing, places: Iterable[Folder]) -> None:
    """Give classes the names and the order that a file of the set says, if one does.

    Args:
        places: folders in which such a file may lie.
    """
    before = listing.labels
    labels = dict(zip(before, before, strict=True))
    for place in {id(place): place for place in places}.values():
        for file in place.others:
            if file.name.lower() in FILES and file not in listing.consulted:
                labels = _said_by(file, labels, listing)
    number = {called: index for index, called in enumerate(labels)}
    listing.classes = [number[before[index]] for index in listing.classes]
    listing.labels = list(labels.values())


def _name(folder: str) -> str:
    """The class that a folder's name stands for."""
    return unicodedata.normalize("NFC", text.from_disk(folder))


def put_in_one_line(listing: Listing) -> None:
    """Take out of class names what would end a line in `labels.txt`, and say so."""
    lined = [text.one_line(label) for label in listing.labels]
    changed = [
        f"{shown(before)} is {shown(after)}"
        for before, after in zip(listing.labels, lined, strict=True)
        if before != after
    ]
    if changed:
        listing.notes.append(
            f"{len(changed):,} class names hold a line break or control character, a blank stands "
            f"for it: {named(changed)}"
        )
        listing.empty = {(text.one_line(n), s): why for (n, s), why in listing.empty.items()}
        listing.labels = lined


def say_empty(listing: Listing, empty: dict[tuple[str, str], str]) -> None:
    """Say of folders without pictures that they are no classes, or keep it for those that are.

    Args:
        empty: why there is nothing, by folder's name and split.
    """
    known = {folded(label) for label in listing.labels}
    for (name, split), reason in empty.items():
        if folded(name) in known and split:
            listing.empty[unicodedata.normalize("NFC", name), split] = reason
        else:
            listing.notes.append(f"{reason}: no class is made of it")


def _twins(names: Sequence[str]) -> list[list[str]]:
    """Names that people take for one, and that are two."""
    alike: dict[str, dict[str, None]] = {}
    for name in names:
        alike.setdefault(folded(name), {})[unicodedata.normalize("NFC", name)] = None
    return [list(group) for group in alike.values() if len(group) > 1]


def _difference(one: str, other: str) -> str:
    return "a blank" if "".join(one.split()) == "".join(other.split()) else "case"


def _said_by(file: Path, labels: dict[str, str], listing: Listing) -> dict[str, str]:
    """Names by folder, in the order and with the words of a list of names.

    Args:
        labels: names by folder as they are without it.
    """
    try:
        pairs, encoding = _pairs(file)
    except PipelineError as error:
        listing.notes.append(f"{file.name} is not used: {error}")
        return labels
    listing.consulted.add(file)
    by_fold = {folded(folder): folder for folder in labels}
    names = [name for _, name in pairs]
    if sorted(folded(f"{key} {name}") for key, name in pairs) == sorted(by_fold):
        names = [f"{key} {name}" for key, name in pairs]  # "5 yuan": the number is of the name
    keys = [key for key, _ in pairs]
    if sorted(map(folded, names)) == sorted(by_fold):
        ordered = {by_fold[folded(name)]: by_fold[folded(name)] for name in names}
    elif set(by_fold) <= set(map(folded, keys)):
        chosen = {by_fold[folded(k)]: name for k, name in pairs if folded(k) in by_fold}
        ordered = {folder: chosen[folder] for folder in labels}
    elif all(f.isdigit() for f in labels) and len(names) == len(labels) and len(set(names)) > 1:
        ordered = dict(zip(labels, names, strict=True))
    elif "0" in labels and all(f.isdigit() and int(f) < len(names) for f in labels):
        ordered = {folder: names[int(folder)] for folder in labels}
    else:
        listing.notes.append(
            f"{file.name} is not used: it names {named(map(shown, names), 3)}, and the folders are "
            f"{named(map(shown, labels), 3)}"
        )
        return labels
    if list(ordered.items()) != list(labels.items()):
        listing.notes.append(f"names and order of the classes are those of {file.name}")
        listing.say_encoding(file, encoding)
    return ordered


def _pairs(file: Path) -> tuple[list[tuple[str, str]], str]:
    """What stands before a name (its number or folder, or "") and the name, a pair a line."""
    content = text.read(file)
    if file.suffix.lower() == ".json":
        try:
            said = json.loads(content.text)
        except ValueError:
            raise PipelineError(f"{file.name} is no JSON") from None
        if isinstance(said, dict):
            return [(str(key), str(value)) for key, value in said.items()], content.encoding
        return [("", str(name)) for name in said], content.encoding
    return split_names(line for _, line in content.lines()), content.encoding


def split_names(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Lines such as "0 cat", "0: cat", "n01440764 tench, Tinca tinca" or "cat", as pairs."""
    lines = list(lines)
    found = [re.fullmatch(r"(\d+|n\d{8})\s*[\s:,;.=]\s*(.+)", line) for line in lines]
    if all(found):
        return [(match[1], text.strip(match[2])) for match in found if match]
    return [("", line) for line in lines]
