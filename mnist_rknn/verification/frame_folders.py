"""Folders of whole camera frames, and what is written in them.

A folder holds `index.csv` (`file,digits[,group]`: the digits in reading order, lines separated by
`/`; none for a frame without a digit) and, where they are known, `boxes.csv`
(`file,digit,x,y,width,height`, pixels, every digit of a frame in the order of the index). Other
columns are not read.
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .. import text as text_files
from ..data import pictures
from ..errors import PipelineError
from ..files import relative
from ..text import shown, slashed

Box = tuple[int, int, int, int]  # x, y, width, height in pixels

ALL = "all"  # the group that every frame belongs to
MOST_PIXELS = 50_000_000
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Frame:
    """One frame and what is written in it."""

    file: Path
    text: str  # as the index has it, lines separated by /
    group: str
    boxes: tuple[Box, ...] | None  # one a digit, or not known

    @property
    def digits(self) -> str:
        """The text without the separators of lines."""
        return _digits(self.text)


def _digits(text: str) -> str:
    return text.replace("/", "").replace(" ", "")


def read_index(folder: Path, labels: str = "0123456789") -> list[Frame]:
    """The frames of a folder, in the order of its index.

    Args:
        labels: the digits that the model knows.

    Raises:
        PipelineError: an index or boxes that cannot be right; the line names the row.
    """
    boxes = _read_boxes(folder / "boxes.csv")
    frames: dict[str, Frame] = {}
    for where, row in _rows(folder / "index.csv", ("file", "digits"), blank=("digits",)):
        file, text = slashed(row["file"]), row["digits"]
        if strange := set(_digits(text)) - set(labels):
            raise PipelineError(
                f"{where}: digits {text!r} holds {min(strange)!r}; the model knows {labels}, and / "
                "stands between lines"
            )
        if file in frames:
            raise PipelineError(f"{where}: {shown(file)} stands in the index twice")
        path = text_files.twin_of(folder / file)
        if path is None or not path.is_file():
            raise PipelineError(f"{where}: there is no file {shown(file)} in {folder.name}")
        frames[file] = Frame(path, text, row.get("group") or ALL, _boxes_of(file, text, boxes))
    if not frames:
        raise PipelineError("index.csv lists no frame: a line a frame, file,digits[,group]")
    if strange := set(boxes or ()) - set(frames):
        raise PipelineError(f"boxes.csv: {min(strange)} is not in index.csv")
    return list(frames.values())


def _rows(
    path: Path, wanted: Sequence[str], blank: Sequence[str] = ()
) -> list[tuple[str, dict[str, str]]]:
    """The rows of a table, each with its place for a message.

    Args:
        wanted: columns.
        blank: those of them that may be empty.
    """
    if not path.is_file():
        raise PipelineError(
            f"{relative(path)} is missing: write one with the columns {','.join(wanted)}"
        )
    table = text_files.read_table(path)
    columns = text_files.find_columns(
        table, {name: (name,) for name in wanted}, {"group": ("group",)}
    )
    if columns is None:
        head = ",".join(table.rows[0].cells) if table.rows else "empty"
        raise PipelineError(
            f"{relative(path)} needs the columns {','.join(wanted)}; its first line is "
            f"{shown(head)}"
        )
    filled = [name for name in wanted if name not in blank]
    rows = text_files.cells_of(table, columns, filled, blank)
    return [(f"{path.name}, line {line}", row) for line, row in rows]


Boxes = dict[str, list[tuple[str, Box]]]


def _read_boxes(path: Path) -> Boxes | None:
    """File -> its digits and their boxes; None without a file of boxes."""
    if not path.is_file():
        return None
    found: Boxes = {}
    for where, row in _rows(path, ("file", "digit", "x", "y", "width", "height")):
        try:
            x, y, width, height = (int(row[name]) for name in ("x", "y", "width", "height"))
        except ValueError:
            raise PipelineError(f"{where}: a box is four whole numbers") from None
        if x < 0 or y < 0 or width < 1 or height < 1:
            raise PipelineError(f"{where}: the box {x},{y},{width},{height} is no box of a frame")
        found.setdefault(slashed(row["file"]), []).append((row["digit"], (x, y, width, height)))
    return found


def _boxes_of(file: str, text: str, boxes: Boxes | None) -> tuple[Box, ...] | None:
    if boxes is None:
        return None
    known = boxes.get(file, [])
    given = "".join(digit for digit, _ in known)
    if given != _digits(text):
        raise PipelineError(
            f"boxes.csv: the digits of {file} are {given or 'not there'}, and those of index.csv "
            f"{text or 'none'}: a box a digit, in the same order"
        )
    return tuple(box for _, box in known)


def read_frame(frame: Frame) -> np.ndarray:
    """The picture as a person sees it, uint8 [H, W, 3], BGR.

    Raises:
        PipelineError: no picture, 16 bits, too large, or a box outside it.
    """
    name = frame.file.name
    try:
        content = frame.file.read_bytes()
        _require_camera_frame(content, name)
        picture = pictures.decode(content)
    except (OSError, ValueError) as error:
        raise PipelineError(f"{name} is not a picture that can be read: {error}") from None
    height, width = picture.shape[:2]
    for x, y, w, h in frame.boxes or ():
        if x + w > width or y + h > height:
            raise PipelineError(
                f"boxes.csv: the box {x},{y},{w},{h} lies outside {name}, {width} x {height}"
            )
    code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
    return cv2.cvtColor(picture, code)


def _require_camera_frame(content: bytes, name: str) -> None:
    """Refuse by its first bytes what is no camera frame, before it is unpacked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures: they are refused here
            with Image.open(io.BytesIO(content), formats=pictures.FORMATS) as opened:
                (width, height), mode = opened.size, opened.mode
    except Exception:  # what is wrong with it is said by `pictures.decode`
        return
    if width * height > MOST_PIXELS:
        raise PipelineError(
            f"{name}: {width} x {height} pixels are no camera frame; make it smaller, at most "
            f"{MOST_PIXELS:,} pixels are read"
        )
    # Pillow reads colours of 16 bits as 8 without a word; a PNG says its depth in byte 24.
    if mode.startswith(("I", "F")) or (content.startswith(PNG) and content[24] == 16):
        raise PipelineError(f"{name} has 16 bits: save it with 8 bits a channel")
