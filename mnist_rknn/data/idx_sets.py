"""Sets in MNIST's format among the files that were brought: MNIST, EMNIST, QMNIST and others.

A set is four files whose names differ by "train" and "t10k" or "test", and "images" and "labels"
only; dots, an ending, a browser's (1), folders of the files' names do not matter. Several sets in
one folder are told apart by what else is in their names, and never mixed.
"""

import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import text
from ..errors import PipelineError
from ..files import relative
from . import idx
from .listing import Finding, named
from .tree import Folder

SPLITS = {"train": "train", "t10k": "test", "test": "test"}
PARTS = {"images": "images", "image": "images", "labels": "labels", "label": "labels"}
ROLES = (("train", "images"), ("train", "labels"), ("test", "images"), ("test", "labels"))
CALLED = {"train": "train", "test": "t10k"}  # in MNIST's own names
OTHERS = (".txt", ".csv", ".json", ".md", ".pdf", ".pt", ".py", ".npy", ".npz", ".html", ".mat")
FORMAT = re.compile(r"idx\d|ubyte|int|gz|zip|copy|\(\d+\)")  # in a name, of any set
EMNIST = "emnist"  # its pictures lie on their side
LABEL_COLUMN = 0  # of QMNIST's tables; the others say who wrote and where (its README)


class Parts(NamedTuple):
    """Files of one set; for every role those that fit, the best first."""

    name: str  # what its files' names have beside the roles'; "" is nothing
    folder: Path
    files: dict[tuple[str, str], list[Path]]

    @property
    def complete(self) -> bool:
        """Whether all four are there."""
        return all(role in self.files for role in ROLES)


class IdxSet(NamedTuple):
    """A set in MNIST's format."""

    train_images: np.ndarray  # uint8 [N, h, w]
    train_labels: np.ndarray  # int64 [N]
    test_images: np.ndarray
    test_labels: np.ndarray
    names: dict[int, str]  # of classes, by number, where the set brings them
    notes: list[str]


def role(name: str) -> tuple[tuple[str, str] | None, str]:
    """What a file's name says it is, and the rest of the name, which is the set's."""
    plain = name.lower()
    split = next((word for word in SPLITS if word in plain), "")
    part = next((word for word in PARTS if word in plain), "")
    if not split or not part:
        return None, ""
    rest = plain.replace(split, " ", 1).replace(part, " ", 1)
    rest = " ".join(FORMAT.sub(" ", re.sub(r"[-._\s]+", " ", rest)).split()).replace(" ", "-")
    return (SPLITS[split], PARTS[part]), rest


def found_in(root: Folder) -> list[Parts]:
    """Sets of which at least two files lie in a folder or below, the complete ones first."""
    by_place: dict[tuple[Path, str], dict] = defaultdict(lambda: defaultdict(list))
    for file in root.all_others():
        what, rest = role(file.name)
        if what and file.suffix.lower() not in OTHERS:
            by_place[file.parent, rest][what].append(file)
    found = [Parts(name, folder, dict(files)) for (folder, name), files in by_place.items()]
    if not any(parts.complete for parts in found):  # each in a folder of its own
        joined: dict[str, dict] = defaultdict(lambda: defaultdict(list))
        for parts in found:
            for what, files in parts.files.items():
                joined[parts.name][what] += files
        found = [Parts(name, root.path, dict(files)) for name, files in joined.items()]
    found = [parts for parts in found if len(parts.files) > 1]
    complete = [parts for parts in found if parts.complete]
    return sorted(complete or found, key=lambda parts: (len(parts.folder.parts), parts.name))


def choose(root: Folder, take: str | None) -> Parts | Finding:
    """The one set of a folder, or what is to be asked or said.

    Args:
        take: its name, or the folder it lies in.
    """
    sets = found_in(root)
    if not sets:
        return Finding("there are no files such as train-images-idx3-ubyte")
    if take:
        sets = [parts for parts in sets if take in (parts.name, _place(parts, root))] or sets
    if len(sets) > 1:
        names = [parts.name for parts in sets]
        by_name = len(set(names)) == len(names)
        values = [parts.name if by_name else _place(parts, root) for parts in sets]
        values = [value for value in values if value]
        wanted = f"{len(sets)} sets lie here: {named(values, 8)}; which one?"
        return Finding(wanted, tuple(("take", value) for value in values))
    missing = [f"{CALLED[what[0]]}-{what[1]}" for what in ROLES if what not in sets[0].files]
    if missing:
        there = [files[0].name for files in sets[0].files.values()]
        return Finding(f"{named(missing)} are missing beside {named(there)}: bring all four")
    return sets[0]


