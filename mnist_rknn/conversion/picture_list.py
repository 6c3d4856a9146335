"""Calibration lists as people have them, read into picture files.

rknn-toolkit2 wants one path a line, seen from the list's own folder, without a blank in it. People
have lists in the encodings of their systems, with quotes, backslashes and labels, of other folders.
What can only be meant one way is read; of the rest the line is named. `lay_out` then gives the
toolkit a list of its own, in which no name can be misread.
"""

import re
import unicodedata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

import cv2
import numpy as np

from .. import file_kinds, text
from ..data import pictures
from ..data.pictures import MIN_CONTRAST
from ..errors import PipelineError
from ..files import relative
from ..language import _
from ..recipe import FEWEST_CALIBRATION_IMAGES
from . import calibration

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_AS_THEY_ARE = ("bmp", "jpg", "png")  # kinds that the toolkit reads
_JPEG_DECODERS = 8  # levels by which two of them may differ
_LONGEST_SHOWN = 80  # letters of a line in a message
_HEADS = ("file", "filename", "file_name", "image", "images", "img", "name", "path")


class Entry(NamedTuple):
    """A picture of the list."""

    line: int  # from 1
    file: Path


class Listed(NamedTuple):
    """What a list names."""

    name: str  # of the list, for messages
    entries: list[Entry]
    remarks: list[str]


def read(path: Path) -> Listed:
    """Read a calibration list; a relative line is seen from its folder, or from the working one.

    Raises:
        PipelineError: no such list, another kind of file, or a line that names no picture; the
            message has the line's number.
    """
    name = relative(path)
    if path.is_dir():
        raise PipelineError(
            _(
                "build.dataset: {name} is a folder: list its pictures, such as by `ls "
                "{name}/*.png > dataset.txt`, and name that list"
            ).format(name=name)
        )
    if not path.is_file():
        raise PipelineError(
            _("build.dataset: {name} is missing: {list}").format(name=name, list=_LIST)
        )
    if (kind := file_kinds.of(path)).key in file_kinds.PICTURES:
        raise PipelineError(
            _("build.dataset: {name} is {what}: {list}").format(
                name=name, what=kind.what, list=_LIST
            )
        )
    lines = text.read(path).lines()
    reader = _Reader(path.parent)
    for number, line in lines:
        try:
            reader.take(number, line)
        except PipelineError as error:
            raise PipelineError(
                _("{name}, line {number}: {error}").format(name=name, number=number, error=error)
            ) from None
    if not reader.entries:
        raise PipelineError(_("{name} names no picture: {list}").format(name=name, list=_LIST))
    return Listed(name, reader.entries, [f"{name}: {remark}" for remark in reader.remarks()])


_LIST = "write a list, one picture file a line"


