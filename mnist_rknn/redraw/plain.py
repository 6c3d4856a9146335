"""Training digits in white on black as MNIST has them, changed a little or drawn from strokes."""

import cv2
import numpy as np

from .clean import clean_glyph
from .config import RedrawConfig
from .fields import log_between, rng_for
from .glyph import glyph_from_mnist, glyph_from_strokes, warp_digit
from .skeletons import BY_LABEL


def jitter(
    digit: np.ndarray, label: int, seed: int, index: int, config: RedrawConfig
) -> np.ndarray:
    """An MNIST digit with slightly changed writing and place, still white on black; a 0, 1 or 7 may
    get the strokes that MNIST's writers leave out.

    Args:
        digit: uint8 [28, 28].

    Returns:
        uint8 [28, 28].
    """
    rng = rng_for(seed, index)
    if label in (0, 1, 7) and rng.random() < config.plain.extra_stroke:
        every = config.changed(writing={"extra_stroke": 1.0, "slashed_zero": 1.0})
        digit = clean_glyph(*glyph_from_mnist(digit, label, rng, every))
        return _shifted(digit, rng, config)
    ink = warp_digit(digit, rng, config, 28, strength=config.plain.strength)
    return _shifted(ink, rng, config)


def written(label: int, seed: int, index: int, config: RedrawConfig) -> np.ndarray:
    """One of the label's skeletons, white on black as MNIST has its digits, uint8 [28, 28]."""
    rng = rng_for(seed, index)
    names = BY_LABEL[label]
    name = names[int(rng.integers(len(names)))]
    distance, half_width = glyph_from_strokes(name, rng, config)
    half_width *= log_between(rng, *config.plain.stroke)
    return _shifted(clean_glyph(distance, half_width), rng, config)


def _shifted(digit: np.ndarray, rng: np.random.Generator, config: RedrawConfig) -> np.ndarray:
    shift = rng.uniform(-config.plain.shift_px, config.plain.shift_px, 2)
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    return cv2.convertScaleAbs(cv2.warpAffine(digit.astype(np.float32), move, (28, 28)))
