"""Whole camera frames: are their digits found, and read.

A folder of frames holds `index.csv` (`file,digits[,group]`: the digits in reading order, lines
separated by `/`; none for a frame without a digit) and, where they are known, `boxes.csv`
(`file,digit,x,y,width,height`, pixels, every digit of a frame in the order of the index).
"""

import csv
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import pandas as pd

from ..errors import PipelineError
from ..files import PROJECT
from ..recipe import Image
from .metrics import probabilities, wilson

Box = tuple[int, int, int, int]
Predict = Callable[[np.ndarray], np.ndarray]
"""Logits [N, C] of uint8 [N, H, W, 3] in the network's size and colour order."""

IOU = 0.5  # overlap from which a digit counts as found
LEAST_ASPECT = 0.4  # a narrower box counts as this part of its height wide
MOST_PIXELS = 100_000_000


class Locator(Protocol):
    """What is asked of `deploy/python/reading.py`, which `deployed_reader` gives."""

    def read(self, frame: np.ndarray, classify: Callable) -> list: ...


@dataclass(frozen=True)
class Frame:
    """One frame and what is written in it."""

    file: Path
    digits: str  # without the separators of lines
    group: str
    boxes: tuple[Box, ...] | None  # one a digit, or not known


@dataclass(frozen=True)
class Answer:
    """What was found in a frame, in reading order."""

    digits: str
    boxes: tuple[Box, ...]


# --- the folder -----------------------------------------------------------------------


def read_index(folder: Path) -> list[Frame]:
    """The frames of a folder, in the order of its index.

    Raises:
        PipelineError: an index or boxes that cannot be right; the line names the row.
    """
    index = folder / "index.csv"
    rows = _rows(index, ("file", "digits"))
    boxes = _read_boxes(folder / "boxes.csv")
    frames, seen = [], set()
    for number, row in rows:
        where = f"{index.name}, line {number}"
        file, digits = row["file"], row["digits"].replace("/", "").replace(" ", "")
        if not set(digits) <= set("0123456789"):
            raise PipelineError(
                f"{where}: digits {row['digits']!r} holds more than digits and the / between lines"
            )
        if file in seen:
            raise PipelineError(f"{where}: {file} stands in the index twice")
        seen.add(file)
        if not (folder / file).is_file():
            raise PipelineError(f"{where}: there is no file {file} in {folder.name}")
        known = boxes.get(file, []) if boxes is not None else None
        if known is not None and "".join(digit for digit, _ in known) != digits:
            raise PipelineError(
                f"boxes.csv: the digits of {file} are not those of index.csv, {row['digits']!r}"
            )
        frames.append(
            Frame(
                folder / file,
                digits,
                row.get("group") or "all frames",
                None if known is None else tuple(box for _, box in known),
            )
        )
    if not frames:
        raise PipelineError(f"{index.name} lists no frame: a line a frame, file,digits[,group]")
    if boxes and (strange := set(boxes) - seen):
        raise PipelineError(f"boxes.csv: {min(strange)} is not in index.csv")
    return frames


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with the numbers of their lines."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            if missing:
                raise PipelineError(
                    f"{path.name} has no column {missing[0]}: its first line is {','.join(columns)}"
                )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PipelineError(f"{path} cannot be read as CSV: {error}") from None
    for number, row in rows:
        if any(row[name] is None for name in columns):
            raise PipelineError(
                f"{path.name}, line {number}: fewer than {len(columns)} fields: {','.join(columns)}"
            )
    return rows


def _read_boxes(path: Path) -> dict[str, list[tuple[str, Box]]] | None:
    """File -> its digits and their boxes; None without a file of boxes."""
    if not path.is_file():
        return None
    found: dict[str, list[tuple[str, Box]]] = {}
    for number, row in _rows(path, ("file", "digit", "x", "y", "width", "height")):
        try:
            x, y, width, height = (int(row[name]) for name in ("x", "y", "width", "height"))
        except ValueError:
            raise PipelineError(
                f"{path.name}, line {number}: a box is four whole numbers"
            ) from None
        if x < 0 or y < 0 or width < 1 or height < 1:
            raise PipelineError(
                f"{path.name}, line {number}: the box {x},{y},{width},{height} is no box of a frame"
            )
        found.setdefault(row["file"], []).append((row["digit"], (x, y, width, height)))
    return found


