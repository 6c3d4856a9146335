"""Sets with one folder a class: which folders are the classes, and which are splits or neither.

A folder is a class only if it can be one. Folders named as splits hold the classes, and so may
one level more (first letters, parts of the set); a copy of the set inside itself, screenshots and
what is not labelled are left out and said. Where two readings are possible, it is asked.
"""

import fnmatch
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from .. import file_kinds
from ..errors import PipelineError
from ..files import relative
from ..text import folded, shown
from . import folder_names, tree
from .listing import Listing, named
from .tree import Folder

UPPER, LOWER = ("take", "*"), ("take", "*/*")  # answers: the class folders, as a pattern


class Class(NamedTuple):
    """A folder that holds pictures of one class."""

    folder: Folder
    label: str  # as the folder is called
    split: str = ""  # "" is not split yet


def is_one(root: Folder) -> bool:
    """Whether there is anything like folders of classes, and not only flat splits."""
    place = descended(root)
    if any(inside.filled for inside in place.filled):
        return True
    return len(place.filled) > 1 and not are_flat_splits(place)


def are_flat_splits(place: Folder) -> bool:
    """Whether all folders of pictures are called as splits, and hold no folders themselves."""
    marks = folder_names.splits([inside.name for inside in place.filled])
    return len(marks) == len(place.filled) > 0 and not any(f.filled for f in place.filled)


def descended(place: Folder) -> Folder:
    """The folder in which classes or splits begin; archives have others around it."""
    while not place.pictures and len(place.filled) == 1 and place.filled[0].filled:
        place = place.filled[0]
    return place


def by_pattern(root: Folder, pattern: str) -> list[Class]:
    """Folders whose path below the set's own fits a pattern such as `*/*`, level by level.

    Raises:
        PipelineError: fewer than two of them hold pictures.
    """
    places = [root]
    for part in pattern.split("/"):
        places = [f for p in places for f in p.folders if fnmatch.fnmatchcase(f.name, part)]
    found = [Class(place, place.name) for place in places if place.count]
    if len(found) < 2:
        raise PipelineError(
            f"{relative(root.path)}: fewer than two folders with pictures fit {pattern}: look "
            "at its folders, and say which are the classes"
        )
    return found


