"""Twenty digits as pen strokes, two ways of writing each; points from 0 to 1, y downward."""

import math
from itertools import pairwise

Stroke = list[tuple[float, float]]


def arc(x: float, y: float, wide: float, high: float, begin: float, end: float) -> Stroke:
    """A part of an ellipse around (x, y); degrees, 0 to the right, 90 down."""
    steps = max(8, int(abs(end - begin) / 12))
    angles = [math.radians(begin + (end - begin) * i / steps) for i in range(steps + 1)]
    return [(x + wide * math.cos(angle), y + high * math.sin(angle)) for angle in angles]


def line(*corners: tuple[float, float]) -> Stroke:
    """Straight lines through corners, with points between them, as a hand makes them."""
    points = [corners[0]]
    for (x0, y0), (x1, y1) in pairwise(corners):
        points += [(x0 + (x1 - x0) * i / 8, y0 + (y1 - y0) * i / 8) for i in range(1, 9)]
    return points


DIGITS: list[tuple[str, list[Stroke]]] = [
    ("0", [arc(0.5, 0.5, 0.2, 0.3, -90, 270)]),
    ("0", [arc(0.5, 0.5, 0.14, 0.26, -60, 310)]),
    ("1", [line((0.5, 0.2), (0.5, 0.8))]),
    ("1", [line((0.42, 0.32), (0.52, 0.2), (0.5, 0.8))]),
    ("2", [arc(0.5, 0.36, 0.17, 0.16, -170, 30) + line((0.62, 0.48), (0.32, 0.78), (0.7, 0.78))]),
    ("2", [arc(0.48, 0.35, 0.15, 0.13, -150, 40) + line((0.56, 0.45), (0.36, 0.7), (0.64, 0.72))]),
    ("3", [arc(0.48, 0.35, 0.16, 0.15, -150, 90) + arc(0.48, 0.65, 0.18, 0.16, -90, 150)]),
    ("3", [line((0.34, 0.22), (0.64, 0.22), (0.48, 0.44)) + arc(0.47, 0.62, 0.18, 0.18, -90, 150)]),
    ("4", [line((0.38, 0.22), (0.32, 0.55), (0.68, 0.55)), line((0.6, 0.25), (0.58, 0.8))]),
    ("4", [line((0.58, 0.8), (0.58, 0.2), (0.3, 0.6), (0.72, 0.6))]),
    ("5", [line((0.38, 0.22), (0.36, 0.46)) + arc(0.48, 0.61, 0.17, 0.18, -130, 140),
           line((0.38, 0.22), (0.66, 0.22))]),
    ("5", [line((0.66, 0.22), (0.4, 0.23), (0.37, 0.47)) + arc(0.47, 0.61, 0.18, 0.17, -120, 140)]),
    ("6", [arc(0.72, 0.55, 0.38, 0.36, -110, -180) + arc(0.5, 0.63, 0.16, 0.16, 180, -180)]),
    ("6", [line((0.56, 0.2), (0.42, 0.4), (0.36, 0.6)) + arc(0.5, 0.64, 0.14, 0.15, 180, -170)]),
    ("7", [line((0.3, 0.22), (0.7, 0.22), (0.45, 0.8))]),
    ("7", [line((0.32, 0.23), (0.68, 0.22), (0.46, 0.8)), line((0.42, 0.5), (0.66, 0.5))]),
    ("8", [arc(0.5, 0.35, 0.14, 0.14, 90, 450), arc(0.5, 0.65, 0.17, 0.16, -90, 270)]),
    ("8", [arc(0.5, 0.35, 0.13, 0.14, -30, -270) + arc(0.5, 0.65, 0.15, 0.16, -90, 270)
           + arc(0.5, 0.35, 0.13, 0.14, 90, -30)]),
    ("9", [arc(0.5, 0.36, 0.15, 0.15, 0, -360) + line((0.65, 0.36), (0.62, 0.8))]),
    ("9", [arc(0.49, 0.36, 0.15, 0.15, -20, -350) + line((0.64, 0.34), (0.64, 0.56))
           + arc(0.5, 0.6, 0.14, 0.18, -10, 120)]),
]  # fmt: skip
"""A digit, and the strokes of writing it."""
