"""Sets whose pictures stand in a table: CSV of any program, or what labelling programs export.

A table has a column of files and one of labels, or one column a class with 0 and 1, as Roboflow
and Kaggle write; it is for all pictures, or there is one for each split. Edge Impulse's
`info.labels` and Label Studio's JSON-MIN say the same otherwise.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .. import text
from ..errors import PipelineError
from ..text import folded, shown
from . import class_names, folder_names
from .listing import Listing
from .lists import Entry, take
from .pictures import SUFFIXES
from .tree import Finder, Folder

FILE_HEADS = (
    "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "imagepath",
    "image_name", "imagename", "image_file", "img", "img_path", "img_name", "path", "picture",
    "photo", "image_id", "imageid", "id_code", "id", "name",
    "文件", "文件名", "图片", "图片名", "图像", "路径",
)  # fmt: skip
LABEL_HEADS = (
    "label_name", "labelname", "class_name", "classname", "category_name", "label", "labels",
    "class", "category", "target", "choice", "tag", "species", "breed", "diagnosis", "y",
    "classid", "class_id", "label_id", "category_id", "labelid",
    "标签", "类别", "类", "分类", "种类", "类别名称",
)  # fmt: skip
SPLIT_HEADS = ("split", "subset", "set", "partition", "usage", "data set", "dataset", "集合")
HEAD_BYTES, MANY_COLUMNS = 100_000, 60  # of the first line of a table of pixels
TABLES = (".csv", ".tsv")
JSONS = (".json", ".jsonl", ".ndjson", ".manifest")


def holds_pixels(file: Path) -> bool:
    """Whether a CSV file has a column a pixel, as Kaggle's of MNIST."""
    if file.suffix.lower() not in TABLES:
        return False
    with file.open("rb") as opened:
        head = opened.readline(HEAD_BYTES).lower()
    return head.count(b",") >= MANY_COLUMNS or b"pixel" in head


class Labelled(NamedTuple):
    """A table of labelled pictures."""

    file: Path
    entries: list[Entry]
    encoding: str


def tables(root: Folder) -> list[Labelled]:
    """Tables of a set that name pictures and labels; others are none of these."""
    found = []
    for place in root.all():
        for file in place.others:
            if "submission" in file.name.lower():
                continue
            if file.suffix.lower() in TABLES:
                found += _labelled(file, _split_of(file, root))
            elif file.name == "info.labels":
                found += _edge_impulse(file)
            elif file.suffix.lower() in JSONS:
                found += _of_objects(file, _split_of(file, root))
    return found


def _split_of(file: Path, root: Folder) -> str:
    """The split that a table's name or folder says it is for."""
    inside = file.relative_to(root.path)
    for name in (file.stem, *reversed(inside.parts[:-1])):
        split = folder_names.splits([name]).get(name, "")
        if split in ("train", "val", "test"):
            return split
    return ""


def is_one(root: Folder, share: float) -> bool:
    """Whether tables name this share of the pictures that are there, of those not to test with."""
    chosen, finder = chosen_tables(root)
    found = {f for table in chosen for e in table.entries for f in finder.find(e.file, e.near)}
    marks = folder_names.splits([folder.name for folder in root.filled])
    tests = {name for name, split in marks.items() if split in ("test", "unlabelled")}
    trained = {f for f in finder.files if f.relative_to(root.path).parts[0] not in tests}
    if not share:
        return bool(chosen)
    return bool(trained) and len(found & trained) >= share * len(trained)


def read(root: Folder) -> Listing:
    """The list of a set whose pictures stand in tables."""
    listing = Listing(root.path, [])
    chosen, finder = chosen_tables(root)
    if not chosen:
        raise PipelineError("there is no table with a column of files and one of labels")
    entries = [entry for table in chosen for entry in table.entries]
    if {entry.split for entry in entries} == {"train"}:
        entries = [entry._replace(split="") for entry in entries]
    for table in chosen:
        listing.consulted.add(table.file)
        listing.say_encoding(table.file, table.encoding)
    places = {table.file.parent for table in chosen}
    names = sorted({e.label for e in entries if e.label}, key=folder_names.natural)
    number: dict[str, int] = {}
    for name in names:
        if folded(name) not in number:
            number[folded(name)] = len(number)
            listing.labels.append(name)
        else:
            twin = listing.labels[number[folded(name)]]
            listing.refuse(f"{shown(twin)} and {shown(name)} differ by case or a blank only")
    take(listing, finder, entries, number, "the table")
    class_names.rename(listing, [root, *(f for f in root.folders if f.path in places)])
    files = ", ".join(listing.name(table.file) for table in chosen)
    listing.notes.append(f"labels are those of {files}")
    return listing.close(root, "{n} pictures are left out, no table names them")


