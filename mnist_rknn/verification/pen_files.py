"""Handwritten digits as pen trajectories: a JSON object a line, read and checked.

`label` is the digit, `donor` the site it comes from, `writer` a number or name within the site,
`strokes` the pen's path: for each time it touched the paper a list of [x, y], x to the right and y
down, in any unit.
"""

import gzip
import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import text as text_files
from ..errors import PipelineError
from ..files import relative

SUFFIXES = (".jsonl", ".jsonl.gz")
GZIP = b"\x1f\x8b"
KEYS = ("label", "donor", "writer", "strokes")
ALL = "all"  # what the figures call all sites together
FARTHEST = 1e6  # from the origin; a pen's unit is never so small


@dataclass(frozen=True)
class Trajectory:
    """One digit as a pen wrote it."""

    line: int  # of the file, from 1
    label: str
    site: str
    writer: str
    strokes: tuple[np.ndarray, ...]  # each float64 [N, 2]


def find(path: Path) -> Path:
    """The file of trajectories that a path means: a file, or the only one of a folder.

    Raises:
        PipelineError: there is none, or more than one.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES))
        if len(files) != 1:
            found = ", ".join(file.name for file in files) or "none"
            raise PipelineError(
                f"{relative(path)} must hold one .jsonl or .jsonl.gz file of pen trajectories; "
                f"found: {found}"
            )
        return files[0]
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is not there: name a .jsonl or .jsonl.gz file")
    if not path.name.endswith(SUFFIXES):
        raise PipelineError(f"{relative(path)} is not called .jsonl or .jsonl.gz")
    return path


def name_of(path: Path) -> str:
    """What a set is called: its folder, or its file without the suffixes."""
    path = path.resolve()
    return path.name if path.is_dir() else path.name.split(".jsonl")[0] or "pen"


def read(path: Path, labels: list[str]) -> list[Trajectory]:
    """The digits of a file, or of the only one of a folder.

    Args:
        labels: the model's classes.

    Raises:
        PipelineError: not such a file; the message names the line.
    """
    file = find(path)
    digits = [
        _trajectory(number, text, f"{relative(file)}, line {number}", labels)
        for number, text in _lines(file)
    ]
    if not digits:
        raise PipelineError(f"{relative(file)} holds no digit: write a JSON object a line")
    return digits


def _lines(file: Path) -> list[tuple[int, str]]:
    """Lines that are not blank, with their numbers; packed by content, whatever the ending."""
    try:
        content = file.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise PipelineError(f"{relative(file)} cannot be read: {error}") from None
    return text_files.decode(content, relative(file)).lines()


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _trajectory(number: int, text: str, where: str, labels: list[str]) -> Trajectory:
    try:
        row = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise PipelineError(f"{where}: not JSON ({error})") from None
    if not isinstance(row, dict):
        raise PipelineError(f"{where}: not an object with the keys {', '.join(KEYS)}")
    for key in KEYS:
        if key not in row:
            raise PipelineError(f"{where}: there is no {key}; the keys are {', '.join(KEYS)}")
    if unknown := [key for key in row if key not in KEYS]:
        raise PipelineError(f"{where}: unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}")
    label = str(row["label"]) if _is_name(row["label"]) else ""
    if label not in labels:
        raise PipelineError(
            f"{where}: the model has no class {row['label']!r}; its classes are {', '.join(labels)}"
        )
    for key in ("donor", "writer"):
        if not _is_name(row[key]) or str(row[key]).strip() in ("", ALL):
            raise PipelineError(
                f"{where}: {key} is {row[key]!r}: write a whole number, or a name other than {ALL}"
            )
    strokes = _strokes(row["strokes"], where)
    return Trajectory(number, label, str(row["donor"]), str(row["writer"]), strokes)


def _is_name(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def _strokes(value: Any, where: str) -> tuple[np.ndarray, ...]:
    if not isinstance(value, list) or not value:
        raise PipelineError(f"{where}: strokes is empty: write a list of strokes, each of [x, y]")
    for index, stroke in enumerate(value, 1):
        if not isinstance(stroke, list) or not stroke:
            raise PipelineError(f"{where}: stroke {index} is empty: write a list of [x, y]")
        for point in stroke:
            if not isinstance(point, list) or len(point) != 2 or not all(map(_is_place, point)):
                raise PipelineError(
                    f"{where}: stroke {index} has the point {_short(point)}: write [x, y], two "
                    f"finite numbers within {FARTHEST:,.0f}"
                )
    strokes = tuple(np.array(stroke, np.float64) for stroke in value)
    if not np.ptp(np.concatenate(strokes), axis=0).any():
        raise PipelineError(f"{where}: all points are one: a digit has a height or a width")
    return strokes


def _is_place(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and abs(value) <= FARTHEST and math.isfinite(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
