"""The paper under the ink: its tint, its print, and parts of other digits at its border."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from .config import RedrawConfig
from .fields import between, smooth_field
from .ink import crop_to_ink
from .prints import PRINTS

# Prints that lie under the digit itself stay fainter than the ink.
_UNDER_THE_DIGIT = {
    "security": 0.42,
    "squared": 0.7,
    "ruled": 0.8,
    "woven": 0.3,
    "crumpled": 0.8,
    "hatched": 0.35,
    "rosette": 0.5,
    "blotted": 0.45,
}


def _tint(rng: np.random.Generator, strength: float) -> np.ndarray:
    """Random colour near white: three factors around 1."""
    return (1 + strength * rng.standard_normal(3)).clip(0.6, 1.4).astype(np.float32)


def printed(rng: np.random.Generator, config: RedrawConfig) -> np.ndarray:
    """How much of each colour a printed line takes away (three values 0-1)."""
    return np.float32(between(rng, *config.paper.line_contrast)) * rng.uniform(0.35, 1.0, 3).astype(
        np.float32
    )


def paper_planes(
    kind: str, size: int, box: Sequence[float], rng: np.random.Generator, config: RedrawConfig
) -> np.ndarray:
    """Reflectance of the paper, 0-1, as three colour planes (3 x size x size)."""
    tint = _tint(rng, config.paper.tint * rng.random())
    paper = smooth_field(rng, size, int(rng.integers(3, 12)))
    paper *= between(rng, *config.paper.mottle)
    paper += 1
    if kind == "plain":
        return tint[:, None, None] * paper
    taken = -_UNDER_THE_DIGIT.get(kind, 1.0) * printed(rng, config)
    planes = taken.astype(np.float32)[:, None, None] * PRINTS[kind](rng, size, box, config)
    planes += 1
    planes *= tint[:, None, None]
    planes *= paper
    return planes


def neighbour_ink(
    ink: np.ndarray, box: Sequence[float], pool: np.ndarray, rng: np.random.Generator
) -> None:
    """Write parts of other digits at the border of the frame into `ink`, in place, clear of the
    digit's box.
    """
    size = ink.shape[0]
    left, top, right, bottom = box
    height = max(8, int((bottom - top) * rng.uniform(0.75, 1.15)))
    for side in rng.permutation(4)[: int(rng.integers(1, 3))]:
        other = crop_to_ink(pool[int(rng.integers(len(pool)))] / np.float32(255))
        w = max(2, int(height * other.shape[1] / other.shape[0] * rng.uniform(0.8, 1.2)))
        h = height
        other = cv2.resize(other, (w, h), interpolation=cv2.INTER_AREA)
        gap = rng.uniform(1, 5)
        across = rng.uniform(-0.25, 0.25) * height
        # At most half of the neighbour's ink may be seen: the digit to read is the whole one.
        if side == 0:
            x, y = min(left - gap - w, -0.5 * w), (top + bottom - h) / 2 + across
        elif side == 1:
            x, y = max(right + gap, size - 0.5 * w), (top + bottom - h) / 2 + across
        elif side == 2:
            x, y = (left + right - w) / 2 + across, min(top - gap - h, -0.5 * h)
        else:
            x, y = (left + right - w) / 2 + across, max(bottom + gap, size - 0.5 * h)
        x, y = (math.floor(v) if side in (0, 2) else math.ceil(v) for v in (x, y))
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, size), min(y + h, size)
        if x1 > x0 and y1 > y0:
            part = other[y0 - y : y1 - y, x0 - x : x1 - x]
            np.maximum(ink[y0:y1, x0:x1], part, out=ink[y0:y1, x0:x1])


def print_bits(
    paper: np.ndarray, box: Sequence[float], rng: np.random.Generator, config: RedrawConfig
) -> None:
    """Small printed letters and rules away from the digit, in place."""
    size = paper.shape[1]
    canvas = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        text = "".join(chr(int(c)) for c in rng.integers(97, 123, int(rng.integers(1, 7))))
        y = int(rng.choice([max(0, box[1] - rng.uniform(2, 8)), box[3] + rng.uniform(6, 14)]))
        cv2.putText(
            canvas,
            text,
            (int(rng.uniform(-0.2, 0.9) * size), y),
            cv2.FONT_HERSHEY_SIMPLEX,
            rng.uniform(0.15, 0.4),
            1.0,
            1,
            cv2.LINE_AA,
        )
    x0, y0, x1, y1 = (int(v) for v in box)
    canvas[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = 0
    paper *= 1 - np.clip(canvas, 0, 1) * printed(rng, config)[:, None, None]
