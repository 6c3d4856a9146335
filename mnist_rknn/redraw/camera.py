"""What light and camera do to a scene: shadow, defocus, motion, sensor, JPEG."""

import functools
import math

import cv2
import numpy as np

from .config import RedrawConfig
from .fields import axis_of, between, clip01, log_between, plane, rng_for


def light_on(size: int, rng: np.random.Generator, config: RedrawConfig) -> np.ndarray:
    """Light falling on the paper, size x size: a gradient and perhaps the hard or soft edge of a
    shadow.
    """
    axis = (axis_of(size) - (size - 1) / 2) / (size - 1)
    angle = between(rng, 0, 2 * math.pi)
    slope = between(rng, *config.camera.gradient) * rng.random()
    light = plane(axis * (slope * math.cos(angle)), axis * (slope * math.sin(angle)) + 1)
    if rng.random() < config.camera.shadow:
        angle, offset = between(rng, 0, 2 * math.pi), between(rng, -0.35, 0.35)
        shade = plane(axis * math.cos(angle), axis * math.sin(angle) - offset)
        if rng.random() < 0.4:
            np.abs(shade, out=shade)
            shade -= between(rng, 0.08, 0.3)
        shade *= size * log_between(rng, *config.camera.shadow_sharpness)
        shade += 0.5
        clip01(shade)
        shade *= -between(rng, *config.camera.shadow_depth)
        shade += 1
        light *= shade
    return light


def blur(
    image: np.ndarray, height: float, rng: np.random.Generator, config: RedrawConfig
) -> np.ndarray:
    """Defocus and motion. `height` is the digit's height in the pixels of `image`; small
    digits get less blur.
    """
    lens = config.camera
    frame = lens.supersample * config.image_size
    sigma = min(between(rng, *lens.defocus) * frame, lens.defocus_of_height * height)
    if lens.defocus_kernel == "disc":
        radius = sigma * 1.6
        if radius > 0.6:
            image = _filtered(image, _disc(radius))
    elif sigma > 0.25:
        # Three deviations to each side; OpenCV's own choice, four, costs more and shows nothing.
        side = 2 * math.ceil(3 * sigma) + 1
        image = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
    if rng.random() < lens.motion:
        length = min(between(rng, *lens.motion_length) * frame, lens.motion_of_height * height)
        image = _filtered(image, _line(length, rng.uniform(0, np.pi)))
    return image


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    kernel = kernel.astype(np.float32)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _disc(radius: float) -> np.ndarray:
    """Kernel of a lens out of focus: a disc, its edge a pixel wide."""
    side = int(np.ceil(radius))
    axis = np.arange(-side, side + 1)
    return np.clip(radius + 0.5 - np.hypot(axis[None, :], axis[:, None]), 0, 1)


def _line(length: float, angle: float) -> np.ndarray:
    """Kernel of a motion: a line of that length (pixels) and direction (radians)."""
    side = int(np.ceil(length / 2)) + 1
    axis = np.arange(-side, side + 1)
    along = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)
    across = axis[None, :] * np.sin(angle) - axis[:, None] * np.cos(angle)
    return np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)


def reduced(image: np.ndarray, config: RedrawConfig) -> np.ndarray:
    """Reduce to the size of the network's input."""
    side = config.image_size
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


@functools.cache
def grain() -> np.ndarray:
    """Normal noise for the sensor, float32 [2**18], drawn once a process.

    A picture cuts its piece out at a place of its own. That looks the same as fresh noise and
    costs a twentieth.
    """
    return rng_for(0, 0).standard_normal(1 << 18, dtype=np.float32)


def develop(
    scene: np.ndarray,
    small: np.ndarray,
    noise: float,
    rng: np.random.Generator,
    config: RedrawConfig,
) -> np.ndarray:
    """Sensor and file: sharpening, exposure curve, polarity, JPEG, reduction to the input size,
    noise. `small` is `scene` reduced (four planes each, the last is not part of the picture).
    """
    jpeg = rng.random() < config.camera.jpeg
    sharpen = rng.random() < config.camera.sharpen
    if sharpen:
        blurred = cv2.GaussianBlur(scene, (9, 9), 1.5)
        amount = between(rng, *config.camera.sharpen_amount)
        scene = cv2.addWeighted(scene, 1 + amount, blurred, -amount, 0)
    # The exposure curve is gentle: only JPEG needs it at the full size, else it follows reduction.
    if not jpeg:
        scene = reduced(scene, config) if sharpen else small
    scene = clip01(cv2.cvtColor(scene, cv2.COLOR_BGRA2BGR))
    scene = cv2.pow(scene, between(rng, *config.camera.gamma))
    if rng.random() < config.camera.inverted:
        scene = 1 - scene
    if jpeg:
        quality = int(between(rng, *config.camera.jpeg_quality))
        packed = cv2.imencode(
            ".jpg", (scene * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )[1]
        scene = reduced(cv2.imdecode(packed, cv2.IMREAD_COLOR), config).astype(np.float32)
    else:
        scene *= 255
    if noise > 0.002:
        planes = 3 if rng.random() < 0.5 else 1
        count = config.image_size**2 * planes
        start = int(rng.random() * (len(grain()) - count))
        piece = grain()[start : start + count]
        piece = piece.reshape(config.image_size, config.image_size, planes)
        scene += np.float32(255 * noise) * piece
    return cv2.convertScaleAbs(np.maximum(scene, 0, out=scene))
