"""How well a digit can be read in a finished picture, and the floor of that."""

import cv2
import numpy as np

from .config import RedrawConfig
from .ink import Illegible

_AROUND_THE_INK = np.ones((7, 7), np.uint8)
_PAPER_NEARBY = (9, 9)  # pixels over which the paper beside a stroke is averaged


def legibility(picture: np.ndarray, coverage: np.ndarray) -> tuple[float, float]:
    """Contrast of the strokes in the finished picture, and the clutter they stand in, both 0-1.

    `coverage` (image_size square) is what blur and reduction left of the digit's ink. Both are
    taken against the paper nearby, so that the edge of a shadow is no clutter: the contrast is
    the mean step in gray from that paper to the strokes, the clutter the standard deviation of
    the paper around them.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    most = float(coverage.max())
    inked = coverage > 0.5 * most
    around = (cv2.dilate(coverage, _AROUND_THE_INK) > 0.3 * most) & (coverage < 0.12 * most)
    if not around.any():
        return 0.0, 1.0
    weight = around.astype(np.float32)
    nearby = cv2.blur(gray * weight, _PAPER_NEARBY)
    nearby /= np.maximum(cv2.blur(weight, _PAPER_NEARBY), 1e-3)
    step = gray - nearby
    contrast = abs(float(step[inked].mean()))
    clutter = float(np.sqrt(np.square(step[around]).mean()))
    return contrast / 255, clutter / 255


def require_legible(picture: np.ndarray, coverage: np.ndarray, config: RedrawConfig) -> None:
    """Raise `Illegible` for a picture below the legibility floor."""
    contrast, clutter = legibility(picture, coverage)
    floor = config.legibility
    if contrast < max(floor.min_contrast, floor.contrast_over_clutter * clutter):
        raise Illegible(f"contrast {contrast:.2f} in clutter {clutter:.2f}")
