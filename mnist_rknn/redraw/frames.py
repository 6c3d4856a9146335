"""Camera frames of several digits with their boxes: lines of writing on whole sheets.

Two worlds, as for single digits: `development` and `test` differ in the digits (the caller's
pool), in their papers' colours, in the blur and in what surrounds the sheet.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from .config import RedrawConfig
from .fields import log_between, pick, rng_for
from .glyph import glyph_from_mnist
from .ink import Illegible, absorbed_by_ink, crop_to_ink, lay_ink
from .sheets import Sheet, sheet_of
from .surroundings import Box, drawing, hand_shadow, letters, on_board, photograph, surround
from .worlds import SIMULATED_CAMERA

KINDS = (
    "plain", "ruled", "squared", "cells", "bars", "cheque", "whiteboard", "blackboard",
    "box", "security", "table", "woven", "crumpled", "hatched", "form", "rosette", "blotted",
)  # fmt: skip
BLANKS = (*KINDS, "shadow", "letters", "drawing")
SIZES = ((480, 640), (480, 640), (640, 480), (720, 1280))
HAND = RedrawConfig().changed(
    writing={"rotation_deg": (-6.0, 6.0), "slant": (-0.1, 0.25), "slashed_zero": 0.05},
    camera={"stretch": (0.9, 1.1)},
)
WORLDS = {"development": HAND, "test": SIMULATED_CAMERA.changed(writing={"slashed_zero": 0.05})}
PENS = {"ballpoint": 0.55, "pencil": 0.25, "own": 0.2}


@dataclass(frozen=True)
class ComposedFrame:
    """A frame, what is written in it, and where."""

    picture: np.ndarray  # uint8 [H, W, 3], BGR, as a camera gives it
    digits: str  # lines from the top, separated by /
    boxes: tuple[Box, ...]  # x, y, width, height of each digit's ink, in the order of `digits`


@dataclass(frozen=True)
class _Line:
    labels: list[int]
    inks: list[np.ndarray]  # coverage 0-1 of each digit
    left: list[int]  # columns
    top: list[int]


def compose(
    digits: np.ndarray,
    labels: np.ndarray,
    seed: int,
    index: int,
    kind: str,
    world: str = "development",
) -> ComposedFrame:
    """A frame with one to several lines of one to ten digits.

    Args:
        digits: uint8 [N, 28, 28], white ink on black: what is written is drawn from these.
        labels: integer [N], their classes, 0 to 9.
        seed, index: decide every random number.
        kind: one of `KINDS`.
        world: "development" or "test".
    """
    rng = rng_for(seed, index)
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    sheet = sheet_of("plain" if kind == "blackboard" else kind, rng, height, width, world)
    pen = "marker" if kind in ("whiteboard", "blackboard") else pick(rng, PENS)
    lines: list[_Line] = []
    while not lines:
        lines = _written(digits, labels, sheet, pen, rng, world)
    taken = absorbed_by_ink(rng, WORLDS[world])[::-1] * np.float32(rng.uniform(0.55, 0.95))
    scene = sheet.planes
    boxes, text = [], []
    for line in lines:
        text.append("".join(map(str, line.labels)))
        for ink, x, y in zip(line.inks, line.left, line.top, strict=True):
            h, w = ink.shape
            scene[y : y + h, x : x + w] *= 1 - ink[:, :, None] * taken
            boxes.append(_ink_box(ink, x, y))
    if kind == "blackboard":
        scene = on_board(scene, rng)
    elif kind in ("ruled", "squared", "plain") and rng.random() < 0.35:
        scene = surround(scene, boxes, rng, world)
    return ComposedFrame(photograph(scene, rng, world), "/".join(text), tuple(boxes))


def compose_blank(seed: int, index: int, kind: str, world: str = "development") -> np.ndarray:
    """A frame without a digit, uint8 [H, W, 3], BGR; `kind` is one of `BLANKS`."""
    rng = rng_for(seed, index)
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    drawn = {"letters": letters, "drawing": drawing}
    name = "plain" if kind in (*drawn, "shadow", "blackboard") else kind
    scene = sheet_of(name, rng, height, width, world).planes
    if kind in drawn:
        drawn[kind](scene, rng)
    elif kind == "shadow":
        scene *= hand_shadow(rng, height, width)[:, :, None]
    elif kind == "blackboard":
        scene = on_board(scene, rng)
    elif kind in ("ruled", "squared", "plain") and rng.random() < 0.5:
        scene = surround(scene, [], rng, world)
    return photograph(scene, rng, world)


# --- writing --------------------------------------------------------------------------


_STATURE = {0: -0.4, 2: -0.15, 6: 0.1, 7: 0.35, 9: 0.5, 4: 0.2, 1: 0.2}
"""How much taller than the others some writers make a digit."""


def _digit(
    digits: np.ndarray,
    labels: np.ndarray,
    tall: int,
    pen: str,
    rng: np.random.Generator,
    world: str,
    unequal: float = 0.0,
) -> tuple[int, np.ndarray]:
    """Label and coverage of one digit, about `tall` pixels high."""
    while True:
        number = int(rng.integers(len(digits)))
        label = int(labels[number])
        try:
            glyph, half_width = glyph_from_mnist(digits[number], label, rng, WORLDS[world])
            ink = crop_to_ink(lay_ink(glyph, half_width, min(tall, 48), rng, WORLDS[world], pen))
        except Illegible:
            continue
        stature = 1 + unequal * _STATURE.get(label, 0.0)
        height = max(8, round(tall * stature * rng.uniform(0.85, 1.12)))
        width = max(2, round(height / max(1.0, stature) * ink.shape[1] / ink.shape[0]))
        way = cv2.INTER_AREA if height < ink.shape[0] else cv2.INTER_CUBIC
        ink = np.clip(cv2.resize(ink, (width, height), interpolation=way), 0, 1)
        return label, ink


def _ink_box(ink: np.ndarray, x: int, y: int) -> Box:
    left, top, width, height = cv2.boundingRect((ink > 0.35).view(np.uint8))
    return x + left, y + top, width, height


def _height_of_writing(sheet: Sheet, height: int, rng: np.random.Generator) -> tuple[int, int]:
    """How many of the sheet's rows a line of digits takes (0: it has none), and the height of the
    digits in pixels.
    """
    if sheet.baseline and sheet.pitch > 0.09 * height:
        rows = 1
        tall = sheet.pitch * rng.uniform(0.55, 0.88)
    elif sheet.baseline:
        rows = max(1, math.ceil(0.1 * height / sheet.pitch))
        tall = sheet.pitch * rows * rng.uniform(0.6, 0.88)
    else:
        rows, tall = 0, height * log_between(rng, 0.09, 0.32)
    return rows, int(np.clip(tall, 0.075 * height, 0.4 * height))


def _written(
    digits: np.ndarray,
    labels: np.ndarray,
    sheet: Sheet,
    pen: str,
    rng: np.random.Generator,
    world: str,
) -> list[_Line]:
    """Lines of digits that follow the sheet's own lines, or its cells, where it has some."""
    height, width = sheet.planes.shape[:2]
    if sheet.cells:
        return _in_cells(digits, labels, sheet, pen, rng, world)
    rows, tall = _height_of_writing(sheet, height, rng)
    step = sheet.pitch * rows if rows else tall * rng.uniform(1.4, 1.9)
    room = int((height - 12) / step - 0.3)
    count = int(rng.integers(1, max(1, min(3, room)) + 1))
    first = int(rng.integers(0, max(1, room - count + 1)))
    top = rng.uniform(0.02, 1) * max(0.0, height - 8 - step * (count - 1) - 1.35 * tall)
    # Some writers' 0 is half as tall as their 9, whose tail goes below the line.
    unequal = rng.uniform(0.2, 1.0) if rng.random() < 0.4 else 0.0
    tight = rng.uniform(-0.02, 0.1) if rng.random() < 0.2 else rng.uniform(0.1, 0.5)
    foot = rng.uniform(-0.06, 0.14)  # of the height: above the line, or through it
    lines = []
    for number in range(count):
        line = _Line([], [], [], [])
        x = float(rng.uniform(0.02, 0.3) * width)
        for _ in range(int(rng.integers(1, 11))):
            label, ink = _digit(digits, labels, tall, pen, rng, world, unequal)
            h, w = ink.shape
            below = max(0.0, h - 1.1 * tall) * 0.8
            if x + w > 0.98 * width:
                break
            if rows:
                line_number = (first + number + 1) * rows
                y = (
                    sheet.baseline(x + w / 2, line_number)
                    - h
                    + below
                    + (foot + rng.normal(0, 0.03)) * tall
                )
            else:
                y = top + number * step + (tall * 1.12 - h) + below + rng.normal(0, 0.05) * tall
            border = 0.025 * height
            if not border <= y <= height - h - border:
                if rows:
                    break
                y = np.clip(y, border, height - h - border)
            line.labels.append(label)
            line.inks.append(ink)
            line.left.append(int(x))
            line.top.append(int(y))
            x += w + tall * (tight + abs(rng.normal(0, 0.05)))
        if line.labels:
            lines.append(line)
    return lines


