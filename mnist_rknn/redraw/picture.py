"""One redrawn digit: pen, paper and camera put together, and the floor of legibility.

A network that has only seen MNIST (white ink on black, clean, centred) cannot read a digit in
front of a camera. `redraw` turns one clean 28x28 digit, or a digit drawn from pen strokes, into a
small colour picture that looks like a photograph of it. The steps can be looked at one by one:

1. `glyph`: the distance of every pixel from the centre line of the pen stroke;
2. `ink`: a pen lays ink along the line;
3. `paper`: the ink is placed on paper with prints and neighbours;
4. `camera`: light, defocus, motion, exposure, noise, JPEG.

OpenCV does the standard transforms (remap, blur, resize, JPEG): it is a dependency anyway, quick
on small pictures, and gives the same bytes every time. Every strength stands in a group of
`config.RedrawConfig`. Every picture draws its random numbers from a generator seeded with its
seed and index, so its bytes depend neither on the order nor on the number of processes.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from . import camera, paper
from .config import RedrawConfig
from .fields import between, log_between, lot, pick, rng_for
from .glyph import glyph_from_lines, glyph_from_mnist, glyph_from_strokes
from .ink import Illegible, absorbed_by_ink, crop_to_ink, lay_ink
from .legibility import require_legible
from .skeletons import BY_LABEL, SKELETONS
from .ways import lines_of
from .worlds import CLEAN, HARD_CASES, SIMULATED_CAMERA, WAYS

Glyph = tuple[np.ndarray, float]  # distance from the stroke's centre line, half its width


def redraw(
    digit: np.ndarray | None,
    label: int,
    pool: np.ndarray,
    seed: int,
    index: int,
    config: RedrawConfig,
    style: str | None = None,
) -> np.ndarray:
    """One redrawn digit.

    Args:
        digit: uint8 [28, 28], white ink on black; None draws one of the label's skeletons.
        label: the digit's class, 0 to 9.
        pool: uint8 [N, 28, 28], digits whose parts may stand at the border.
        seed, index: decide every random number.
        style: name of the skeleton to draw, a key of `SKELETONS`; None draws lots.

    Returns:
        uint8 [image_size, image_size, 3] in RGB order.

    Raises:
        Illegible: no legible picture came out of eight attempts.
    """

    def glyph(rng: np.random.Generator) -> Glyph:
        if digit is not None:
            return glyph_from_mnist(digit, label, rng, config)
        names = BY_LABEL[label]
        return glyph_from_strokes(style or names[int(rng.integers(len(names)))], rng, config)

    picture = _legible(glyph, pool, rng_for(seed, index), config)
    if picture is None:
        raise Illegible(f"digit {label}, seed {seed}, index {index}: illegible in eight attempts")
    return picture


def redraw_lines(
    lines: Sequence[np.ndarray], pool: np.ndarray, seed: int, index: int, config: RedrawConfig
) -> np.ndarray | None:
    """As `try_redraw`, of the path of a pen: polylines, each [N, 2] of x and y in any unit."""
    return _legible(
        lambda rng: glyph_from_lines(lines, rng, config), pool, rng_for(seed, index), config
    )


def simulate(
    case: str, digit: np.ndarray, label: int, pool: np.ndarray, seed: int, index: int, size: int
) -> np.ndarray | None:
    """A picture of the simulated camera, or of one of its hard cases: the test world.

    Args:
        case: a key of `worlds.HARD_CASES`; any other name is the simulated camera itself. The case
            "ways" draws from strokes, and `digit` is not looked at.
        label: for "ways" one of `ways.LABELS`.
        size: side of the picture in pixels.

    Returns:
        As `try_redraw`.
    """
    config = HARD_CASES.get(case, SIMULATED_CAMERA).changed(image_size=size)
    if case != WAYS:
        return try_redraw(digit, label, pool, seed, index, config)
    return _legible(
        lambda rng: glyph_from_lines(lines_of(label, rng), rng, config),
        pool,
        rng_for(seed, index),
        config,
    )


def _legible(
    glyph_of: Callable[[np.random.Generator], Glyph],
    pool: np.ndarray,
    rng: np.random.Generator,
    config: RedrawConfig,
) -> np.ndarray | None:
    """The first legible picture of eight attempts; None if there is none."""
    for attempt in range(8):
        # Mostly the scene is to blame, so a glyph gets a second one before it is given up.
        if attempt % 2 == 0:
            glyph = glyph_of(rng)
        try:
            return _attempt(*glyph, pool, rng, config)
        except Illegible:
            continue
    return None


def try_redraw(
    digit: np.ndarray | None,
    label: int,
    pool: np.ndarray,
    seed: int,
    index: int,
    config: RedrawConfig,
) -> np.ndarray | None:
    """As `redraw`, but None where no legible picture comes out."""
    try:
        return redraw(digit, label, pool, seed, index, config)
    except Illegible:
        return None


def reference(name: str, size: int) -> np.ndarray:
    """A named way of writing as a clean drawing, black on white, uint8 [size, size, 3]."""
    config = CLEAN.changed(
        image_size=size,
        writing={"skeleton_jitter": 0.0, "skeleton_width": (0.7, 0.7)},
        pen={"kinds": {"ballpoint": 1.0}},
        camera={"inverted": 0.0},
        legibility={"min_contrast": 0.0},
    )
    label, _ = SKELETONS[name]
    return redraw(None, label, np.zeros((1, 28, 28), np.uint8), 0, 0, config, name)


class Placed(NamedTuple):
    """A digit's ink in the frame, which is `supersample` times as large as the picture."""

    coverage: np.ndarray  # float32 [size, size], 0-1
    box: tuple[int, int, int, int]  # left, top, right, bottom, in pixels of the frame
    height: float  # that the whole digit has in the picture, in its pixels


