"""Training digits in slightly other forms: turned, sheared, scaled, moved, and bent.

Source: Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to
visual document analysis", ICDAR 2003: affine changes and elastic fields.
"""

import cv2
import numpy as np

from ..redraw.fields import smooth_field

TURN, SHEAR, SCALE, MOVE = 0.18, 0.15, 0.12, 1.5  # standard: radians, share, share, pixels, evenly
BEND = 0.7  # pixels, standard deviation of an elastic field
CELLS = 6  # of its noise, along a side
FIELDS = 512  # drawn once, and used again with another affine change


class Distorting:
    """Distorts every picture anew, for `finetune.fit`.

    Args:
        side: of the square pictures, in pixels.
        seed: of the elastic fields.
        strength: 0 leaves the pictures as they are, 1 is the full amount.
    """

    def __init__(self, side: int, seed: int, strength: float = 1.0):
        generator = np.random.default_rng(seed)
        fields = [smooth_field(generator, side, CELLS) for _ in range(2 * FIELDS)]
        self._fields = np.float32(BEND * strength) * np.reshape(fields, (FIELDS, 2, side * side))
        self._limits = strength * np.array([TURN, SHEAR, SCALE, SCALE, MOVE, MOVE])
        self._middle = (side - 1) / 2
        centred = np.arange(side, dtype=np.float32) - self._middle
        y, x = np.meshgrid(centred, centred, indexing="ij")
        self._grid = np.stack([x.ravel(), y.ravel()]).astype(np.float32)

    def __call__(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The pictures, uint8 [n, side, side], distorted; what comes in from outside is black."""
        count = len(images)
        turn, shear, wide, high, right, down = generator.uniform(
            -self._limits, self._limits, (count, 6)
        ).T
        cos, sin = np.cos(turn), np.sin(turn)
        affine = np.array(
            [
                [cos * (1 + wide), (shear - sin) * (1 + high)],
                [sin * (1 + wide), cos * (1 + high)],
            ],
            np.float32,
        )
        moved = np.array([right, down], np.float32) + np.float32(self._middle)
        places = affine.transpose(2, 0, 1) @ self._grid + moved.T[:, :, None]
        places += self._fields[generator.integers(0, FIELDS, count)]
        places = places.reshape(count, 2, *images.shape[1:])
        return np.stack(
            [
                cv2.remap(image, x, y, cv2.INTER_LINEAR)
                for image, (x, y) in zip(images, places, strict=True)
            ]
        )
