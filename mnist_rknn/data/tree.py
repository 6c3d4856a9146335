"""What was brought: every folder and file of it, walked once, and found by any name it goes by."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from .. import file_kinds
from ..text import folded, slashed
from .archives import RECORD, UNFINISHED
from .pictures import SUFFIXES

# TIFF by their first bytes, but what Pillow reads of them is a thumbnail.
RAW = frozenset((".arw", ".cr2", ".dng", ".erf", ".nef", ".nrw", ".orf", ".pef", ".rw2", ".srw"))
TEXTS = frozenset((".csv", ".html", ".json", ".md", ".py", ".tsv", ".txt", ".xml", ".yaml", ".yml"))
# What systems leave behind, by whole names and by beginnings.
SYSTEMS = frozenset(
    (".ds_store", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir",
     "$recycle.bin", "system volume information", "lost+found")
)  # fmt: skip
MOST_STEMS = 50  # beginnings of names, to take them for classes in a hint
LISTED_BYTES, FEWEST_NAMED = 65536, 3  # of a text, and names in it, to take it for a list
APPLE_DOUBLE = "._"  # what macOS keeps beside each file, under its name
UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what Label Studio puts before names
DRIVE = re.compile(r"^[A-Za-z]:/")


def hidden(name: str) -> bool:
    """Whether a file or folder is one that systems leave behind, and nobody's picture."""
    return name.startswith(".") or of_system(name)


def of_system(name: str) -> bool:
    """Whether a system has put it there by itself."""
    return name.startswith(APPLE_DOUBLE) or name.lower() in SYSTEMS


@dataclass
class Folder:
    """A folder, and what is in it but for hidden files, each in the order of its names."""

    path: Path
    folders: list["Folder"] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # files that are no pictures
    hidden: list[Path] = field(default_factory=list)  # files in it that nobody sees

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path.name

    @cached_property
    def count(self) -> int:
        """How many pictures lie in it and below."""
        return len(self.pictures) + sum(inside.count for inside in self.folders)

    @cached_property
    def filled(self) -> list["Folder"]:
        """Those of its folders that hold pictures."""
        return [inside for inside in self.folders if inside.count]

    def all(self) -> Iterator["Folder"]:
        """This folder and every one below."""
        yield self
        for inside in self.folders:
            yield from inside.all()

    def all_pictures(self) -> Iterator[Path]:
        """Pictures in it and below."""
        return (file for place in self.all() for file in place.pictures)

    def all_others(self) -> Iterator[Path]:
        """Files in it and below that are no pictures."""
        return (file for place in self.all() for file in place.others)

    def below(self, *names: str) -> "Folder | None":
        """The folder of these names, one in the other, whatever their case."""
        place: Folder | None = self
        for name in names:
            inside = place.folders if place else []
            exact = [f for f in inside if f.name == name]
            alike = [f for f in inside if folded(f.name) == folded(name)]
            place = next(iter(exact or alike), None)
        return place


def walk(root: Path) -> Folder:
    """Everything in a folder; links are followed, but into no folder twice."""
    return _walk(Path(root), frozenset())


def _walk(path: Path, above: frozenset[tuple[int, int]]) -> Folder:
    found = Folder(path)
    state = path.stat()
    above = above | {(state.st_dev, state.st_ino)}
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        inside = path / entry.name
        if hidden(entry.name):
            found.hidden += _files_of(inside)
        elif entry.is_dir():
            state = entry.stat()
            if (state.st_dev, state.st_ino) not in above:
                found.folders.append(_walk(inside, above))
        elif is_picture(inside):
            found.pictures.append(inside)
        else:
            found.others.append(inside)
    return found


def _files_of(path: Path) -> list[Path]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in files if file.is_file() and file.name != RECORD]


def why_hidden(file: Path, root: Path) -> str:
    """Why a hidden file of a set is left out, for a note."""
    if any(of_system(part) for part in file.relative_to(root).parts):
        return "kept there by a system such as macOS or Windows"
    return "hidden by their names"


def is_picture(file: Path) -> bool:
    """Whether a file is a picture by its ending, or by its first bytes where that says nothing."""
    suffix = file.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix in TEXTS | RAW | set(UNFINISHED):
        return False
    return kind_of(file).key in file_kinds.PICTURES


def stems(pictures: Iterable[Path]) -> list[str]:
    """What the names of pictures begin with, before a number, if that may be their classes."""
    found = {re.split(r"[\d._\- ]", file.stem)[0] for file in pictures}
    return sorted(found) if 1 < len(found) <= MOST_STEMS and "" not in found else []