class _Reader:
    """The lines of one list, one after the other."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.entries: list[Entry] = []
        self.left_out: list[int] = []
        self.labelled: list[int] = []

    def take(self, number: int, line: str) -> None:
        """Read a line.

        Raises:
            PipelineError: it names no picture.
        """
        found = self._find(line)
        if found is None and (line.startswith(("#", "//")) or self._is_head(line)):
            self.left_out.append(number)
            return
        if found is None:
            found = self._first_column(number, line)
        if found is None:
            raise PipelineError(self._reason(line))
        if (reason := _no_picture(found)) is not None:
            raise PipelineError(f"{_shown(line)} {reason}")
        self.entries.append(Entry(number, found))

    def remarks(self) -> list[str]:
        """What was read otherwise than it stands there."""
        found = []
        if self.left_out:
            found.append(f"{_lines(self.left_out)} left out, as a comment or a table's head")
        if self.labelled:
            found.append(f"what stands behind the name is left out in {_lines(self.labelled)}")
        return found

    def _find(self, written: str) -> Path | None:
        """The file or folder that a text names, in any of the ways in which it may be meant."""
        if written.lower().startswith("file:"):
            written = unquote(urlparse(written).path)
        for spelt in dict.fromkeys((written, text.slashed(written))):
            for form in dict.fromkeys((spelt, *_forms(spelt))):
                for place in (self.folder / form, Path.cwd() / form, _home(form)):
                    if place is not None and _exists(place):
                        return place
        return None

    def _is_head(self, line: str) -> bool:
        cells = re.split(r"[,;\t ]", line)
        return not self.entries and text.folded(cells[0].strip("\"'")) in _HEADS

    def _first_column(self, number: int, line: str) -> Path | None:
        """The file before a label, where a line has several columns."""
        columns = [column for column in re.split(r"[\s,;|]+", line) if column]
        named = [column for column in columns if self._is_file(column)]
        pictures_named = [c for c in columns if Path(c).suffix.lower() in pictures.SUFFIXES]
        count = max(len(named), len(pictures_named))
        if count > 1:
            raise PipelineError(
                _(
                    "{line} names {count} files, and this model has one input: write one "
                    "picture a line"
                ).format(line=_shown(line), count=count)
            )
        for cut in re.finditer(r"[\s,;|]+", line):
            file = self._find(line[: cut.start()])
            if file is not None and file.is_file():
                self.labelled.append(number)
                return file
        if named:
            raise PipelineError(
                _("{line} has something before the name: leave {named} only").format(
                    line=_shown(line), named=named[0]
                )
            )
        return None

    def _is_file(self, name: str) -> bool:
        found = self._find(name)
        return found is not None and found.is_file()

    def _reason(self, line: str) -> str:
        """Why a line names nothing."""
        shown = _shown(line)
        if re.match(r"[a-z][a-z+.-]+://", line, re.IGNORECASE) and not line.startswith("file:"):
            return f"{shown} is an address, no file: download the pictures and list these"
        if all(_NUMBER.fullmatch(part) for part in re.split(r"[\s,;]+", line) if part):
            return f"{shown} holds numbers, no file: write the name of a picture"
        if _WINDOWS.match(line.strip("\"'")):
            return (
                f"{shown} is a path of Windows, and not of this machine: copy the pictures here "
                "and write where they are"
            )
        if any(sign in line for sign in "*?"):
            return f"{shown} is a pattern: write every picture's own name, one a line"
        written = Path(text.slashed(line))
        for folder in (self.folder, Path.cwd()):
            twin = text.twin_of(folder / written)
            if twin is not None:
                return f"{shown} is missing; {relative(twin)} is there: upper and lower case count"
        elsewhere = written.is_absolute() or line.startswith("~")
        return f"{shown} is missing" + (
            " on this machine: copy the pictures here and list these"
            if elsewhere
            else f", seen from {relative(self.folder)} and from here"
        )


def _forms(name: str) -> tuple[str, str]:
    return unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)


def _home(name: str) -> Path | None:
    return Path(name).expanduser() if name.startswith("~/") else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with what no name can have
        return False


def _shown(line: str) -> str:
    return text.shown(line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}...")


def _no_picture(file: Path) -> str | None:
    if file.is_dir():
        return "is a folder: list its pictures, one a line"
    kind = file_kinds.of(file)
    if kind.key not in file_kinds.PICTURES:
        cure = kind.cure if kind.cure != file_kinds.NOT_HERE else "take it off the list"
        return f"is {kind.what}, no picture: {cure}"
    return None


def _lines(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    return f"{len(numbers)} lines, the first of them {numbers[0]}"


# --- the pictures ---------------------------------------------------------------------


class Images(NamedTuple):
    """The pictures of a list, of whatever sizes, as stored: uint8 [h, w] or [h, w, 3] in RGB."""

    listed: Listed
    pixels: list[np.ndarray]


def open_images(listed: Listed) -> Images:
    """Read every picture.

    Raises:
        PipelineError: names the line of one that cannot be read.
    """
    found = []
    for line, file in listed.entries:
        try:
            found.append(pictures.decode(file.read_bytes()))
        except ValueError as error:
            raise PipelineError(
                _(
                    "{name}, line {line}: {file} is not a readable picture ({error}): take "
                    "it off the list, or get it again"
                ).format(name=listed.name, line=line, file=relative(file), error=error)
            ) from None
    return Images(listed, found)


def warnings(
    images: Images, inner: tuple[int, int], size: tuple[int, int], of_colour: bool
) -> list[str]:
    """What the toolkit takes without a word, and what it will do with it.

    Args:
        inner, size: as in `as_fed`.
        of_colour: whether the network was trained on coloured pictures.
    """
    count = len(images.pixels)
    different = len({(image.shape, image.tobytes()) for image in images.pixels})
    found = [
        f"{number} of {count} calibration pictures {what}"
        for number, what in (
            (
                sum(image.shape[:2] not in (inner, size) for image in images.pixels),
                f"are not {inner[1]}x{inner[0]}; the toolkit squeezes them",
            ),
            (sum(_is_flat(image) for image in images.pixels), "are one flat tone"),
            (
                sum(image.ndim == 2 for image in images.pixels) if of_colour else 0,
                "are gray; the toolkit repeats the gray in all three channels, and a network of "
                "coloured pictures gets ranges that are too narrow",
            ),
        )
        if number
    ]
    if different < count:
        found.append(
            f"{images.listed.name} has {count} lines, and {different} different "
            f"picture{'s' if different > 1 else ''}"
        )
    if different < FEWEST_CALIBRATION_IMAGES:
        found.append(
            f"few calibration pictures, {different} different ones: {FEWEST_CALIBRATION_IMAGES} or "
            "more find the ranges"
        )
    return [f"warning: {line}" for line in found]


def _is_flat(image: np.ndarray) -> bool:
    return bool(image.reshape(image.shape[0] * image.shape[1], -1).std(axis=0).max() < MIN_CONTRAST)


def as_fed(images: Images, inner: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """uint8 [N, H, W, 3] in RGB, of the module's size, as the toolkit would make them.

    Args:
        inner: height and width of the graph's own picture; each picture is squeezed to it.
        size: height and width of the module's picture; one of that size stays as it is. What lies
            around the inner one repeats its edge: the graph does not read it.
    """
    found = []
    for image in images.pixels:
        colour = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
        if colour.shape[:2] == size:
            found.append(colour)
            continue
        if colour.shape[:2] != inner:
            colour = cv2.resize(colour, (inner[1], inner[0]))
        top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        bottom, right = size[0] - inner[0] - top, size[1] - inner[1] - left
        found.append(cv2.copyMakeBorder(colour, top, bottom, left, right, cv2.BORDER_REPLICATE))
    return np.stack(found)


def _reads_alike(file: Path, pixels: np.ndarray) -> bool:
    """Whether OpenCV, which the toolkit reads with, sees what we do: no transparency, 8 bits."""
    found = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if found is None or found.shape != pixels.shape or found.dtype != np.uint8:
        return False
    return int(cv2.absdiff(found, pixels).max()) <= _JPEG_DECODERS


def lay_out(images: Images, folder: Path, fed: np.ndarray | None) -> Path:
    """Write the list for the toolkit: links to the pictures, or pictures made from them.

    Args:
        folder: an empty one, without a blank in its own name.
        fed: pictures to write instead of the listed ones, as `as_fed` gives them.
    """
    files = []
    for number, (_line, file) in enumerate(images.listed.entries):
        pixels = images.pixels[number] if fed is None else fed[number]
        colour = np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels
        kind = file_kinds.of(file).key
        if fed is None and kind in _AS_THEY_ARE and _reads_alike(file, colour):
            files.append(folder / f"{number:06d}.{kind}")
            files[-1].symlink_to(file.resolve())
        else:
            files.append(folder / f"{number:06d}.png")
            cv2.imwrite(str(files[-1]), colour)
    listed = folder / "calibration.txt"
    calibration.write_list(listed, files)
    return listed