class Reader:
    """Finds the class folders of one set; what it leaves out and asks goes into the listing."""

    def __init__(self, listing: Listing):
        self.listing = listing
        self.empty: dict[tuple[str, str], str] = {}  # by class and split, why there is nothing

    def read(self, root: Folder) -> list[Class]:
        """The class folders below a folder, with the splits they stand in."""
        place = descended(root)
        splits = folder_names.splits([inside.name for inside in place.filled])
        labelled = [
            f for f in place.filled if f.filled and splits.get(f.name, "unlabelled") != "unlabelled"
        ]
        beside = [f for f in place.filled if f.name not in splits]
        trained = any(splits[f.name] == "train" for f in labelled)
        between_classes = len(splits) == 1 and not all(self._no_class(f) for f in beside)
        if not labelled or (trained and between_classes):
            return self.level(place, place.filled, "")
        classes = [] if trained else self.level(place, beside, "train")
        if not trained and not classes:
            self.listing.refuse(
                f"{named(shown(f.name) for f in labelled)} hold class folders, and none of the "
                "folders is to train on: call it train"
            )
        for inside in place.filled:
            if inside in labelled:
                inner = descended(inside)
                classes += self.level(inner, inner.filled, splits[inside.name])
            elif inside.name in splits:
                self._leave(inside, "has no class folders: taken as not labelled")
        classes = self._without_unlabelled(classes)
        if trained:
            self._leave_beside(beside, {folded(c.label) for c in classes})
        return classes

    # --- one level --------------------------------------------------------------------

    def level(self, place: Folder, folders: Sequence[Folder], split: str) -> list[Class]:
        """The classes among some sibling folders, or one level below them."""
        folders = self._possible(folders)
        deep = [f for f in folders if len(f.filled) > 1 and not f.pictures]
        if len(folders) == len(deep) == 1:
            return self.level(deep[0], deep[0].filled, split)
        self._note_empty(place, split)
        if deep and len(deep) == len(folders):
            return self._nested(folders, split)
        for folder in deep:
            lower = [inside.name for inside in folder.filled]
            if not folder_names.is_grouping(lower):
                rest = named(shown(f.name) for f in folders if f is not folder)
                self.listing.refuse(
                    f"{shown(folder.name)}/ holds folders of its own ({named(lower)}) beside "
                    f"{rest}: which are the classes?",
                    ("take", self.listing.name(folder.path)),
                    UPPER,
                )
        return [Class(folder, folder.name, split) for folder in folders]

    def _possible(self, folders: Sequence[Folder]) -> list[Folder]:
        """Sibling folders without those that can be no class, which are left out and said."""
        marks = folder_names.splits([f.name for f in folders])
        kept = []
        for folder in folders:
            mark = "" if folder.filled else marks.get(folder.name, "")
            rest = [f for f in folders if f is not folder and f.name not in marks]
            if folder.filled and _is_copy(folder, folders):
                self._leave(folder, "is a copy of the folders beside it")
            elif mark in ("test", "val", "unlabelled") and rest:
                self._leave(folder, "has no class folders: taken as not labelled")
            elif rest and self._no_class(folder, rest):
                self._leave(folder, "is taken for no class by its name")
            else:
                kept.append(folder)
            if mark == "train" and rest:
                self.listing.notes.append(
                    f"{shown(folder.name)}/ is taken for a class, not a split"
                )
        return kept

    def _no_class(self, folder: Folder, rest: Sequence[Folder] = ()) -> bool:
        """Whether a folder is no class by its name; asked about if it is as large as one."""
        if not folder_names.is_no_class(folder.name):
            return False
        alike = [f for f in rest if not folder_names.is_no_class(f.name)]
        is_set = any(len(f.filled) > 1 for f in alike)
        usual = statistics.median([f.count for f in alike]) if alike and not is_set else 0
        if alike and not is_set and 2 * folder.count >= usual:
            self.listing.refuse(
                f"{shown(folder.name)}/ holds {folder.count:,} pictures, as a class does, and its "
                "name is hardly one's: move it away if it is none",
                UPPER,
            )
            return False
        return bool(alike) or not rest

    def _nested(self, folders: Sequence[Folder], split: str) -> list[Class]:
        """Sibling folders that all hold folders: is the upper one the class, or the lower?"""
        upper = [f.name for f in folders]
        lower = [[inside.name for inside in f.filled] for f in folders]
        pairs = [(f, inside) for f in folders for inside in f.filled]
        splits = [folder_names.splits(names) for names in lower]
        if not split and all(len(s) == len(n) for s, n in zip(splits, lower, strict=True)):
            deeper = [[f.name for f in inside.filled] for _, inside in pairs if inside.filled]
            if not all(folder_names.is_grouping(names) for names in deeper):
                self.listing.refuse(
                    f"{named(map(shown, upper))} are sets of their own, each with "
                    f"{named(map(shown, lower[0]), 3)}: which one?",
                    *(("take", self.listing.name(folder.path)) for folder in folders),
                )
            return [
                Class(inside, f.name, s[inside.name])
                for f, s in zip(folders, splits, strict=True)
                for inside in f.filled
                if s[inside.name] != "unlabelled"
            ]
        letters = all(
            len(f.name) == 1 and folded(inside.name).startswith(folded(f.name))
            for f, inside in pairs
        )
        below = all(folder_names.is_grouping(names) for names in lower)
        above = folder_names.is_grouping(upper)
        if letters or (above and not below):
            parts = "first letters" if letters else "parts of the set"
            self.listing.notes.append(
                f"{named(map(shown, upper))} are taken for {parts}: the classes lie one folder down"
            )
            return [Class(inside, inside.name, split) for _, inside in pairs]
        if not below or above:
            shown_tree = "; ".join(
                f"{shown(f.name)}/ with {named(map(shown, names), 3)}"
                for f, names in list(zip(folders, lower, strict=True))[:3]
            )
            self.listing.refuse(
                f"pictures lie two folders down ({shown_tree}): which are the classes, the upper "
                "folders or the lower?",
                UPPER,
                LOWER,
            )
        return [Class(folder, folder.name, split) for folder in folders]

    # --- what is left out -------------------------------------------------------------

    def _without_unlabelled(self, classes: list[Class]) -> list[Class]:
        """Classes without those of splits that share none with the training folders."""
        trained = {folded(c.label) for c in classes if c.split == "train"}
        kept = []
        for split in dict.fromkeys(c.split for c in classes):
            own = [c for c in classes if c.split == split]
            if split == "train" or trained & {folded(c.label) for c in own}:
                kept += own
                continue
            for folder in (c.folder for c in own):
                self._leave(folder, "is no class of the training pictures: taken as not labelled")
        return kept

    def _leave_beside(self, folders: Sequence[Folder], labels: set[str]) -> None:
        """Leave out what lies beside train and test, unless it looks like a class of the set."""
        for folder in folders:
            if folded(folder.name) in labels or labels & {folded(f.name) for f in folder.filled}:
                if _is_copy(folder, folders):
                    self._leave(folder, "is a copy of the folders beside it")
                    continue
                self.listing.refuse(
                    f"{shown(folder.name)}/ holds pictures of the same classes as the folder to "
                    "train on, beside it: put them into that, or move them away"
                )
            self._leave(folder, "lies beside the folders to train on and to test with")

    def _leave(self, folder: Folder, reason: str) -> None:
        name = shown(self.listing.name(folder.path)).replace("{", "(").replace("}", ")")
        said = f"{{n}} pictures are left out, {name}/ {reason}"
        self.listing.leave(folder.all_pictures(), said)

    def _note_empty(self, place: Folder, split: str) -> None:
        """Say of sibling folders without pictures what they hold instead."""
        for folder in (f for f in place.folders if not f.count):
            name, files = shown(self.listing.name(folder.path)), list(folder.all_others())
            kinds = [tree.kind_of(file) for file in files[:20]]
            foreign = [kind for kind in kinds if kind.key in file_kinds.OTHER_PICTURES]
            if foreign:
                self.listing.refuse(f"{name}/ holds {len(files):,} files, the first {foreign[0]}")
            self.empty[folder.name, split] = f"{name}/ " + (
                "holds no picture that can be read" if files else "is empty"
            )


def _is_copy(folder: Folder, siblings: Sequence[Folder]) -> bool:
    """Whether all pictures below a folder lie beside it too, in the same folders."""
    sizes = {
        file.relative_to(sibling.path.parent): file
        for sibling in siblings
        if sibling is not folder
        for file in sibling.all_pictures()
    }
    pairs = [(file, sizes.get(file.relative_to(folder.path))) for file in folder.all_pictures()]
    return all(twin and twin.stat().st_size == file.stat().st_size for file, twin in pairs)