def _attempt(
    distance: np.ndarray,
    half_width: float,
    pool: np.ndarray,
    rng: np.random.Generator,
    config: RedrawConfig,
) -> np.ndarray:
    """One picture of a glyph; raises `Illegible` when it cannot be read."""
    if rng.random() < config.scan.share:
        return _scan(distance, half_width, rng, config)
    placed = _place(distance, half_width, rng, config)
    scene = _scene(placed, pool, rng, config)
    height_px = placed.box[3] - placed.box[1]
    # Blur ink and scene alike by blurring the four planes together; the last one tells what is
    # left of the digit.
    scene = camera.blur(cv2.merge([*scene, placed.coverage]), height_px, rng, config)
    # A small digit means a whole frame was reduced, and that averages the sensor's noise away.
    of_full = min(1.0, placed.height / (config.camera.noise_full_height * config.image_size))
    noise = between(rng, *config.camera.noise) * rng.random() * of_full
    # Reducing all four planes at once is faster than three.
    small = camera.reduced(scene, config)
    picture = camera.develop(scene, small, noise, rng, config)
    require_legible(picture, cv2.extractChannel(small, 3), config)
    return picture


def _place(
    distance: np.ndarray, half_width: float, rng: np.random.Generator, config: RedrawConfig
) -> Placed:
    """Write the digit at a place of the frame, its height drawn from one of the bands."""
    size = round(config.image_size * config.camera.supersample)
    bands = config.place.heights
    _, low, high = bands[lot(rng, [weight for weight, _, _ in bands])]
    height = max(between(rng, low, high) * config.image_size, config.place.min_height_px)
    ink = crop_to_ink(lay_ink(distance, half_width, height, rng, config))
    stretch = log_between(rng, *config.camera.stretch)
    h = height * config.camera.supersample
    w = max(2.0, min(h * ink.shape[1] / ink.shape[0] * stretch, size * 0.97))
    h, w = max(4, round(h)), round(w)
    ink = cv2.resize(
        ink, (w, h), interpolation=cv2.INTER_AREA if h < ink.shape[0] else cv2.INTER_LINEAR
    )
    # Never outside the frame; a digit larger than the frame starts at its border.
    x, y = (
        int(max(0, min(1, 0.5 + between(rng, -0.5, 0.5) * config.place.off_centre) * (size - n)))
        for n in (w, h)
    )
    if height > 0.5 * config.image_size and rng.random() < config.place.cut_off:
        ink, x, y = _cut_off(ink, x, y, size, rng, config)
    h, w = ink.shape
    coverage = np.zeros((size, size), np.float32)
    coverage[y : y + h, x : x + w] = ink
    return Placed(coverage, (x, y, x + w, y + h), height)


