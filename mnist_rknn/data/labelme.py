"""Sets that were labelled in Labelme: a JSON file a picture, one of whose flags is ticked.

The annotation's `imagePath` says which picture it is of, seen from the annotation's folder. So
pictures and annotations may lie side by side, in `images/` and `annotations/`, or in folders of a
day; two pictures of one name in two folders are not mixed up.
"""

import json
import os
from pathlib import Path
from typing import Any

from .. import text
from ..errors import PipelineError
from ..text import folded, shown, strip
from . import folder_names
from .listing import Listing
from .tree import Finder, Folder

FLAGS = "flags.txt"
NOT_A_FLAG = "__ignore__"  # Labelme's own first line of it
LOOKED_AT = 20  # annotations that are opened to tell what a set is
TICKED = (1, "true", "1")  # and True, which is 1
NOT_TICKED = (0, "false", "0", "", None)
PICTURE_FOLDERS = ("images", "image", "imgs", "img", "pictures", "JPEGImages", "jpg")

UNREADABLE = "annotations cannot be read"
WHY_NONE = {  # no flag is ticked, by what stands there instead
    "missing": "annotations have no flags: start Labelme with --flags flags.txt, and tick one each",
    "null": "annotations have no flag set (flags is null): tick one in Labelme",
    "list": "annotations have a list of flags where Labelme writes them with true and false",
    "shape": "annotations have their flag on a box and not on the picture: tick the picture's",
    "boxes": "annotations have boxes drawn and no flag set: tick a flag of the picture",
    "odd": "annotations have a flag that is neither true nor false",
    "": "annotations have no flag set",
}


def annotations(root: Folder) -> list[Path]:
    """JSON files of a set; those that are not Labelme's are told when they are read."""
    return [file for file in root.all_others() if file.suffix.lower() == ".json"]