def _in_cells(
    digits: np.ndarray,
    labels: np.ndarray,
    sheet: Sheet,
    pen: str,
    rng: np.random.Generator,
    world: str,
) -> list[_Line]:
    """A digit in most cells, some of them over a cell's edge."""
    height, width = sheet.planes.shape[:2]
    rows: dict[int, _Line] = {}
    part = rng.uniform(0.5, 0.85)
    for x0, y0, w0, h0 in sheet.cells:
        if rng.random() < 0.2:
            continue
        label, ink = _digit(digits, labels, int(h0 * part), pen, rng, world)
        if ink.shape[1] > 0.85 * w0:
            wide = max(2, int(0.85 * w0))
            tall = max(8, round(ink.shape[0] * wide / ink.shape[1]))
            ink = cv2.resize(ink, (wide, tall), interpolation=cv2.INTER_AREA)
        h, w = ink.shape
        shift = rng.normal(0, 0.10, 2)
        x = int(x0 + (w0 - w) * (0.5 + shift[0]))
        y = int(y0 + (h0 - h) * (0.5 + shift[1]))
        if x < 1 or y < 1 or x + w >= width or y + h >= height:
            continue
        line = rows.setdefault(y0, _Line([], [], [], []))
        line.labels.append(label)
        line.inks.append(ink)
        line.left.append(x)
        line.top.append(y)
    return [rows[y] for y in sorted(rows)]
