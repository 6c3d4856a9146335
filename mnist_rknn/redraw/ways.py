"""The test world's ways of writing: ellipse arcs and straight lines of random proportions.

They are the ways of which MNIST has few, as the skeletons of the training world are, and are made
in another manner: nothing is jittered and there is no spline, but every proportion is drawn anew.
So a network that has learnt the skeletons has not seen these.
"""

from collections.abc import Callable, Mapping

import numpy as np

from .fields import between

Lines = list[np.ndarray]
"""Polylines, each float64 [N, 2] of x to the right and y down; the digit is about 1 high."""


def _arc(
    x: float, y: float, wide: float, high: float, start: float, end: float, turned: float = 0.0
) -> np.ndarray:
    """Part of an ellipse around (x, y), 2 `wide` wide and 2 `high` high, from one angle to another
    (degrees, 0 to the right, 90 down), turned by so many degrees.
    """
    angles = np.radians(np.linspace(start, end, 25))
    cos, sin = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    own = np.stack([wide * np.cos(angles), high * np.sin(angles)], axis=1)
    return own @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def _line(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, np.float64)


def _slashed_zero(rng: np.random.Generator) -> Lines:
    """A ring that a steep or flat slash overshoots."""
    wide, high = between(rng, 0.2, 0.45), between(rng, 0.3, 0.5)
    start = between(rng, 200, 320)
    ring = _arc(0, 0, wide, high, start, start + between(rng, 340, 380), between(rng, -10, 20))
    angle = np.radians(between(rng, 20, 95))
    along = np.array([np.cos(angle), -np.sin(angle)])
    radius = 1 / np.hypot(along[0] / wide, along[1] / high)
    low, up = radius * between(rng, 1.1, 1.9), radius * between(rng, 1.1, 1.9)
    aside = np.array([between(rng, -0.15, 0.15) * wide, 0.0])
    return [ring, np.stack([aside - low * along, aside + up * along])]


def _level_flag(rng: np.random.Generator) -> Lines:
    """A 1 without foot, with a short flag that hardly falls."""
    lean = between(rng, -0.08, 0.25)
    long = between(rng, 0.14, 0.32)
    fall = long * np.tan(np.radians(between(rng, 2, 24)))
    tip = (lean, between(rng, 0.0, 0.04))
    flag = [(lean - long, tip[1] + fall), tip]
    if rng.random() < 0.4:
        flag.insert(0, (lean - long - 0.03, tip[1] + fall + between(rng, 0.04, 0.12)))
    return [_line(*flag), _line((lean, 0.0), (0.0, 1.0))]


def _closed_four(rng: np.random.Generator) -> Lines:
    """A closed head whose bar hardly passes the stem."""
    lean, bar = between(rng, 0.0, 0.15), between(rng, 0.45, 0.66)
    wide = between(rng, 0.4, 0.7)
    stem_at_bar = lean * (1 - bar)
    tilt = between(rng, -0.06, 0.06)
    end = stem_at_bar + between(rng, 0.01, 0.12)
    head = [(lean, 0.0), (stem_at_bar - wide, bar + tilt), (end, bar)]
    return [_line(*head), _line((lean, 0.0), (0.0, 1.0))]


def _far_stem(rng: np.random.Generator) -> Lines:
    """An L, and a stem far to the right of it."""
    bar, wide = between(rng, 0.55, 0.78), between(rng, 0.3, 0.55)
    corner = between(rng, -0.06, 0.04)
    stem = wide + between(rng, 0.06, 0.3)
    top, lean = between(rng, -0.1, 0.2), between(rng, -0.02, 0.12)
    head = _line((0.0, 0.05), (corner, bar), (wide, bar + between(rng, -0.05, 0.03)))
    return [head, _line((stem + lean, top), (stem, 1.0))]


def _pointed_five(rng: np.random.Generator) -> Lines:
    """A stem that leans, meets the bowl in a point, and has the bar above it."""
    waist = between(rng, 0.36, 0.48)
    point = (0.0, waist)
    top = (between(rng, 0.15, 0.4), between(rng, 0.04, 0.12))
    wide, high = between(rng, 0.25, 0.42), (1 - waist) / 2
    bowl = _arc(between(rng, 0.1, 0.22), waist + high, wide, high, -95, between(rng, 100, 150))
    left = top[0] - between(rng, 0.0, 0.3)
    rise = between(rng, 0.02, 0.2)
    bar = _line((left, top[1] + 0.02), (left + between(rng, 0.45, 0.75), top[1] - rise))
    return [_line(top, point, tuple(bowl[0])), bowl, bar]


def _wide_five(rng: np.random.Generator) -> Lines:
    """A wide, flat S."""
    wide, share = between(rng, 0.5, 0.85), between(rng, 0.4, 0.52)
    upper = _arc(0, share / 2, wide, share / 2, -between(rng, 15, 60), -270)
    lower = _arc(
        between(rng, -0.05, 0.15),
        (1 + share) / 2,
        wide,
        (1 - share) / 2,
        -90,
        between(rng, 110, 160),
    )
    return [np.concatenate([upper, lower])]


def _sliver(rng: np.random.Generator) -> Lines:
    """An 8 squeezed until its loops are slits."""
    share = between(rng, 0.42, 0.55)
    lean = between(rng, -4, 22)
    wide = between(rng, 0.09, 0.15)
    shift = np.tan(np.radians(lean)) / 2
    upper = _arc(shift * (1 - share), share / 2, wide, share / 2, 90, 450, lean)
    lower = _arc(
        -shift * share,
        (1 + share) / 2,
        wide * between(rng, 0.9, 1.4),
        (1 - share) / 2,
        -90,
        270,
        lean,
    )
    return [upper, lower]


def _hooked_nine(rng: np.random.Generator) -> Lines:
    """A tiny head on a long stem that is hooked to the left."""
    wide, high = between(rng, 0.11, 0.2), between(rng, 0.1, 0.17)
    head = _arc(-wide, high, wide, high, -between(rng, 0, 60), -between(rng, 340, 400))
    low, reach = between(rng, 0.15, 0.3), between(rng, 0.14, 0.28)
    bow = between(rng, 0.0, 0.08)
    stem = _line((0.0, between(rng, 0.0, high)), (bow, 0.5), (0.0, 1 - low))
    hook = _arc(-reach, 1 - low, reach, low, 0, between(rng, 100, 170))
    return [head, np.concatenate([stem, hook])]


WAYS: Mapping[str, tuple[int, Callable[[np.random.Generator], Lines]]] = {
    "0 slashed": (0, _slashed_zero),
    "1 level flag": (1, _level_flag),
    "4 closed": (4, _closed_four),
    "4 far stem": (4, _far_stem),
    "5 pointed": (5, _pointed_five),
    "5 wide": (5, _wide_five),
    "8 sliver": (8, _sliver),
    "9 hooked": (9, _hooked_nine),
}
"""Name -> label, and what draws it."""
LABELS = tuple(sorted({label for label, _ in WAYS.values()}))
"""The digits that have such a way."""


def lines_of(label: int, rng: np.random.Generator) -> Lines:
    """One of a digit's ways, drawn by lot.

    Args:
        label: one of `LABELS`.
    """
    ways = [lines for digit, lines in WAYS.values() if digit == label]
    return ways[int(rng.integers(len(ways)))](rng)
