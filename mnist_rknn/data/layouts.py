"""Layouts in which people keep labelled pictures: a folder a class, Labelme, PaddleX.

- `folder`: one folder a class, or `train`, `val` (or `valid`) and `test` with these inside.
- `labelme`: `images/`, `annotations/` with a JSON file a picture, in which one of the `flags` is
  true, and `flags.txt` with one class a line. It is what Labelme writes and the maker of the
  module asks for.
- `paddlex`: PaddleX's own, `label.txt` with "index name" a line, `train.txt`, `val.txt` and,
  if there, `test.txt` with "file index" a line.
- `idx`: the four files of MNIST's format, which `idx.py` reads.

Reading a layout opens no picture. It collects what was left out and what is wrong, instead of
stopping at the first.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import PipelineError
from ..files import relative
from . import idx
from .pictures import SUFFIXES

KINDS = ("labelme", "paddlex", "idx", "folder")  # in the order in which they are recognised
WANTED = {
    "labelme": "images/, annotations/ and flags.txt",
    "paddlex": "label.txt and train.txt",
    "idx": "four files such as train-images-idx3-ubyte, gzipped or not",
    "folder": "two or more folders with pictures, one a class",
}
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
NOT_A_FLAG = "__ignore__"  # Labelme's own first line of a flags.txt


@dataclass
class Listing:
    """A data set as its layout names it; no picture has been opened."""

    folder: Path
    labels: list[str]  # names of the classes, by index
    files: list[Path] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)  # train, val, test; "" is not split yet
    notes: list[str] = field(default_factory=list)  # what was left out
    problems: list[str] = field(default_factory=list)  # for which the set is refused

    def add(self, file: Path, label: int, split: str = "") -> None:
        """Take a picture into the list."""
        self.files.append(file)
        self.classes.append(label)
        self.splits.append(split)

    def names(self, files: Iterable[Path]) -> str:
        """Some of its files in a message: the first few, and how many more."""
        return named(str(file.relative_to(self.folder)) for file in files)


def named(names: Iterable[str], shown: int = 5) -> str:
    """Names for a message: the first few, and how many more."""
    names = list(names)
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more:,} more" if more > 0 else "")


def hidden(name: str) -> bool:
    """Whether a file or folder is one that systems leave behind, and nobody's picture."""
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")


def locate(folder: Path, kind: str | None = None) -> tuple[str, Path]:
    """Recognise a layout, in a folder or in the only folder inside it, as zips often have.

    Args:
        kind: the layout to look for; None for any.

    Returns:
        The layout's name, and the folder in which it begins.

    Raises:
        PipelineError: it is nowhere there.
    """
    place = folder
    while True:
        for candidate in (kind,) if kind else KINDS:
            if _is(place, candidate):
                return candidate, place
        inside = _folders(place)
        if len(inside) != 1:
            break
        place = inside[0]
    if kind:
        raise PipelineError(f"{relative(folder)} is no {kind} set: it wants {WANTED[kind]}")
    wanted = "; ".join(f"{name}: {WANTED[name]}" for name in KINDS)
    raise PipelineError(f"{relative(folder)} is none of the known layouts ({wanted})")


def _is(folder: Path, kind: str) -> bool:
    if kind == "labelme":
        parts = ("images", "annotations")
        return (folder / "flags.txt").is_file() and all((folder / p).is_dir() for p in parts)
    if kind == "paddlex":
        return all((folder / name).is_file() for name in ("label.txt", "train.txt"))
    if kind == "idx":
        return bool(idx.find(folder))
    return sum(any(_pictures(inside)) for inside in _folders(folder)) >= 2


def read(kind: str, folder: Path) -> Listing:
    """The list of a data set of kind folder, labelme or paddlex that `locate` found."""
    return {"folder": _read_folder, "labelme": _read_labelme, "paddlex": _read_paddlex}[kind](
        folder
    )


def read_text(file: Path) -> str:
    """A text file as people's editors write it: UTF-8, with or without its mark, or GB 18030.

    Raises:
        PipelineError: it is missing, or neither.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise PipelineError(f"{relative(file)} cannot be read: {error.strerror}") from None
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            pass
    raise PipelineError(f"{relative(file)} is no text: save it as UTF-8")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not hidden(path.name))


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder that is not hidden, in a fixed order."""
    for place, inside, names in os.walk(folder):
        inside[:] = sorted(name for name in inside if not hidden(name))
        yield from (Path(place, name) for name in sorted(names) if not hidden(name))


def _pictures(folder: Path) -> Iterator[Path]:
    return (file for file in _files(folder) if file.suffix.lower() in SUFFIXES)