def is_one(root: Folder) -> bool:
    """Whether pictures are labelled by flags, or were to be."""
    files = annotations(root)
    step = max(1, len(files) // LOOKED_AT)
    found = [content for file in files[::step] if (content := _content(file)) is not None]
    theirs = [content for content in found if is_annotation(content)]
    listed = any(file.name.lower() == FLAGS for file in root.all_others())
    ticked = any(_ticked(content)[0] for content in theirs)
    return bool(theirs and (ticked or listed)) or bool(listed and files)


def is_annotation(content: Any) -> bool:
    """Whether a JSON file's content is of Labelme's form."""
    return isinstance(content, dict) and bool({"imagePath", "flags"} & set(content))


def _content(file: Path) -> Any:
    """Content of a JSON file; None if it is none."""
    try:
        return json.loads(text.read(file).text)
    except (ValueError, RecursionError, PipelineError):
        return None


def read(root: Folder) -> Listing:
    """The list of a Labelme set."""
    return _Reader(root).read()


class _Reader:
    def __init__(self, root: Folder):
        self.root = root
        self.listing = Listing(root.path, [])
        self.finder = Finder(root.path, root.all_pictures())
        self.splits = top_splits(root)
        self.wrong: dict[str, list[str]] = {}
        self.taken: dict[Path, Path] = {}
        self.loose = 0  # annotations that write 1 or "true"
        self.renamed: list[Path] = []
        self.place = ""  # the folder in which all annotations lie

    def read(self) -> Listing:
        contents = {file: _content(file) for file in annotations(self.root)}
        self.place = os.path.commonpath([f.parent for f in contents] or [self.root.path])
        foreign = [f for f, c in contents.items() if c is not None and not is_annotation(c)]
        self.listing.leave(foreign, "JSON files that are not Labelme's")
        labels = self._labels([c for c in contents.values() if is_annotation(c)])
        self.listing.labels = list(labels.values())
        number = {flag: index for index, flag in enumerate(labels)}
        for file, content in contents.items():
            if file not in foreign:
                self.listing.consulted.add(file)
                self._take(file, content, number)
        self.listing.refuse_each(self.wrong)
        self._say()
        self.listing.leave(
            self.taken.keys() - set(self.listing.files),
            "{n} images are left out, their annotations are refused",
        )
        bare = [file for file in self.finder.files if file not in self.taken]
        self.listing.leave(bare, "{n} images without annotation are left out")
        return self.listing.close(self.root)

    def _labels(self, contents: list[dict]) -> dict[str, str]:
        """Names of the classes by their folded form, as flags.txt or the annotations have them."""
        lists = [file for file in self.root.all_others() if file.name.lower() == FLAGS]
        if lists:
            content = text.read(lists[0])
            self.listing.consulted.add(lists[0])
            self.listing.named_by = FLAGS
            self.listing.say_encoding(lists[0], content.encoding)
            names = [line for _, line in content.lines()]
            if len(names) == 1 and contents and folded(names[0]) not in _keys(contents):
                names = [strip(name) for name in names[0].replace("，", ",").split(",")]
        else:
            names = list(_keys(contents).values())
            if names:
                self.listing.notes.append(
                    f"there is no {FLAGS}: classes are the annotations' flags"
                )
        return {folded(name): name for name in names if name and name != NOT_A_FLAG}

    def _take(self, file: Path, content: Any, number: dict[str, int]) -> None:
        """Take the picture of an annotation, or say why not."""
        name = str(file.relative_to(self.place))
        if not is_annotation(content):
            self._refuse(UNREADABLE, name)
            return
        found = self._pictures(file, str(content.get("imagePath") or ""))
        flags, loose = _ticked(content)
        unknown = [flag for flag in flags if folded(flag) not in number]
        if len(found) != 1:
            inside = bool(content.get("imageData"))
            self._refuse(
                "annotations fit two pictures or more" if found
                else "annotations have no image beside them, they hold it inside (imageData): save "
                "it as a file" if inside else "annotations have no image",
                name,
            )  # fmt: skip
        elif found[0] in self.taken:
            what = "annotations are of an image that has one already"
            self._refuse(what, f"{self.taken[found[0]].relative_to(self.place)} and {name}")
        elif unknown:
            what = f"annotations have a flag that {FLAGS} lacks"
            self._refuse(what, f"{name} ({shown(unknown[0])})")
        elif len(flags) != 1:
            several = "annotations have two flags or more"
            self._refuse(several if flags else WHY_NONE[_why_none(content)], name)
        else:
            self.loose += loose
            split = self.splits.get(found[0].relative_to(self.root.path).parts[0], "")
            self.listing.add(found[0], number[folded(flags[0])], split)
        for picture in found:
            self.taken.setdefault(picture, file)

    def _pictures(self, file: Path, path: str) -> list[Path]:
        """The picture that an annotation is of; several if it cannot be told."""
        found = self.finder.find(path, file.parent) if path else []
        if len(found) == 1:
            return found
        inside = file.relative_to(self.root.path).parent.parts
        mirrored = [
            self.root.path.joinpath(*inside[:at], name, *inside[at + 1 :])
            for at in range(len(inside))
            for name in PICTURE_FOLDERS
        ]
        if found:
            near = [picture for picture in found if picture.parent in (file.parent, *mirrored)]
            return near if len(near) == 1 else found
        found = self.finder.beside(file, mirrored)
        self.renamed += [file] * (len(found) == 1 and bool(path))
        return found

    def _refuse(self, what: str, name: str) -> None:
        self.wrong.setdefault(what, []).append(name)

    def _say(self) -> None:
        if self.loose:
            self.listing.notes.append(
                f'{self.loose:,} annotations write 1 or "true" for a ticked flag: read as ticked'
            )
        if self.renamed:
            self.listing.notes.append(
                f"{len(self.renamed):,} annotations name another picture than the one of their own "
                f"name, which is taken: {self.listing.names(self.renamed)}"
            )
        if set(self.listing.splits) - {""}:
            self.listing.notes.append("the folders' names say which pictures are for what")


def top_splits(root: Folder) -> dict[str, str]:
    """Splits by the names of a set's own folders; {} unless one of them is to train on."""
    found = folder_names.splits([folder.name for folder in root.filled])
    kept = {name: split for name, split in found.items() if split != "unlabelled"}
    return kept if "train" in kept.values() else {}


def _keys(contents: list[dict]) -> dict[str, str]:
    """Names of all flags by their folded form, in the order in which they are met."""
    flags = [content.get("flags") for content in contents]
    names = [strip(str(key)) for keys in flags if isinstance(keys, dict) for key in keys]
    return {folded(name): name for name in names if name != NOT_A_FLAG}


def _ticked(content: dict) -> tuple[list[str], bool]:
    """Flags that are ticked, and whether that is not written as Labelme writes it."""
    flags = content.get("flags")
    if not isinstance(flags, dict):
        return [], False
    found, loose = [], False
    for flag, value in flags.items():
        if _plain(value) in TICKED:
            found.append(strip(str(flag)))
            loose = loose or value is not True
    return found, loose


def _plain(value: Any) -> Any:
    return value.strip().casefold() if isinstance(value, str) else value


def _why_none(content: dict) -> str:
    """Which of `WHY_NONE` holds for an annotation without a ticked flag."""
    flags, shapes = content.get("flags", "missing"), content.get("shapes")
    boxes = [s for s in shapes if isinstance(s, dict)] if isinstance(shapes, list) else []
    if any(_ticked(box)[0] for box in boxes):
        return "shape"
    if boxes:
        return "boxes"
    if isinstance(flags, list):
        return "list"
    if isinstance(flags, dict) and any(_plain(v) not in NOT_TICKED for v in flags.values()):
        return "odd"
    return "missing" if flags == "missing" else "null" if flags is None else ""
