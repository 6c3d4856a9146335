"""Strokes that MNIST's writers leave out, fitted to a digit of MNIST: a bar through the 7, flag and
foot of the 1, a slash through the 0.

A stroke is a polyline, float [N, 2] of x and y, in pixels of the glyph.
"""

import math
from typing import NamedTuple

import numpy as np

from .config import RedrawConfig
from .fields import between

_LEAST_ROWS = 13  # of ink: there is no room for a stroke on less
_UPRIGHT = 0.25  # a stem whose ends are less than this part of its height apart
_MOST_HALF = 24.0  # pixels of the glyph's 56: half of a slash, so that it stays inside


def extra_strokes(
    ink: np.ndarray, label: int, rng: np.random.Generator, config: RedrawConfig
) -> list[np.ndarray]:
    """Bar of a 7, or flag and foot of a 1; nothing for other digits and for most draws.

    Args:
        ink: 1 where the digit is, [size, size].
    """
    if label not in (1, 7) or rng.random() >= config.writing.extra_stroke:
        return []
    rows = np.flatnonzero(ink.any(1))
    if len(rows) < _LEAST_ROWS:
        return []
    fit = _bar if label == 7 else _flag_and_foot
    return fit(ink, rows[0], rows[-1], rng, config)


def _middle(ink: np.ndarray, row: float) -> float:
    """Mean column of the ink in a row; the middle of the glyph where there is none."""
    columns = np.flatnonzero(ink[int(row)])
    return float(columns.mean()) if len(columns) else ink.shape[1] / 2


def _bar(
    ink: np.ndarray, top: int, bottom: int, rng: np.random.Generator, config: RedrawConfig
) -> list[np.ndarray]:
    height = bottom - top
    row = top + height * between(rng, *config.writing.bar_height)
    left, right = height * rng.uniform(*config.writing.bar_reach, 2)
    tilt = height * rng.uniform(-0.10, 0.06)
    middle = _middle(ink, row)
    return [np.array([[middle - left, row - tilt], [middle + right, row + tilt]])]


def _flag_and_foot(
    ink: np.ndarray, top: int, bottom: int, rng: np.random.Generator, config: RedrawConfig
) -> list[np.ndarray]:
    height = bottom - top
    tip = np.array([_middle(ink, top + 2), top + 2])
    # On a stem that leans it would be a 7.
    lean = abs(tip[0] - _middle(ink, bottom - 2)) / height
    level = rng.random() < config.writing.level_flag and lean < _UPRIGHT
    lengths, angles = (
        (config.writing.level_flag_length, config.writing.level_flag_angle_deg)
        if level
        else (config.writing.flag_length, config.writing.flag_angle_deg)
    )
    length = height * between(rng, *lengths)
    angle = np.deg2rad(between(rng, *angles))
    along = np.array([-np.cos(angle), np.sin(angle)])
    flag = [tip, tip + length * along]
    if level:  # its end may droop
        flag.append(flag[-1] + height * np.array([-0.02, between(rng, 0.0, 0.1)]))
        return [np.stack(flag)]
    strokes = [np.stack(flag)]
    if rng.random() < config.writing.foot:
        foot, row = _middle(ink, bottom - 2), bottom - 1.3
        left, right = height * rng.uniform(*config.writing.foot_reach, 2)
        rise = height * rng.uniform(-0.06, 0.06)
        strokes.append(np.array([[foot - left, row], [foot + right, row + rise]]))
    return strokes


class Slash(NamedTuple):
    """A stroke through a 0, from the lower left to the upper right."""

    angle: float  # from the horizontal, radians
    reach: tuple[float, float]  # of its lower and upper end: 1 is where it meets the ring
    bend: float  # how far its middle is off the straight line, as a part of its length
    ring: float  # size of the ring, as a part of what it would be without the slash

    @classmethod
    def drawn(cls, rng: np.random.Generator, config: RedrawConfig) -> "Slash | None":
        """A random slash, or None, as most zeros have none."""
        writing = config.writing
        if rng.random() >= writing.slashed_zero:
            return None
        reach = between(rng, *writing.slash_reach)
        return cls(
            math.radians(between(rng, *writing.slash_angle_deg)),
            (reach * between(rng, 0.85, 1.1), reach * between(rng, 0.85, 1.1)),
            between(rng, *writing.slash_bend) * (1 if rng.random() < 0.5 else -1),
            min(1.0, 1.1 / reach) * between(rng, 0.85, 1.0),
        )

    def through(self, ink: np.ndarray) -> list[np.ndarray]:
        """The slash through a ring, as a list of one stroke.

        Args:
            ink: 1 where the ring is, [size, size].
        """
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        if not len(rows):
            return []
        centre = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2
        wide, high = (max(float(span[-1] - span[0]) / 2, 1.0) for span in (columns, rows))
        along = np.array([math.cos(self.angle), -math.sin(self.angle)])
        radius = 1 / math.hypot(along[0] / wide, along[1] / high)  # of an ellipse of that size
        low, up = (min(radius * reach, _MOST_HALF) for reach in self.reach)
        bend = np.array([-along[1], along[0]]) * self.bend * (low + up)
        steps = np.linspace(-1, 1, 9)[:, None]
        path = centre + along * np.where(steps < 0, low, up) * steps + bend * (1 - steps**2)
        return [path]