def _cut_off(
    ink: np.ndarray, x: int, y: int, size: int, rng: np.random.Generator, config: RedrawConfig
) -> tuple[np.ndarray, int, int]:
    """What the frame leaves of a large digit that it cuts a little off, and its new place."""
    h, w = ink.shape
    cut = between(rng, *config.place.cut_off_depth)
    side = int(rng.integers(4))
    rows, columns = round(cut * h), round(cut * w)
    ink = (ink[:, columns:], ink[rows:], ink[:, : w - columns], ink[: h - rows])[side]
    h, w = ink.shape
    x = 0 if side == 0 else size - w if side == 2 else x
    y = 0 if side == 1 else size - h if side == 3 else y
    return ink, x, y


def _scene(
    placed: Placed, pool: np.ndarray, rng: np.random.Generator, config: RedrawConfig
) -> np.ndarray:
    """Ink on lit paper, float32 [3, size, size]: what a perfect camera would see."""
    size = len(placed.coverage)
    inked = placed.coverage
    if rng.random() < config.paper.neighbours:
        inked = inked.copy()
        paper.neighbour_ink(inked, placed.box, pool, rng)
    kind = pick(rng, config.paper.kinds)
    planes = paper.paper_planes(kind, size, placed.box, rng, config)
    if rng.random() < config.paper.print_bits:
        paper.print_bits(planes, placed.box, rng, config)
    light = camera.light_on(size, rng, config)
    light *= between(rng, *config.paper.luma) ** 0.8
    # Ink takes light away from the paper; a pencil takes less, a coloured pen takes less of its
    # own colour.
    opacity = between(rng, *config.pen.ink_opacity)
    taken = inked * (-opacity * absorbed_by_ink(rng, config)).astype(np.float32)[:, None, None]
    taken += 1
    planes *= light
    planes *= taken
    return planes


def _scan(
    distance: np.ndarray, half_width: float, rng: np.random.Generator, config: RedrawConfig
) -> np.ndarray:
    """A clean gray scan which the digit nearly fills, dark on light or light on dark."""
    height = between(rng, *config.scan.height) * config.image_size
    ink = crop_to_ink(lay_ink(distance, half_width, height, rng, config))
    height_px = int(round(height))
    width = int(
        np.clip(
            round(height * ink.shape[1] / ink.shape[0] * np.exp(rng.uniform(-0.2, 0.4))),
            3,
            config.image_size,
        )
    )
    ink = cv2.resize(ink, (width, height_px), interpolation=cv2.INTER_AREA)
    frame = np.zeros((config.image_size, config.image_size), np.float32)
    x, y = (int(rng.integers(0, config.image_size - n + 1)) for n in (width, height_px))
    x = (x + (config.image_size - width) // 2) // 2
    frame[y : y + height_px, x : x + width] = ink
    if rng.random() < config.scan.black_and_white:
        frame = (frame > 0.3).astype(np.float32)
    frame = cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.2, 0.7))
    side = int(round(between(rng, *config.scan.size) * config.image_size))
    if side < config.image_size:
        coarse = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
        frame = cv2.resize(coarse, frame.shape, interpolation=cv2.INTER_LINEAR)
    low, high = rng.uniform(0, 0.25), rng.uniform(0.75, 1.0)
    gray = low + (high - low) * (frame if rng.random() < 0.5 else 1 - frame)
    gray += between(rng, 0, 0.03) * rng.standard_normal(gray.shape, dtype=np.float32)
    picture = cv2.merge([cv2.convertScaleAbs(np.maximum(gray, 0), alpha=255)] * 3)
    require_legible(picture, frame, config)
    return picture
