"""Layouts in which people keep labelled pictures: which one a set has, and what it lacks if none.

- `folder`: one folder a class, with splits around them or not; see `class_folders`.
- `labelme`: pictures with a JSON file each, in which one of the flags is ticked; see `labelme`.
- `paddlex`: lists of PaddleX or PaddleClas, `train.txt` or `train_list.txt`; see `lists`.
- `table`: a CSV with a column of files and one of labels, or a column a class; see `tables`.
- `idx`: four files in MNIST's format; see `idx_sets`.

Recognising and reading open no picture. What is left out and what is wrong is collected, instead
of stopping at the first.
"""

import re
from collections.abc import Callable
from pathlib import Path

from .. import file_kinds
from ..errors import PipelineError
from ..files import relative
from ..recipe import LAYOUTS
from ..text import shown
from . import class_folders, class_names, idx_sets, labelme, lists, tables, tree
from .listing import Finding, Listing, named
from .tree import Folder

WANTED = {  # LAYOUTS names them in the order in which they are recognised
    "labelme": "pictures, a JSON file of Labelme's for each, and flags.txt",
    "paddlex": "train.txt or train_list.txt with a file and a label a line",
    "table": "a CSV file with a column of files and one of labels",
    "idx": "four files such as train-images-idx3-ubyte, gzipped or not",
    "folder": "two or more folders with pictures, one a class",
}
ENOUGH = 0.5  # share of the pictures that a list names, for it to be taken before class folders
DETECTION = {  # what labels boxes, by the files that such sets have
    r"(.*[_.])?annotations?.*\.coco\.json|instances_.*\.json|_annotations\.coco\.json": "COCO",
    r"data\.ya?ml|classes\.names|obj\.names": "YOLO",
    r".*\.xml": "Pascal VOC or CVAT (XML)",
}
SHEETS = ("xlsx", "xls", "ods")
LOOKED_AT = 200  # files that are no pictures, to say what a set holds


def read(folder: Path, kind: str | None = None, take: str | None = None) -> tuple[str, Listing]:
    """The list of a set, and its kind; of kind idx without its pictures, see `sources`.

    Args:
        kind: the layout to look for; None for any.
        take: a folder inside that is meant, or a pattern of the class folders.

    Raises:
        PipelineError: it is none of the layouts, or not this one.
    """
    root = tree.walk(folder)
    if take and "*" in take and kind in (None, "folder"):
        return "folder", _read_folders(root, take)
    root = taken(root, take)
    found = recognise(root)
    if kind and kind != found and not _fits(root, kind):
        raise PipelineError(
            f"{relative(folder)} is no {kind} set: it wants {WANTED[kind]}; {nearest(root)}"
        )
    kind = kind or found
    if not kind:
        raise PipelineError(f"{relative(folder)} is none of the known layouts: {nearest(root)}")
    if kind == "idx":
        return kind, Listing(folder, [])
    listing = READERS[kind](root)
    return kind, listing


def taken(root: Folder, take: str | None) -> Folder:
    """The folder inside that `take` names; the whole where it names something else."""
    inside = root.below(*take.strip("/").split("/")) if take else None
    return inside or root


def recognise(root: Folder) -> str | None:
    """The first layout that a set has."""
    return next((kind for kind in LAYOUTS if _fits(root, kind)), None)


def _fits(root: Folder, kind: str) -> bool:
    folders = class_folders.is_one(root)
    if kind == "labelme":
        return labelme.is_one(root)
    if kind == "paddlex":
        return lists.is_one(root, ENOUGH if folders else 0)
    if kind == "table":
        return tables.is_one(root, ENOUGH if folders else 0)
    if kind == "idx":
        return any(parts.complete for parts in idx_sets.found_in(root))
    return folders