def _place(parts: Parts, root: Folder) -> str:
    return parts.folder.relative_to(root.path).as_posix()


def load(parts: Parts, turn: bool | None = None) -> IdxSet:
    """Read the four files of a complete set.

    Args:
        turn: whether its pictures lie on their side; None asks its name.

    Raises:
        PipelineError: a file is damaged or another kind, or images and labels do not fit.
    """
    notes: list[str] = []
    chosen = {what: _one(parts.files[what]) for what in ROLES}
    arrays = []
    for what in ROLES:
        values = idx.read(chosen[what])
        if what[1] == "labels":
            values = _labels(values, chosen[what], notes)
        elif values.dtype.kind in "iu" and values.size and 0 <= values.min() <= values.max() <= 255:
            values = values.astype(np.uint8)
        arrays.append(values)
    for first in (0, 2):
        images, labels, file = arrays[first], arrays[first + 1], chosen[ROLES[first]]
        if images.dtype != np.uint8:
            raise PipelineError(
                f"{relative(file)} holds {images.dtype} {list(images.shape)}: bytes from 0 to 255 "
                "are wanted, [N, height, width]"
            )
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise PipelineError(
                f"{relative(file)} holds {list(images.shape)} and its labels {list(labels.shape)}: "
                "as many gray pictures [N, height, width] as labels [N] are wanted"
            )
    mapping = _mapping(parts)
    names = _names(mapping, arrays[1])
    if mapping and not names:
        notes.append(f"{mapping.name} is not used: it does not name every class that occurs once")
    emnist = any(EMNIST in file.name.lower() for file in chosen.values()) or bool(mapping)
    if emnist if turn is None else turn:
        arrays[0], arrays[2] = (np.ascontiguousarray(a.transpose(0, 2, 1)) for a in arrays[::2])
        notes.append(
            "the pictures lie on their side, as EMNIST's do: turned upright (dataset.turn)"
        )
    images, labels, test_images, test_labels = arrays
    return IdxSet(images, labels, test_images, test_labels, names, notes)


def _one(files: list[Path]) -> Path:
    """The best of several files for one role: plain, and not a browser's second copy.

    Raises:
        PipelineError: they differ.
    """
    files = sorted(files, key=lambda f: (f.suffix == ".gz", len(f.parts), len(f.name), f.name))
    if len(files) > 1 and len({_digest(file) for file in files}) > 1:
        raise PipelineError(
            f"{named(relative(file) for file in files)} are for the same part of a set, and "
            "differ: leave the right one"
        )
    return files[0]


def _digest(file: Path) -> str:
    return hashlib.sha256(idx.unpacked(file.read_bytes(), relative(file))).hexdigest()


def _labels(values: np.ndarray, file: Path, notes: list[str]) -> np.ndarray:
    """Labels as whole numbers; of a table like QMNIST's the column that holds them."""
    if values.ndim == 2 and values.dtype == np.int32 and values.shape[1] > 1:
        notes.append(f"{file.name} is a table {list(values.shape)}: its column 0 is the label")
        values = values[:, LABEL_COLUMN]
    if values.dtype.kind not in "iu" or (values.size and values.min() < 0):
        raise PipelineError(
            f"{relative(file)} holds {values.dtype} {list(values.shape)}: whole numbers from 0 on "
            "are wanted as labels"
        )
    return values.astype(np.int64)


def _mapping(parts: Parts) -> Path | None:
    """EMNIST's list of the characters that its numbers stand for."""
    files = sorted(parts.folder.glob("*mapping.txt"))
    own = [file for file in files if parts.name and file.name.lower().startswith(parts.name)]
    plain = [file for file in files if file.name.lower() == "mapping.txt"]
    return next(iter(own or plain), None)


def _names(mapping: Path | None, labels: np.ndarray) -> dict[int, str]:
    """Names of classes by number, from a mapping of numbers to codes of characters."""
    rows = [line.split() for _, line in text.read(mapping).lines()] if mapping else []
    if not rows or not all(len(row) >= 2 and all(c.isdigit() for c in row) for row in rows):
        return {}
    names = {int(row[0]): chr(int(row[1])) for row in rows if int(row[1]) < 0x110000}
    present = {int(label) for label in np.unique(labels)}
    used = [name for number, name in names.items() if number in present]
    fits = present <= set(names) and len(set(used)) == len(used) and all(map(str.isprintable, used))
    return names if fits else {}
