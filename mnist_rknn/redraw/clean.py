"""Digits white on black as MNIST has them: ink in a box of 20 x 20 pixels, its centre of mass in
the middle of 28 x 28 (Y. LeCun, C. Cortes, C. Burges, "The MNIST database").
"""

from collections.abc import Sequence

import cv2
import numpy as np

SIDE, BOX = 28, 20
_FINE = 16  # lines are drawn so many times larger, and averaged
_BITS = 4  # of a fine pixel's fraction, as OpenCV counts points


def clean_lines(lines: Sequence[np.ndarray], width: float = 2.15) -> np.ndarray:
    """The path of a pen as MNIST would have it.

    Args:
        lines: polylines, each [N, 2] of x to the right and y down, in any unit.
        width: of the pen, in pixels of the result. With 2.15 `glyph_from_mnist` finds the half
            width that it finds in MNIST's digits.

    Returns:
        uint8 [28, 28].
    """
    points = np.concatenate(lines).astype(np.float64)
    low, high = points.min(0), points.max(0)
    scale = (BOX - width) / max(float((high - low).max()), 1e-6)
    size = (high - low) * scale + width
    canvas = np.zeros((SIDE * _FINE, SIDE * _FINE), np.uint8)
    start = (SIDE - size) / 2 + width / 2
    at = [((line - low) * scale + start) * _FINE - 0.5 for line in lines]
    for line in at:
        path = np.rint(line * (1 << _BITS)).astype(np.int32)
        cv2.polylines(canvas, [path], False, 255, round(width * _FINE), cv2.LINE_8, _BITS)
    return _centred(cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


def clean_glyph(distance: np.ndarray, half_width: float) -> np.ndarray:
    """A glyph as MNIST would have it.

    Args:
        distance, half_width: of the module `glyph`.

    Returns:
        uint8 [28, 28].
    """
    ink = np.clip(half_width + 0.5 - distance, 0, 1)
    x, y, w, h = cv2.boundingRect((ink > 0.15).view(np.uint8))
    scale = BOX / max(w, h)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    part = cv2.resize(ink[y : y + h, x : x + w], size, interpolation=cv2.INTER_AREA)
    frame = np.zeros((SIDE, SIDE), np.float32)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    frame[top : top + size[1], left : left + size[0]] = part
    return _centred(cv2.convertScaleAbs(frame, alpha=255))


def _centred(ink: np.ndarray) -> np.ndarray:
    """Moved by whole pixels so that the centre of mass lies in the middle, as far as the ink stays
    inside.
    """
    mass = cv2.moments(ink)
    x0, y0, w, h = cv2.boundingRect(ink)
    shifts = []
    for moment, start, length in ((mass["m10"], x0, w), (mass["m01"], y0, h)):
        shift = round((SIDE - 1) / 2 - moment / mass["m00"])
        shifts.append(int(np.clip(shift, -start, SIDE - start - length)))
    move = np.array([[1, 0, shifts[0]], [0, 1, shifts[1]]], np.float32)
    return cv2.warpAffine(ink, move, (SIDE, SIDE))
