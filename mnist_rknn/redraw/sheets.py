"""Whole sheets for a camera frame: ruled and squared exercise books, forms, cheques, boards.

A sheet is what lies under the ink: reflectance 0-1, and what a pupil would follow when writing,
the pitch and the course of its lines. Lines bend and run in perspective, because a book is not
flat and a camera not straight above it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from .config import RedrawConfig
from .fields import between, clip01, log_between, smooth_field
from .prints import PRINTS

Absorbed = tuple[float, float, float]  # of blue, green and red light

INKS: Mapping[str, tuple[Absorbed, ...]] = {
    "development": ((0.25, 0.5, 1.0), (0.8, 0.85, 0.9), (0.7, 0.35, 0.9), (0.45, 0.6, 0.8)),
    "test": ((0.15, 0.65, 0.95), (1.0, 1.0, 1.0), (0.95, 0.5, 0.6), (0.55, 0.75, 0.45)),
}
"""Colours of printed lines in either world."""
MARGINS: Absorbed = (0.85, 0.9, 0.25)  # red


@dataclass
class Sheet:
    """Paper of a frame, and where a hand would write on it."""

    planes: np.ndarray  # float32 [H, W, 3], BGR, 0-1
    pitch: float = 0.0  # pixels between lines that are written on; 0: no lines
    baseline: Callable[[float, int], float] | None = None  # (x, number of the line) -> y
    cells: list[tuple[int, int, int, int]] = field(default_factory=list)  # x, y, width, height


class Grid:
    """Coordinates of a printed grid: turned, in perspective, and bent."""

    def __init__(self, rng: np.random.Generator, height: int, width: int, world: str):
        size = max(height, width)
        x, y = np.meshgrid(
            np.arange(width, dtype=np.float32) - width / 2,
            np.arange(height, dtype=np.float32) - height / 2,
        )
        angle = math.radians(float(np.clip(rng.normal(0, 2.5), -8, 8)))
        lean = rng.normal(0, 0.10 if world == "development" else 0.07, 2) / size
        bend = rng.normal(0, 0.010, 2) * size * (rng.random(2) < 0.5)
        waves, phase = rng.uniform(0.4, 1.2, 2), rng.uniform(0, 6, 2)
        depth = 1 + lean[0] * x + lean[1] * y
        cos, sin = math.cos(angle), math.sin(angle)
        self.across = (x * cos + y * sin) / depth
        self.across += bend[0] * np.sin(2 * math.pi * waves[0] * y / size + phase[0])
        self.down = (y * cos - x * sin) / depth
        self.down += bend[1] * np.sin(2 * math.pi * waves[1] * x / size + phase[1])

    def lines(
        self, axis: np.ndarray, pitch: float, phase: float, thick: float, once: bool = False
    ) -> np.ndarray:
        """Coverage 0-1 of lines `pitch` apart (or of one line at `phase`), `thick` pixels."""
        slope_y, slope_x = np.gradient(axis)
        step = np.hypot(slope_x, slope_y)
        place = axis - phase
        if not once:
            place = place - pitch * np.rint(place / pitch)
        away = np.abs(place) / step
        # Farther away a line is thinner.
        return clip01(thick / step / 2 + 0.5 - away).astype(np.float32)

    def course(self, pitch: float, phase: float) -> Callable[[float, int], float]:
        """Where line `number`, counted from the top, runs at column x."""
        first = math.ceil((float(self.down[:, self.down.shape[1] // 2].min()) - phase) / pitch)

        def row(x: float, number: int) -> float:
            column = self.down[:, int(np.clip(x, 0, self.down.shape[1] - 1))]
            wanted = phase + pitch * (first + number)
            return float(np.interp(wanted, column, np.arange(len(column))))

        return row


def _taken(rng: np.random.Generator, world: str, low: float, high: float) -> np.ndarray:
    colours = INKS[world]
    absorbed = np.array(colours[int(rng.integers(len(colours)))], np.float32)
    return np.float32(log_between(rng, low, high)) * absorbed


def _paper(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    tint = np.array([0.93, 0.98, 1.0], np.float32) ** np.float32(rng.uniform(0, 2))
    field_ = cv2.resize(smooth_field(rng, 64, int(rng.integers(3, 10))), (width, height))
    return (1 + np.float32(rng.uniform(0, 0.02)) * field_)[:, :, None] * tint


def _print(planes: np.ndarray, coverage: np.ndarray, taken: np.ndarray) -> None:
    planes *= 1 - coverage[:, :, None] * taken


def plain(rng: np.random.Generator, height: int, width: int, world: str) -> Sheet:
    return Sheet(_paper(rng, height, width))


def _pitch(rng: np.random.Generator, height: int, least: float, most: float) -> float:
    """Pixels between lines: `least` pixels at 480 rows, up to `most` of the frame."""
    return log_between(rng, least * height / 480, most * height)


def ruled(rng: np.random.Generator, height: int, width: int, world: str) -> Sheet:
    """Writing lines, often doubled, perhaps with a margin."""
    planes, grid = _paper(rng, height, width), Grid(rng, height, width, world)
    pitch = _pitch(rng, height, 16, 0.25)
    phase = rng.uniform(0, pitch)
    fine = height / 480
    thick = between(rng, 0.8, 2.6) * fine**0.7
    taken = _taken(rng, world, 0.35, 0.8)
    _print(planes, grid.lines(grid.down, pitch, phase, thick), taken)
    if rng.random() < 0.45:  # a second line: copy books, or the print of the other side
        shift = pitch * rng.uniform(0.12, 0.5)
        _print(
            planes, grid.lines(grid.down, pitch, phase + shift, thick), taken * rng.uniform(0.5, 1)
        )
    if rng.random() < 0.5:
        _margin(planes, grid, rng, width, thick)
    return Sheet(planes, pitch, grid.course(pitch, phase))


def _margin(
    planes: np.ndarray, grid: Grid, rng: np.random.Generator, width: int, thick: float
) -> None:
    place = rng.choice([-1, 1]) * width * rng.uniform(0.3, 0.47)
    taken = np.array(MARGINS if rng.random() < 0.7 else MARGINS[::-1], np.float32)
    taken = taken * np.float32(rng.uniform(0.3, 0.65))
    for shift in (0.0, thick * rng.uniform(2, 4))[: int(rng.integers(1, 3))]:
        _print(planes, grid.lines(grid.across, 1.0, place + shift, thick, once=True), taken)


def squared(rng: np.random.Generator, height: int, width: int, world: str) -> Sheet:
    """Squares from four pixels to a quarter of the frame."""
    planes, grid = _paper(rng, height, width), Grid(rng, height, width, world)
    pitch = _pitch(rng, height, 4 if rng.random() < 0.15 else 8, 0.25)
    phase = rng.uniform(0, pitch)
    thick = min(between(rng, 0.8, 2.2) * (height / 480) ** 0.7, pitch / 4)
    taken = _taken(rng, world, 0.35, 0.8)
    wide = pitch * (1.0 if rng.random() < 0.85 else rng.uniform(0.6, 1.6))
    across = grid.lines(grid.across, wide, rng.uniform(0, wide), thick)
    _print(planes, np.maximum(grid.lines(grid.down, pitch, phase, thick), across), taken)
    if world == "test" and rng.random() < 0.4:  # every fifth line is heavier
        _print(planes, grid.lines(grid.down, 5 * pitch, phase, thick * 1.3), taken * 0.5)
        _print(planes, grid.lines(grid.across, 5 * wide, 0, thick * 1.3), taken * 0.5)
    if rng.random() < 0.35:
        _margin(planes, grid, rng, width, thick)
    rows = max(1, round(height * rng.uniform(0.08, 0.2) / pitch))
    return Sheet(planes, pitch * rows, grid.course(pitch * rows, phase))


def cells(
    rng: np.random.Generator, height: int, width: int, world: str, thick: tuple = (1.0, 3.0)
) -> Sheet:
    """A row or a table of printed cells."""
    planes = _paper(rng, height, width)
    side = log_between(rng, 0.14, 0.5) * height
    tall = side * rng.uniform(0.9, 1.5)
    columns = int(np.clip(width * 0.9 / side, 1, 9))
    rows = int(np.clip(rng.integers(1, 4), 1, max(1, height * 0.9 / tall)))
    left = rng.uniform(0, max(1.0, width - columns * side))
    top = rng.uniform(0, max(1.0, height - rows * tall))
    apart = side * rng.uniform(0.08, 0.25) if rng.random() < 0.3 else 0.0  # cells of their own
    taken = _taken(rng, world, 0.3, 0.85)
    pen = max(1, round(between(rng, *thick) * height / 480))
    coverage, boxes = np.zeros((height, width), np.float32), []
    for row in range(rows):
        for column in range(columns):
            x0, y0 = left + column * side, top + row * tall
            x1, y1 = x0 + side - apart, y0 + tall - apart
            corners = [tuple(round(v * 8) for v in p) for p in ((x0, y0), (x1, y1))]
            cv2.rectangle(coverage, *corners, 1.0, pen, cv2.LINE_AA, 3)
            boxes.append((int(x0), int(y0), int(x1 - x0), int(y1 - y0)))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.normal(0, 0.8)), 1)
    coverage = cv2.warpAffine(coverage, turn, (width, height))
    _print(planes, coverage, taken)
    return Sheet(planes, cells=boxes)


def bars(rng: np.random.Generator, height: int, width: int, world: str) -> Sheet:
    """Cells between thick bars."""
    return cells(rng, height, width, world, (5.0, 10.0))


def cheque(rng: np.random.Generator, height: int, width: int, world: str) -> Sheet:
    """The amount on a cheque: fine waves, a line to write on, printed words beside it."""
    sheet = printed(rng, height, width, "security" if world == "development" else "rosette", 0.25)
    grid, pitch = Grid(rng, height, width, world), height * rng.uniform(0.3, 0.6)
    phase = rng.uniform(0, pitch)
    _print(
        sheet.planes,
        grid.lines(grid.down, pitch, phase, between(rng, 1, 2) * height / 480),
        _taken(rng, world, 0.4, 0.8),
    )
    return Sheet(sheet.planes, pitch, grid.course(pitch, phase))


def whiteboard(rng: np.random.Generator, height: int, width: int, world: str) -> Sheet:
    """Smooth and bright, with a reflection and wiped remains."""
    planes = np.ones((height, width, 3), np.float32)
    shine = cv2.resize(smooth_field(rng, 32, 3), (width, height))
    planes *= 0.85 + 0.12 * np.clip(shine, -1, 1)[:, :, None]
    wiped = cv2.resize(smooth_field(rng, 96, 14), (width, height))
    planes *= 1 - np.float32(rng.uniform(0, 0.06)) * np.clip(wiped - 0.8, 0, 1)[:, :, None]
    return Sheet(planes)


def printed(
    rng: np.random.Generator, height: int, width: int, name: str, contrast: float = 0.3
) -> Sheet:
    """One of the papers of single digits, enlarged to a frame."""
    planes = _paper(rng, height, width)
    side = max(height, width)
    # A pattern keeps the size it has beside a single digit, and is repeated; what surrounds the
    # digit is there once.
    once = name in ("box", "form", "table", "blotted", "crumpled")
    patch = side if once else int(side / rng.uniform(2.5, 4.5))
    coarse = min(patch, side // 3)
    middle, reach = coarse / 2, coarse * rng.uniform(0.1, 0.2)
    box = (middle - reach, middle - reach, middle + reach, middle + reach)
    cover = np.asarray(PRINTS[name](rng, coarse, box, RedrawConfig()))
    cover = cover.reshape(-1, coarse, coarse)[0].astype(np.float32)
    cover = cv2.resize(cover, (patch, patch), interpolation=cv2.INTER_LINEAR)
    cover = np.pad(cover, ((0, side - patch), (0, side - patch)), mode="symmetric")
    cover = cover[:height, :width]
    _print(planes, cover, np.float32(contrast) * rng.uniform(0.6, 1, 3).astype(np.float32))
    return Sheet(planes)


SHEETS: Mapping[str, Callable[[np.random.Generator, int, int, str], Sheet]] = {
    "plain": plain,
    "ruled": ruled,
    "squared": squared,
    "cells": cells,
    "bars": bars,
    "cheque": cheque,
    "whiteboard": whiteboard,
}
"""Sheets drawn for whole frames; the names of `PRINTS` that are not here are enlarged."""


def sheet_of(kind: str, rng: np.random.Generator, height: int, width: int, world: str) -> Sheet:
    """A sheet by its name, a key of `SHEETS` or `PRINTS`."""
    if kind in SHEETS:
        return SHEETS[kind](rng, height, width, world)
    return printed(rng, height, width, kind)