def _read_folders(root: Folder, take: str | None = None) -> Listing:
    listing = Listing(root.path, [])
    reader = class_folders.Reader(listing)
    classes = class_folders.by_pattern(root, take) if take else reader.read(root)
    place = class_folders.descended(root)
    class_names.give(listing, list({id(p): p for p in (root, place)}.values()), classes)
    class_names.say_empty(listing, reader.empty)
    listing.leave(
        (table.file for table in tables.tables(root) if table.file not in listing.consulted),
        "lists whose labels are not read beside class folders (`--as table` reads them instead)",
    )
    return listing.close(root)


READERS: dict[str, Callable[[Folder], Listing]] = {
    "labelme": labelme.read,
    "paddlex": lists.read,
    "table": tables.read,
    "folder": _read_folders,
}


# --- what was found instead -----------------------------------------------------------


def nearest(root: Folder) -> str:
    """What a folder holds that is none of the layouts, the nearest, and what that lacks."""
    others = list(root.all_others())
    kinds = {file: tree.kind_of(file) for file in others[:LOOKED_AT]}
    if idx_sets.found_in(root):
        found = idx_sets.choose(root, None)
        return f"nearest is idx, but {found.text}" if isinstance(found, Finding) else "it is of idx"
    if root.count:
        return _with_pictures(root, kinds)
    for keys, said in WITHOUT_PICTURES:
        files = [file for file, kind in kinds.items() if kind.key in keys]
        if files:
            names = named(_name(root, file) for file in files)
            return said.format(n=f"{len(files):,}", names=names, kind=kinds[files[0]])
    if not others:
        return "it is empty"
    pixels = [file for file in others[:LOOKED_AT] if tables.holds_pixels(file)]
    if pixels:
        names = named(_name(root, file) for file in pixels)
        return f"{names} holds pixels as numbers: write them as pictures, a folder a class"
    return f"it holds {named(_name(root, file) for file in others)}, and no pictures"


def _name(root: Folder, file: Path) -> str:
    return shown(str(file.relative_to(root.path)))


WITHOUT_PICTURES = (  # what is said of a set without pictures, by the first kind that it has
    (file_kinds.ARCHIVES, "it holds archives: {names}: unpack them and name the folder"),
    (file_kinds.OTHER_PICTURES, "it holds {n} files such as {names}, each {kind}"),
    (
        ("idx",),
        "{names} hold IDX, and their names do not say of what: call them train-images, "
        "train-labels, t10k-images and t10k-labels",
    ),
    (file_kinds.DATA | file_kinds.MODELS, "it holds {names}, each {kind}"),
    (file_kinds.NO_CONTENT, "it holds {names}, each {kind}"),
)


def _with_pictures(root: Folder, kinds: dict[Path, file_kinds.Kind]) -> str:
    """The same of a folder that holds pictures, by the kinds of its other files."""
    place = class_folders.descended(root)
    found = f"it holds {root.count:,} pictures"
    if class_folders.are_flat_splits(place):
        found += f" in {named(f'{shown(f.name)}/' for f in place.filled)}, without class folders"
    elif place.filled:
        found += f", all of them in {shown(place.filled[0].name)}/"
    names = [file.name.lower() for file in root.all_others()]
    sheets = [_name(root, file) for file, kind in kinds.items() if kind.key in SHEETS]
    if sheets:
        return (
            f"{found}, and {named(sheets)}: save the list as CSV UTF-8 with the columns file,label"
        )
    for pattern, program in DETECTION.items():
        if any(re.fullmatch(pattern, name) for name in names):
            return (
                f"{found} and annotations of {program}: here whole pictures are told apart; "
                "export the set as a folder a class"
            )
    if any(name.endswith(".csv") for name in names):
        return f"{found} and a list in CSV; nearest is table, which wants {WANTED['table']}"
    stems = tree.stems(place.all_pictures())
    lists = [file for file in root.all_others() if tree.names_pictures(file, root.all_pictures())]
    if lists:
        found += f", and lists of them that are not read: {named(_name(root, f) for f in lists)}"
    elif stems:
        found += f", named {named(stems, 3)} with numbers: sort them by that"
    return f"{found}; nearest is folder, which wants {WANTED['folder']}"