def _natural(name: str) -> list:
    """Sort key with numbers by value: "2" before "10"."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if number % 2 else part.casefold() for number, part in enumerate(parts)]


# --- one folder a class ---------------------------------------------------------------


def _read_folder(root: Path) -> Listing:
    tops = {
        SPLIT_NAMES[place.name.lower()]: place
        for place in _folders(root)
        if place.name.lower() in SPLIT_NAMES and _folders(place)
    }
    if "train" not in tops or len(tops) < 2:
        tops = {"": root}
    names = {place.name for top in tops.values() for place in _folders(top)}
    listing = Listing(root, sorted(names, key=_natural))
    other = [file for top in tops.values() for file in top.iterdir() if file.is_file()]
    other = [file for file in other if not hidden(file.name)]
    for split, top in tops.items():
        for label, name in enumerate(listing.labels):
            for file in _files(top / name):
                if file.suffix.lower() in SUFFIXES:
                    listing.add(file, label, split)
                else:
                    other.append(file)
    if other:
        listing.notes.append(
            f"{len(other):,} files are left out, no pictures by their names or outside of the "
            f"class folders: {listing.names(other)}"
        )
    return listing


# --- Labelme --------------------------------------------------------------------------


def _read_labelme(root: Path) -> Listing:
    lines = [line.strip() for line in read_text(root / "flags.txt").splitlines()]
    listing = Listing(root, [line for line in lines if line and line != NOT_A_FLAG])
    number = {label: index for index, label in enumerate(listing.labels)}
    images = {str(f.relative_to(root / "images")): f for f in _pictures(root / "images")}
    by_stem = {Path(name).with_suffix("").as_posix(): name for name in images}
    wrong: dict[str, list[str]] = {}
    taken: dict[str, str] = {}
    for file in _files(root / "annotations"):
        if file.suffix.lower() != ".json":
            continue
        name = file.name
        try:
            content = json.loads(read_text(file))
            flags = [str(flag) for flag, value in content["flags"].items() if value is True]
            path = str(content.get("imagePath") or "")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, PipelineError):
            wrong.setdefault("annotations cannot be read", []).append(name)
            continue
        image = path.replace("\\", "/").rpartition("/")[2]
        if image not in images:
            stem = file.relative_to(root / "annotations").with_suffix("").as_posix()
            image = by_stem.get(stem, "")
        unknown = [flag for flag in flags if flag not in number]
        if not image:
            wrong.setdefault("annotations have no image", []).append(name)
        elif image in taken:
            wrong.setdefault("annotations are of an image that has one already", []).append(name)
        elif unknown:
            what = "annotations have a flag that flags.txt lacks"
            wrong.setdefault(what, []).append(f"{name} ({unknown[0]})")
        elif len(flags) != 1:
            what = "annotations have two flags or more" if flags else "annotations have no flag set"
            wrong.setdefault(what, []).append(name)
        else:
            listing.add(images[image], number[flags[0]])
        taken.setdefault(image, name)
    listing.problems += [f"{len(names):,} {what}: {named(names)}" for what, names in wrong.items()]
    bare = [file for name, file in images.items() if name not in taken]
    if bare:
        listing.notes.append(
            f"{len(bare):,} images without annotation are left out: {listing.names(bare)}"
        )
    return listing


# --- PaddleX --------------------------------------------------------------------------


NAMING_THE_FILE = ("files are missing", "files stand in the lists twice")


def _wrong_file(file: Path, root: Path, seen: dict[Path, str]) -> str:
    """What is wrong with a line that names this file; "" if nothing is."""
    if not file.resolve().is_relative_to(root.resolve()):
        return "lines name a file outside of the set"
    if not file.is_file():
        return NAMING_THE_FILE[0]
    return NAMING_THE_FILE[1] if file in seen else ""


def _read_paddlex(root: Path) -> Listing:
    names = {}
    for line in read_text(root / "label.txt").splitlines():
        index, _, name = line.strip().replace("\t", " ").partition(" ")
        if line.strip():
            names[index] = name.strip() or index
    listing = Listing(root, list(names.values()))
    if list(names) != [str(index) for index in range(len(names))]:
        listing.problems.append('label.txt must count its lines from 0, as in "0 cat"')
    wrong: dict[str, list[str]] = {}
    seen: dict[Path, str] = {}
    for split in ("train", "val", "test"):
        path = root / f"{split}.txt"
        rows = read_text(path).splitlines() if path.is_file() else []
        for number, row in enumerate(rows, 1):
            if not row.strip():
                continue
            where = f"{path.name}, line {number}"
            name, _, index = row.strip().replace("\t", " ").rpartition(" ")
            file = root / name.strip().replace("\\", "/")
            problem = "" if index in names else "lines end in no class of label.txt"
            problem = problem or _wrong_file(file, root, seen)
            if problem:
                place = f"{seen[file]} and {where}" if file in seen else where
                named_line = f"{name} ({place})" if problem in NAMING_THE_FILE else where
                wrong.setdefault(problem, []).append(named_line)
            else:
                listing.add(file, int(index), split)
                seen[file] = where
    listing.problems += [f"{len(found):,} {what}: {named(found)}" for what, found in wrong.items()]
    return listing