def read_frame(frame: Frame) -> np.ndarray:
    """The picture, uint8 [H, W, 3], BGR.

    Raises:
        PipelineError: no picture, 16 bits, too large, or a box outside it.
    """
    try:
        content = np.fromfile(frame.file, np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    except (OSError, cv2.error):
        picture = None
    if picture is None:
        raise PipelineError(f"{frame.file.name} is not a picture that can be read")
    if picture.dtype != np.uint8:
        raise PipelineError(f"{frame.file.name} has 16 bits: save it with 8 bits a channel")
    height, width = picture.shape[:2]
    if height * width > MOST_PIXELS:
        raise PipelineError(f"{frame.file.name}: {width} x {height} pixels are no camera frame")
    for x, y, w, h in frame.boxes or ():
        if x + w > width or y + h > height:
            raise PipelineError(
                f"boxes.csv: the box {x},{y},{w},{h} lies outside {frame.file.name}, "
                f"{width} x {height}"
            )
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(picture[:, :, :3])


# --- reading --------------------------------------------------------------------------


def deployed_reader() -> Any:
    """The module `reading` of the Python program for the board: it needs numpy alone."""
    folder = str(PROJECT / "deploy" / "python")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module("reading")


def classifier(predict: Predict, image: Image) -> Callable[[np.ndarray], tuple[int, float]]:
    """The classifier as the module's programs have it: a BGR crop -> its class and score."""

    def classify(crop: np.ndarray) -> tuple[int, float]:
        chance = probabilities(predict(as_input(crop, image)[None]))[0]
        best = int(chance.argmax())
        return best, float(chance[best])

    return classify


def as_input(crop: np.ndarray, image: Image) -> np.ndarray:
    """A BGR crop in the size and the colour order of the network, uint8 [H, W, 3]."""
    smaller = crop.shape[0] > image.height or crop.shape[1] > image.width
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(crop, (image.width, image.height), interpolation=method)
    return resized if image.color_order == "bgr" else np.ascontiguousarray(resized[..., ::-1])


def answers(
    frames: Iterable[Frame], locator: Locator, predict: Predict, image: Image
) -> list[Answer]:
    """What the programs on the module would say of each frame."""
    classify = classifier(predict, image)
    found = []
    for frame in frames:
        digits = locator.read(read_frame(frame), classify)
        found.append(
            Answer(
                "".join(str(digit.label) for digit in digits), tuple(digit.box for digit in digits)
            )
        )
    return found


# --- figures --------------------------------------------------------------------------


def overlap(a: Box, b: Box) -> float:
    """Intersection over union; a box narrower than 0.4 of its height counts as that wide."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = (_widened(box) for box in (a, b))
    across = max(0.0, min(ax + aw, bx + bw) - max(ax, bx))
    along = max(0.0, min(ay + ah, by + bh) - max(ay, by))
    shared = across * along
    return shared / (aw * ah + bw * bh - shared)


def _widened(box: Box) -> tuple[float, float, float, float]:
    x, y, width, height = box
    wide = max(width, LEAST_ASPECT * height)
    return x - (wide - width) / 2, y, wide, height


def matches(true: Sequence[Box], found: Sequence[Box]) -> list[tuple[int, int]]:
    """Pairs (true, found) that overlap by `IOU`, each box in one pair at most, best first."""
    pairs = sorted(
        (
            (-share, i, j)
            for i, a in enumerate(true)
            for j, b in enumerate(found)
            if (share := overlap(a, b)) >= IOU
        ),
    )
    taken: list[tuple[int, int]] = []
    for _, i, j in pairs:
        if all(i != one and j != other for one, other in taken):
            taken.append((i, j))
    return sorted(taken)


def edit_distance(a: str, b: str) -> int:
    """Insertions, deletions and replacements that make `b` of `a` (V. Levenshtein, 1966)."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


def figures(frames: Sequence[Frame], found: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Figures by group, and of "all" frames.

    Returns:
        By group: the numbers of `frames` and `digits`; `right` (whole frames), `recall`,
        `precision` and `read` (found and read, of all digits), each as {share, low, high,
        count, of} with a 95 % Wilson interval, or None where there are no boxes or nothing to
        count; and `edits`, the edit distance a digit.
    """
    groups = sorted({frame.group for frame in frames})
    result = {}
    for name in [*groups, "all"]:
        chosen = [
            (frame, answer)
            for frame, answer in zip(frames, found, strict=True)
            if name in ("all", frame.group)
        ]
        result[name] = _figures(chosen)
    return result


def _figures(chosen: Sequence[tuple[Frame, Answer]]) -> dict[str, Any]:
    digits = sum(len(frame.digits) for frame, _ in chosen)
    right = sum(frame.digits == answer.digits for frame, answer in chosen)
    edits = sum(edit_distance(answer.digits, frame.digits) for frame, answer in chosen)
    result: dict[str, Any] = {
        "frames": len(chosen),
        "digits": digits,
        "right": _share(right, len(chosen)),
        "edits": edits / digits if digits else None,
        "recall": None,
        "precision": None,
        "read": None,
    }
    boxed = [(frame, answer) for frame, answer in chosen if frame.boxes is not None]
    if boxed:
        met = read = 0
        for frame, answer in boxed:
            pairs = matches(frame.boxes or (), answer.boxes)
            met += len(pairs)
            read += sum(frame.digits[i] == answer.digits[j] for i, j in pairs)
        true = sum(len(frame.digits) for frame, _ in boxed)
        given = sum(len(answer.boxes) for _, answer in boxed)
        result.update(
            recall=_share(met, true), precision=_share(met, given), read=_share(read, true)
        )
    return result


def _share(count: int, of: int) -> dict[str, Any] | None:
    if not of:
        return None
    low, high = wilson(count, of)
    return {"share": count / of, "low": low, "high": high, "count": count, "of": of}


def table(result: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The figures for people, a line a group."""

    def percent(share: dict[str, Any] | None) -> str:
        if share is None:
            return "-"
        return f"{100 * share['share']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"

    return pd.DataFrame(
        {
            name: {
                "frames": row["frames"],
                "digits": row["digits"],
                "found %": percent(row["recall"]),
                "precision %": percent(row["precision"]),
                "found and read %": percent(row["read"]),
                "frames right %": percent(row["right"]),
                "edits a digit": "-" if row["edits"] is None else f"{row['edits']:.3f}",
            }
            for name, row in result.items()
        }
    ).T
