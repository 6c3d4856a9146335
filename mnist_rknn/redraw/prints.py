"""What may be printed on, or lie beside, the paper.

Papers of the training world, and others for the test world, which occur in no training picture.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np

from .config import RedrawConfig
from .fields import axis_of, between, clip01, plane, smooth_field


def _parallel_lines(
    size: int, angle: float, spacing: float, phase: float, width: float
) -> np.ndarray:
    """Coverage (0-1) of parallel lines `width` pixels thick, `spacing` pixels apart."""
    axis = axis_of(size) * np.float32(1 / spacing)
    across = plane(axis * math.sin(angle), axis * math.cos(angle) + phase / spacing)
    across -= np.floor(across)  # place between two lines, 0 to 1; half way is the line
    across -= 0.5
    np.abs(across, out=across)
    across *= -spacing
    across += width / 2 + 0.5
    return clip01(across)


def _ruled(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Writing lines; sometimes one line only, under the digit."""
    spacing = max(box[3] - box[1], size * 0.12) * rng.uniform(0.9, 1.8)
    return _parallel_lines(
        size, rng.normal(0, 0.05), spacing, rng.uniform(0, spacing), rng.uniform(0.5, 2.0)
    )


def _squared(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Squared paper; squares of a quarter of the digit's height up to larger than the digit."""
    spacing, angle = (
        max(size * 0.10, (box[3] - box[1]) * np.exp(rng.uniform(np.log(0.25), np.log(1.8)))),
        rng.normal(0, 0.06),
    )
    phase, width = rng.uniform(0, spacing, 2), rng.uniform(0.4, 1.3)
    return np.maximum(
        _parallel_lines(size, angle, spacing, phase[0], width),
        _parallel_lines(size, angle + np.pi / 2, spacing, phase[1], width),
    )


def _box(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Edges of a printed cell around the digit: one to four thick or thin lines at the border of
    the frame.
    """
    canvas = np.zeros((size, size), np.float32)
    left, top, right, bottom = box
    tilt = rng.normal(0, 0.04) * size
    for side in range(4):
        if rng.random() < 0.35:
            continue
        width = int(rng.integers(1, max(2, size // 12)))
        room = (left, top, size - right, size - bottom)[side]
        place = rng.uniform(0, max(1.0, min(room * 0.8, size * 0.25)))
        place = (place, place, size - place, size - place)[side]
        ends = (
            ((place - tilt / 2, -1), (place + tilt / 2, size))
            if side % 2 == 0
            else ((-1, place - tilt / 2), (size, place + tilt / 2))
        )
        cv2.line(
            canvas,
            *[tuple(int(round(v * 8)) for v in end) for end in ends],
            1.0,
            width,
            cv2.LINE_8,
            3,
        )
    return canvas


def _security(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Guilloche: fine waves, as printed on cheques and banknotes."""
    axis = axis_of(size) * np.float32(2 * math.pi / size)
    total = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        angle, pitch = between(rng, 0, math.pi), between(rng, 5, 16)
        waves, depth, start = (between(rng, *r) for r in ((0.5, 4), (0.0, 0.12), (0, 6)))
        cos, sin = math.cos(angle), math.sin(angle)
        bend = np.sin(plane(axis * (waves * cos), axis * (waves * sin) + start))
        bend *= 2 * math.pi * pitch * depth
        bend += plane(axis * (-pitch * sin), axis * (pitch * cos))
        wave = np.sin(bend, out=bend)
        wave *= between(rng, 0.8, 2.5)
        total += clip01(wave)
    total *= 0.6
    return np.minimum(total, 1, out=total)


def _table(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """The paper ends inside the frame, on the side where the digit leaves most room: what lies
    beside it is darker.
    """
    left, top, right, bottom = box
    rooms = np.array([left, top, size - right, size - bottom])
    side = int(np.argmax(rooms + rng.uniform(0, size * 0.1, 4)))
    depth, lean = float(rooms[side] * rng.uniform(0.2, 0.8)), rng.normal(0, 0.12)
    axis = axis_of(size)
    along = (axis[None, :], axis[:, None])[side % 2]
    along = along if side < 2 else size - 1 - along
    across = (axis[:, None], axis[None, :])[side % 2] - size / 2
    return clip01((lean * across + (depth + 0.5)) - along)


def _woven(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Cloth-like weave (test world)."""
    pitch = rng.uniform(2.5, 5)
    axis = np.arange(size, dtype=np.float32)
    return np.clip(
        0.3
        * np.sin(2 * np.pi * axis / pitch)[None, :]
        * np.sin(2 * np.pi * axis / pitch + 1)[:, None]
        + 0.3,
        0,
        1,
    )


def _crumpled(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Folds: planes of different brightness (test world)."""
    total = np.zeros((size, size), np.float32)
    axis = np.arange(size, dtype=np.float32) / size
    for _ in range(5):
        angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 1.0)
        total += 0.35 * np.abs(
            axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle) - offset
        )
    return np.clip(total - total.min(), 0, 1)


def _hatched(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Two crossing sets of fine straight lines (test world)."""
    first = rng.uniform(0, np.pi)
    return 0.5 * (
        _parallel_lines(size, first, rng.uniform(3.5, 8), 0, 1)
        + _parallel_lines(size, first + rng.uniform(0.4, 1.2), rng.uniform(3.5, 8), 0, 1)
    )


def _form(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """A comb field of a form: short vertical ticks on a base line below the digit (test world)."""
    canvas = np.zeros((size, size), np.float32)
    base = int(min(size - 1, box[3] + rng.uniform(1, 4)))
    cv2.line(canvas, (0, base), (size, base), 1.0, 1)
    for x in (int(box[0] - rng.uniform(2, 5)), int(box[2] + rng.uniform(2, 5))):
        cv2.line(
            canvas, (x, base), (x, int(base - (box[3] - box[1]) * rng.uniform(0.3, 1.1))), 1.0, 1
        )
    return canvas


def _rosette(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Rings around two points that cross each other, another security print (test world)."""
    axis = axis_of(size)
    total = np.ones((size, size), np.float32)
    for x, y in rng.uniform(-0.3, 1.3, (2, 2)) * size:
        distance = np.sqrt(plane((axis - x) ** 2, (axis - y) ** 2))
        total *= 0.5 + 0.5 * np.sin(distance * (2 * math.pi / between(rng, 4, 9)))
    return total


def _blotted(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Stains and show-through (test world)."""
    return np.clip(smooth_field(rng, size, 7) * 0.35 + 0.2, 0, 1)


PRINTS: Mapping[str, Callable] = {
    "ruled": _ruled,
    "squared": _squared,
    "box": _box,
    "security": _security,
    "table": _table,
    "woven": _woven,
    "crumpled": _crumpled,
    "hatched": _hatched,
    "form": _form,
    "rosette": _rosette,
    "blotted": _blotted,
}
"""What may be printed on, or lie beside, the paper: name -> function giving its coverage (0-1)."""