def chosen_tables(root: Folder) -> tuple[list[Labelled], Finder]:
    """Those tables that name the most pictures: one, or one for each split."""
    finder = Finder(root.path, root.all_pictures())
    found: dict[Path, int] = {}
    candidates = tables(root)
    for table in candidates:
        found[table.file] = sum(len(finder.find(e.file, e.near)) == 1 for e in table.entries)
    of_splits = [t for t in candidates if found[t.file] and t.entries[0].split]
    whole = [t for t in candidates if found[t.file] and not t.entries[0].split]
    best = max(whole, key=lambda table: found[table.file], default=None)
    together = sum(found[table.file] for table in of_splits)
    if best and found[best.file] >= together:
        return [best], finder
    if of_splits:
        return of_splits, finder
    return candidates[:1], finder


def _labelled(file: Path, split: str) -> list[Labelled]:
    """A CSV file as a table of labelled pictures; [] if it is none."""
    table = text.read_table(file)
    more = {"split": SPLIT_HEADS} if not split else {}
    columns = text.find_columns(table, {"file": FILE_HEADS, "label": LABEL_HEADS}, more)
    where = f"{file.name}, line"
    if columns:
        rows = text.cells_of(table, columns, ("file", "label"))
        entries = [
            Entry(f"{where} {line}", row["file"], row["label"],
                  split or _split_word(row.get("split", "")), file.parent)
            for line, row in rows
        ]  # fmt: skip
    elif table.rows and Path(text.slashed(table.rows[0].cells[0])).suffix.lower() in SUFFIXES:
        entries = [
            Entry(f"{where} {line}", cells[0], cells[1], split, file.parent)
            for line, cells, _ in table.rows
            if len(cells) == 2
        ]
    else:
        entries = list(_one_hot(table, split, file))
    return [Labelled(file, entries, table.encoding)] if entries else []


def _split_word(word: str) -> str:
    split = folder_names.splits([word]).get(word, "") if word else ""
    return "" if split == "unlabelled" else split


def _one_hot(table: text.Table, split: str, file: Path) -> Iterator[Entry]:
    """Lines of a table with a column a class, as Roboflow's _classes.csv."""
    columns = text.find_columns(table, {"file": FILE_HEADS})
    if columns is None or columns.width < 3:
        return
    at = columns.place["file"]
    head = table.rows[0].cells
    for line, cells, _ in table.rows[1:]:
        values = dict(zip(head, cells, strict=False))
        values.pop(head[at])
        if not all(re.fullmatch(r"[01](\.0*)?", value) for value in values.values()):
            return
        ticked = [name for name, value in values.items() if value.startswith("1")]
        label = ticked[0] if len(ticked) == 1 else ""
        yield Entry(f"{file.name}, line {line}", cells[at], label, split, file.parent)


def _edge_impulse(file: Path) -> list[Labelled]:
    """Edge Impulse's info.labels: a JSON with path, category and label of each file."""
    content = _json(file)
    files = content.get("files", []) if isinstance(content, dict) else []
    entries = [
        Entry(f"{file.name}, file {number}", str(row.get("path", "")),
              str((row.get("label") or {}).get("label", "")),
              _split_word(str(row.get("category", ""))), file.parent)
        for number, row in enumerate(files, 1)
        if isinstance(row, dict) and isinstance(row.get("label") or {}, dict)
    ]  # fmt: skip
    return [Labelled(file, entries, "UTF-8")] if entries else []


def _of_objects(file: Path, split: str) -> list[Labelled]:
    """A list of JSON objects, one a picture, or one a line: Label Studio, SageMaker and others."""
    content = _json(file)
    if content is None and file.suffix.lower() != ".json":
        content = [_parsed(line) for _, line in text.read(file).lines()]
    entries = []
    for number, row in enumerate(content if isinstance(content, list) else [], 1):
        if isinstance(row, dict) and (said := _said_of(row)):
            where = f"{file.name}, object {number}"
            entries.append(Entry(where, *said, split, file.parent))
    return [Labelled(file, entries, "UTF-8")] if entries else []


def _said_of(row: dict[str, Any]) -> tuple[str, str] | None:
    """The file and the label that an object names."""
    plain = {folded(key): str(v) for key, v in row.items() if isinstance(v, (str, int))}
    name = next((plain[head] for head in ("source-ref", *FILE_HEADS) if head in plain), "")
    label = next((plain[head] for head in LABEL_HEADS if head in plain), "")
    for key, value in row.items():
        if key.endswith("-metadata") and isinstance(value, dict):  # Amazon SageMaker
            label = str(value.get("class-name", label))
    if isinstance(row.get("data"), dict) and isinstance(row.get("annotations"), list):
        name = next((str(v) for v in row["data"].values() if isinstance(v, str)), "")
        label = _one_choice(row["annotations"])
    return (name, label) if name and (label or "annotations" in row) else None


def _one_choice(annotations: list[Any]) -> str:
    """What Label Studio's annotations of a task choose, if that is one class."""
    chosen = set(
        re.findall(r'"choices": \["([^"]*)"\]', json.dumps(annotations, ensure_ascii=False))
    )
    return chosen.pop() if len(chosen) == 1 else ""


def _json(file: Path) -> Any:
    try:
        return _parsed(text.read(file).text)
    except PipelineError:
        return None


def _parsed(content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