def names_pictures(file: Path, pictures: Iterable[Path]) -> bool:
    """Whether a file is a text that names several of these pictures."""
    if kind_of(file).key not in ("text", "json", "xml"):
        return False
    with file.open("rb") as opened:
        head = opened.read(LISTED_BYTES).decode("utf-8", "replace")
    words = {word.casefold() for word in re.split(r"[^\w.\-() ]+|\s+", head)}
    names = (name.casefold() for p in pictures for name in (p.name, p.stem) if not name.isdigit())
    return len(words.intersection(names)) >= FEWEST_NAMED


def kind_of(file: Path) -> file_kinds.Kind:
    """What a file is; unknown where it cannot be read."""
    try:
        return file_kinds.of(file)
    except OSError:
        return file_kinds.UNKNOWN._replace(what="a file that cannot be opened")


def why_no_picture(file: Path) -> str:
    """Why a file of a set is left out, for a note."""
    suffix = file.suffix.lower()
    if suffix in RAW:
        return "raw files of a camera: save them as JPEG or PNG"
    if suffix in UNFINISHED:
        return "downloads that were not finished: get them again"
    kind = kind_of(file)
    if kind.key in file_kinds.OTHER_PICTURES | file_kinds.NO_CONTENT | file_kinds.ARCHIVES:
        return f"each {kind}"
    if suffix in (".csv", ".tsv") or kind.key in ("xlsx", "xls", "ods"):
        return "lists that this layout does not read"
    return "no pictures" if kind.key in file_kinds.TEXTS else f"no pictures, each is {kind.what}"


# --- names ----------------------------------------------------------------------------


class Finder:
    """The pictures of a set by the names that lists give them.

    A list may be of another system or from before the set was moved: with backslashes, another
    case, another form of accents, absolute, from another folder, without an ending.
    """

    def __init__(self, root: Path, files: Iterable[Path]):
        self.root = root
        self.files = {file: _parts(file.relative_to(root).as_posix()) for file in files}
        self.by_parts: dict[tuple[str, ...], list[Path]] = defaultdict(list)
        self.by_name: dict[str, list[Path]] = defaultdict(list)
        self.by_stem: dict[str, list[Path]] = defaultdict(list)
        self.folders: set[str] = set()
        for file, parts in self.files.items():
            self.by_parts[parts].append(file)
            self.by_name[parts[-1]].append(file)
            self.by_stem[folded(file.stem)].append(file)
            self.folders.update(parts[:-1])

    def find(self, name: str, near: Path | None = None) -> list[Path]:
        """Files that a name may mean: one, if all is well.

        Args:
            name: as a list gives it.
            near: the folder that names are seen from; the set's own without one.
        """
        before, _, local = re.sub(r"^[a-z]+://[^/]*", "", slashed(name)).partition("?d=")
        name = slashed(local or before)
        place = self.root if near is None else near
        for seen_from in dict.fromkeys((place, self.root)):
            path = Path(os.path.normpath(seen_from / name))
            if path in self.files:
                return [path]
            if path.is_relative_to(self.root) and path != self.root:
                parts = _parts(path.relative_to(self.root).as_posix())
                if found := self.by_parts.get(parts):
                    return found
        parts = _parts(DRIVE.sub("", name))
        if not parts:
            return []
        named = self.by_name.get(parts[-1], []) or self.by_name.get(UPLOADED.sub("", parts[-1]), [])
        if not named and PurePosixPath(parts[-1]).suffix not in SUFFIXES:
            named = self.by_stem.get(parts[-1], [])
        above = parts[:-1]
        fitting = [file for file in named if _ends_alike(self.files[file][:-1], above)]
        if not fitting and not set(above) & self.folders:
            return named  # from folders that are not here: the name alone has to do
        return fitting

    def beside(self, file: Path, folders: Iterable[Path] = ()) -> list[Path]:
        """Pictures with the stem of a file, in its folder or in one of others."""
        places = (file.parent, *folders)
        return [f for f in self.by_stem.get(folded(file.stem), []) if f.parent in places]


def _parts(path: str) -> tuple[str, ...]:
    return tuple(folded(part) for part in path.split("/") if part not in ("", ".", ".."))


def _ends_alike(own: tuple[str, ...], above: tuple[str, ...]) -> bool:
    """Whether a file's folders are those of a name, as far as both go."""
    length = min(len(own), len(above))
    return own[len(own) - length :] == above[len(above) - length :] if length else not above
