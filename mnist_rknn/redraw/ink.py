"""A pen lays ink along the centre line: ballpoint, pencil with its grain, marker."""

import cv2
import numpy as np

from .config import RedrawConfig
from .fields import between, clip01, pick, smooth_field
from .glyph import GLYPH_HEIGHT, GLYPH_SIZE

_SPECK = 6  # pixels around: smaller pieces and holes are no part of the writing


class Illegible(ValueError):
    """The drawn digit is below the legibility floor."""


def _shape(ink: np.ndarray) -> tuple[int, int]:
    """Of how many pieces ink (boolean) consists, and how many loops they have."""
    edges, nesting = cv2.findContours(ink.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parents = [nesting[0][i][3] for i, edge in enumerate(edges) if len(edge) >= _SPECK]
    pieces = sum(parent < 0 for parent in parents)
    return pieces, len(parents) - pieces


def lay_ink(
    distance: np.ndarray,
    half_width: float,
    height_px: float,
    rng: np.random.Generator,
    config: RedrawConfig,
    pen: str | None = None,
) -> np.ndarray:
    """Ink coverage (GLYPH_SIZE square, float32 0-1) of a pen drawn along the glyph's centre line.

    `height_px` is the height the digit will have in the network's input: a stroke never gets
    thinner than `config.pen.min_stroke_px` there, or nothing of it would be left.
    """
    pen = pen or pick(rng, config.pen.kinds)
    if pen == "own":
        radius = half_width + GLYPH_HEIGHT * between(rng, *config.pen.own_growth) / 2
    else:
        widths = {
            "ballpoint": config.pen.ballpoint_width,
            "pencil": config.pen.pencil_width,
            "marker": config.pen.marker_width,
        }[pen]
        radius = GLYPH_HEIGHT * between(rng, *widths) / 2
    thinnest = GLYPH_HEIGHT * config.pen.min_stroke_px / height_px / 2 * between(rng, 0.9, 1.5)
    radius = min(max(radius, thinnest, 1.07), max(half_width + 1.0, 4.33))
    wider = radius - half_width  # than the writer's own pen, or less wide
    if config.pen.pressure > 0:
        pressure = smooth_field(rng, GLYPH_SIZE, 4)
        np.minimum(np.maximum(pressure, -1.2, out=pressure), 1.2, out=pressure)
        wider = pressure * (radius * config.pen.pressure) + wider
    # Coverage falls from 1 to 0 over `softness` pixels around the stroke's edge. Where the pen
    # would break a stroke or close a loop, its width goes a quarter of the way back to that of the
    # writer's own pen, and again.
    softness = 1.67 if pen == "pencil" else 0.93
    written = _shape(distance < half_width)
    for share in (1.0, 0.75, 0.5, 0.25, 0.0):
        ink = (share * wider + half_width - distance) / np.float32(softness) + np.float32(0.5)
        if _shape(ink > 0.5) == written:
            break
    clip01(ink)
    if pen == "pencil":
        grain = between(rng, *config.pen.pencil_grain)
        cells = GLYPH_SIZE * 3 // 4
        tooth = cv2.resize(
            rng.random((cells, cells), dtype=np.float32),
            (GLYPH_SIZE, GLYPH_SIZE),
            interpolation=cv2.INTER_LINEAR,
        )
        tooth *= -grain
        tooth += 1
        ink *= tooth
    return ink


def crop_to_ink(ink: np.ndarray) -> np.ndarray:
    """The part of the glyph which carries ink."""
    x, y, w, h = cv2.boundingRect((ink > 0.15).view(np.uint8))
    if h < 8:
        raise Illegible("nothing drawn")
    return ink[y : y + h, x : x + w]


COLOURS = ((1, 0.75, 0.35), (1, 0.6, 0.5), (0.4, 1, 1), (0.9, 0.6, 0.9), (0.8, 0.5, 1))
"""How much of red, green and blue coloured inks take away, compared with a black one."""


def absorbed_by_ink(rng: np.random.Generator, config: RedrawConfig) -> np.ndarray:
    """How much of red, green and blue a pen's ink takes away, float32 [3], 0-1."""
    if rng.random() >= config.pen.coloured_ink:
        return np.ones(3, np.float32)
    absorbed = np.array(COLOURS[int(rng.integers(len(COLOURS)))], np.float32)
    return np.clip(absorbed + rng.normal(0, 0.08, 3), 0.25, 1).astype(np.float32)
