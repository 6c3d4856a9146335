"""Redraw handwritten digits as ink on photographed paper.

A network that has only seen MNIST (white ink on black, clean, centred) cannot read a digit in
front of a camera. This module turns one clean 28x28 digit, or a digit drawn from pen strokes,
into a small colour picture that looks like a photograph of it. The steps can be looked at one
by one:

1. *glyph*: the distance of every pixel from the centre line of the pen stroke
   (`glyph_from_mnist`, `glyph_from_strokes`). From that one field a stroke of any width can be
   drawn;
2. *ink*: a pen lays ink along the line: ballpoint, pencil with its grain, marker (`lay_ink`);
3. *scene*: the ink is placed on paper with lines, prints, neighbours and shadows;
4. *camera*: defocus, motion, exposure, noise, JPEG.

OpenCV does the standard transforms (remap, blur, resize, JPEG): it is a dependency anyway, quick
on small pictures, and gives the same bytes every time. Every strength is a field of
`RedrawConfig`. Every picture draws its random numbers from a generator seeded with its seed and
index, so its bytes depend neither on the order nor on the number of processes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .skeletons import SKELETONS

cv2.setNumThreads(1)

Range = tuple[float, float]

GLYPH_SIZE = 56
"""Side of the square on which strokes are handled: twice MNIST's 28."""
_GLYPH_HEIGHT = 40.0  # MNIST's digits are 20 pixels high
_FAR = 27.0
_AROUND_THE_INK = np.ones((7, 7), np.uint8)
_PAPER_NEARBY = (9, 9)  # pixels over which the paper beside a stroke is averaged
_RIDGE_REACH = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


@dataclass(frozen=True)
class RedrawConfig:
    """Every strength of the redrawing.

    Ranges are (low, high) and drawn from evenly; a single number is a probability or an upper
    limit. Names ending in `_px` count pixels of the network's input; lengths of strokes are
    fractions of the digit's height.
    """

    image_size: int = 48
    supersample: float = 1.5  # pictures are composed this many times larger, then reduced

    # Writing: how the hand moves
    rotation_deg: Range = (-11.0, 11.0)
    slant: Range = (-0.16, 0.25)
    aspect: Range = (0.78, 1.30)  # width to height, before slant
    stretch: Range = (0.72, 1.38)  # the frame itself, 4:3 or so, is squeezed to a square
    perspective: float = 0.08
    wobble_px: float = 0.33  # of MNIST's 28 pixels
    skeleton_jitter: float = 0.035  # of the drawn digit's box
    skeleton_width: Range = (0.50, 0.95)
    # Writing: strokes MNIST's writers leave out
    extra_stroke: float = 0.5  # of the 7s get a bar, of the 1s a flag
    bar_height: Range = (0.42, 0.62)
    bar_reach: Range = (0.16, 0.30)
    flag_length: Range = (0.18, 0.65)
    flag_angle_deg: Range = (28.0, 65.0)
    foot: float = 0.55  # of the flagged 1s
    foot_reach: Range = (0.15, 0.38)
    slashed_zero: float = 0.04

    # Pen: (name, weight)
    pens: tuple[tuple[str, float], ...] = (
        ("own", 0.35),
        ("ballpoint", 0.30),
        ("pencil", 0.25),
        ("marker", 0.10),
    )
    ballpoint_width: Range = (0.035, 0.085)
    pencil_width: Range = (0.04, 0.11)
    marker_width: Range = (0.11, 0.19)
    own_growth: Range = (-0.04, 0.012)
    min_stroke_px: float = 0.9  # thinner ones would vanish between the pixels
    pencil_grain: Range = (0.15, 0.75)
    pressure: float = 0.25
    ink_opacity: Range = (0.35, 0.97)
    coloured_ink: float = 0.35

    # Size and place. Bands of the digit's height in the frame: (weight, low, high)
    heights: tuple[tuple[float, float, float], ...] = (
        (0.28, 0.14, 0.34),
        (0.30, 0.34, 0.58),
        (0.42, 0.58, 1.0),
    )
    min_height_px: float = 4.8  # below it nobody can read one
    off_centre: float = 0.85
    cut_off: float = 0.15  # of the large digits lose a little at the border
    cut_off_depth: Range = (0.02, 0.14)

    # Paper: (name in PRINTS or "plain", weight)
    papers: tuple[tuple[str, float], ...] = (
        ("plain", 0.42),
        ("ruled", 0.12),
        ("squared", 0.12),
        ("box", 0.12),
        ("security", 0.16),
        ("table", 0.06),
    )
    paper_luma: Range = (0.30, 0.97)
    paper_tint: float = 0.08
    mottle: Range = (0.0, 0.08)
    line_contrast: Range = (0.08, 0.75)
    neighbours: float = 0.22
    print_bits: float = 0.15
    # Light
    gradient: Range = (0.0, 0.45)
    shadow: float = 0.30
    shadow_depth: Range = (0.15, 0.60)
    shadow_sharpness: Range = (0.06, 1.0)  # 1: the edge is one pixel of the drawing wide

    # Camera
    defocus: Range = (0.0, 0.032)  # deviation of the blur, as a part of the frame
    defocus_of_height: float = 0.055  # blur never exceeds this part of the digit's height
    defocus_kernel: str = "gauss"  # or "disc"
    motion: float = 0.15
    motion_length: Range = (0.032, 0.094)  # of the frame
    motion_of_height: float = 0.13
    sharpen: float = 0.20
    sharpen_amount: Range = (0.3, 1.0)
    gamma: Range = (0.75, 1.35)
    inverted: float = 0.08
    noise: Range = (0.0, 0.05)
    noise_full_height: float = 0.6  # smaller digits: less noise, a whole frame was reduced
    jpeg: float = 0.30
    jpeg_quality: Range = (25, 90)

    # Clean gray scans which the digit nearly fills
    scan: float = 0.10
    scan_height: Range = (0.62, 1.0)
    scan_black_and_white: float = 0.3
    scan_size: Range = (0.45, 1.2)  # pixels a scan had, to the input's: 28 of 48 and the like

    # Plain MNIST: strength of the writing changes, and shift, where it is jittered
    plain_strength: float = 0.55
    plain_shift_px: float = 1.5

    # Legibility floor, see `legibility`
    min_contrast: float = 0.12
    contrast_over_clutter: float = 2.2


SIMULATED_CAMERA = RedrawConfig(
    supersample=2.0,  # drawn finer, as a photograph is
    papers=(("woven", 0.2), ("crumpled", 0.2), ("hatched", 0.2), ("form", 0.2), ("blotted", 0.2)),
    heights=((1.0, 0.30, 0.95),),
    defocus_kernel="disc",
    motion=0.25,
    shadow=0.4,
    rotation_deg=(-7.0, 7.0),
    slant=(-0.10, 0.15),
    aspect=(0.88, 1.15),
    perspective=0.06,
    wobble_px=0.0,
    stretch=(0.75, 1.33),  # a frame of 4:3, upright or lying, squeezed to a square
    cut_off_depth=(0.02, 0.09),
    min_contrast=0.15,
    contrast_over_clutter=2.5,
    scan=0.0,
    slashed_zero=0.0,
)
"""The test world: its papers and its blur kernel do not occur in the training world, so the
generator is not its own judge.
"""


HARD_CASES: Mapping[str, RedrawConfig] = {
    "small": replace(SIMULATED_CAMERA, heights=((1.0, 0.15, 0.30),)),
    "shadow": replace(
        SIMULATED_CAMERA, shadow=1.0, shadow_depth=(0.4, 0.7), shadow_sharpness=(0.5, 1.0)
    ),
    "security": replace(SIMULATED_CAMERA, papers=(("rosette", 1.0),), line_contrast=(0.4, 0.9)),
    "thin": replace(
        SIMULATED_CAMERA,
        pens=(("ballpoint", 1.0),),
        ballpoint_width=(0.02, 0.035),
        min_stroke_px=0.5,
        heights=((1.0, 0.45, 0.95),),
    ),
}
"""The test world again, on purpose with a digit 15 to 30 % of the frame high, under a hard shadow,
on the print of a cheque, or with a thin stroke.
"""


CLEAN = RedrawConfig(
    rotation_deg=(0.0, 0.0),
    slant=(0.0, 0.0),
    aspect=(1.0, 1.0),
    stretch=(1.0, 1.0),
    perspective=0.0,
    wobble_px=0.0,
    extra_stroke=0.0,
    slashed_zero=0.0,
    pens=(("own", 1.0),),
    own_growth=(0.0, 0.0),
    pressure=0.0,
    ink_opacity=(0.95, 0.95),
    coloured_ink=0.0,
    heights=((1.0, 0.7, 0.7),),
    off_centre=0.0,
    cut_off=0.0,
    papers=(("plain", 1.0),),
    paper_luma=(0.95, 0.95),
    paper_tint=0.0,
    mottle=(0.0, 0.0),
    neighbours=0.0,
    print_bits=0.0,
    gradient=(0.0, 0.0),
    shadow=0.0,
    defocus=(0.0, 0.0),
    motion=0.0,
    sharpen=0.0,
    gamma=(1.0, 1.0),
    inverted=1.0,
    noise=(0.0, 0.0),
    jpeg=0.0,
    scan=0.0,
    min_contrast=0.05,
)
"""Nothing but the digit, white on black as in MNIST: what notebook 07 changes one by one."""


def rng_for(seed: int, index: int) -> np.random.Generator:
    """Random generator of one image: depends on the seed and the image's index, on nothing else."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, index))))


# Normal noise for the sensor, drawn once: a picture cuts its piece out at a place of its own. That
# looks the same as fresh noise and costs a twentieth.
_GRAIN = rng_for(0, 0).standard_normal(1 << 18, dtype=np.float32)


def _pick(rng: np.random.Generator, weighted: Sequence[tuple[str, float]]) -> str:
    """One name from (name, weight) pairs."""
    return weighted[_lot(rng, [weight for _, weight in weighted])][0]


def _lot(rng: np.random.Generator, weights: Sequence[float]) -> int:
    """Index drawn with the given weights."""
    left = rng.random() * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return len(weights) - 1


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """One number drawn evenly from low to high: `rng.uniform` at a third of its price."""
    return low + (high - low) * rng.random()


def _log_between(rng: np.random.Generator, low: float, high: float) -> float:
    """One positive number, drawn evenly on the logarithmic scale."""
    return low * (high / low) ** rng.random()


def _clip01(values: np.ndarray) -> np.ndarray:
    """Clip to 0-1 in place (several times faster than `np.clip` on arrays this small)."""
    np.maximum(values, 0, out=values)
    return np.minimum(values, 1, out=values)


@functools.lru_cache(maxsize=64)
def _enlarging(cells: int, size: int) -> np.ndarray:
    """Matrix (size x cells) of cubic interpolation along one axis."""
    return cv2.resize(np.eye(cells, dtype=np.float32), (cells, size), interpolation=cv2.INTER_CUBIC)


def _smooth_field(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Smooth random field, size x size, about unit standard deviation: a coarse grid of noise,
    enlarged.
    """
    # Two small matrix products give what cv2.resize would, in a fraction of the time.
    enlarging = _enlarging(cells, size)
    return enlarging @ rng.standard_normal((cells, cells), dtype=np.float32) @ enlarging.T


@functools.lru_cache(maxsize=16)
def _axis(size: int) -> np.ndarray:
    """0, 1, ... size - 1."""
    return np.arange(size, dtype=np.float32)


def _plane(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Sum of a row and a column, as a whole plane."""
    return across[None, :] + along[:, None]


# -------------------------------------------------------------------------------------------------
# 1. glyph: distance from the centre line

_BY_LABEL: dict[int, list[str]] = {
    digit: [name for name, (label, _) in SKELETONS.items() if label == digit] for digit in range(10)
}


def _curve(points: np.ndarray, smooth: bool, steps: int = 8) -> np.ndarray:
    """Points along a Catmull-Rom spline through `points` (or `points` themselves when not
    smooth).
    """
    if not smooth or len(points) < 3:
        return points
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    before, start, end, after = (
        padded[:-3, None],
        padded[1:-2, None],
        padded[2:-1, None],
        padded[3:, None],
    )
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[None, :, None]
    spline = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return np.concatenate([spline.reshape(-1, points.shape[1]), points[-1:]])


def _distance_to(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Distance (pixels) of every glyph pixel from the nearest of the polylines, given in glyph
    pixels.
    """
    canvas = np.full((GLYPH_SIZE, GLYPH_SIZE), 255, np.uint8)
    cv2.polylines(canvas, [np.rint(line).astype(np.int32) for line in lines], False, 0, 1)
    return cv2.distanceTransform(canvas, cv2.DIST_L2, 3)


# Distances are counted between the centres of pixels, the edge of the ink lies between two pixels.
_HALF_STEP = 0.17


def _soften(distance: np.ndarray) -> np.ndarray:
    """Take the steps of whole pixels out of a distance field."""
    return cv2.GaussianBlur(distance, (3, 3), 0.57)


def _writing_transform(
    rng: np.random.Generator, config: RedrawConfig, strength: float = 1.0
) -> np.ndarray:
    """Random 2x2 matrix of slant, rotation and aspect. It keeps areas: its determinant is 1."""
    angle = math.radians(_between(rng, *config.rotation_deg)) * strength
    slant = _between(rng, *config.slant) * strength
    aspect = _log_between(rng, *config.aspect) ** (strength / 2)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array(
        [
            [cos * aspect, -cos * slant - sin / aspect],
            [sin * aspect, -sin * slant + cos / aspect],
        ],
        np.float32,
    )


_CELLS = 6
_CENTRES = (np.arange(_CELLS, dtype=np.float32) + 0.5) / _CELLS * 2 - 1
_GRID = np.array([(x, y, 1) for y in _CENTRES for x in _CENTRES], np.float32)
"""The points (x, y, 1) of a coarse grid over -1..1."""


def _coordinate_map(
    rng: np.random.Generator,
    config: RedrawConfig,
    size: int,
    source_size: int,
    strength: float,
    matrix: np.ndarray | None = None,
) -> np.ndarray:
    """Where each of size x size pixels comes from, size x size x 2 (x, y), in pixels of a square
    source: `matrix`, perspective and a smooth wobble.

    All of it is smooth, so it is worked out on a coarse grid and enlarged.
    """
    (a, b), (c, d) = ((1, 0), (0, 1)) if matrix is None else matrix
    lean_x, lean_y = (
        _between(rng, -config.perspective, config.perspective) * strength for _ in range(2)
    )
    # The matrix's inverse and, in the last row, the perspective: what x and y are divided by.
    homography = np.array([[d, -b, 0], [-c, a, 0], [lean_x, lean_y, 1]], np.float32)
    points = _GRID @ homography.T
    points = points[:, :2] / points[:, 2:]
    if config.wobble_px > 0:
        wobble = rng.standard_normal(points.shape, dtype=np.float32)
        points += np.float32(config.wobble_px * strength / 14) * wobble
    points *= source_size / 2
    points += source_size / 2 - 0.5
    grid = points.reshape(_CELLS, _CELLS, 2)
    return cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)


def _warp_digit(
    digit: np.ndarray,
    rng: np.random.Generator,
    config: RedrawConfig,
    size: int,
    strength: float = 1.0,
) -> np.ndarray:
    """Resample a 28x28 digit to size x size through slant, rotation, aspect, perspective and a
    smooth wobble.
    """
    matrix = _writing_transform(rng, config, strength)
    source = _coordinate_map(rng, config, size, 28, strength, matrix)
    return cv2.remap(digit, source, None, cv2.INTER_LINEAR)


def _extra_strokes(
    ink: np.ndarray, label: int, rng: np.random.Generator, config: RedrawConfig
) -> list[tuple[str, np.ndarray]]:
    """Strokes which MNIST's writers leave out, fitted to this digit: (name, polyline in glyph
    pixels).

    `bar` through the 7, `flag` and `foot` of the 1, `slash` through the 0.
    """
    rows = np.flatnonzero(ink.any(1))
    if len(rows) < 13:
        return []
    top, bottom = rows[0], rows[-1]
    height = bottom - top

    def middle(row: float) -> float:
        return (
            float(np.flatnonzero(ink[int(row)]).mean()) if ink[int(row)].any() else GLYPH_SIZE / 2
        )

    added: list[tuple[str, np.ndarray]] = []
    if label == 7 and rng.random() < config.extra_stroke:
        row = top + height * _between(rng, *config.bar_height)
        left, right = height * rng.uniform(*config.bar_reach, 2)
        tilt = height * rng.uniform(-0.10, 0.06)
        added.append(
            ("bar", np.array([[middle(row) - left, row - tilt], [middle(row) + right, row + tilt]]))
        )
    if label == 1 and rng.random() < config.extra_stroke:
        tip = middle(top + 2)
        length = height * _between(rng, *config.flag_length)
        angle = np.deg2rad(_between(rng, *config.flag_angle_deg))
        added.append(
            (
                "flag",
                np.array(
                    [
                        [tip, top + 2],
                        [tip - length * np.cos(angle), top + 2 + length * np.sin(angle)],
                    ]
                ),
            )
        )
        if rng.random() < config.foot:
            foot = middle(bottom - 2)
            left, right = height * rng.uniform(*config.foot_reach, 2)
            added.append(
                (
                    "foot",
                    np.array(
                        [
                            [foot - left, bottom - 1.3],
                            [foot + right, bottom - 1.3 + height * rng.uniform(-0.06, 0.06)],
                        ]
                    ),
                )
            )
    if label == 0 and rng.random() < config.slashed_zero:
        columns = np.flatnonzero(ink.any(0))
        reach = rng.uniform(0.75, 1.1)
        centre = np.array([(columns[0] + columns[-1]) / 2, (top + bottom) / 2])
        half = np.array([(columns[-1] - columns[0]) / 2, -height / 2]) * reach
        added.append(("slash", np.stack([centre - half, centre + half])))
    return added


def glyph_from_mnist(
    digit: np.ndarray, label: int, rng: np.random.Generator, config: RedrawConfig
) -> tuple[np.ndarray, float]:
    """Distance from the stroke's centre line for an MNIST digit (28x28 uint8), and half the width
    its own pen had.

    Inside the ink the distance to the paper is highest on the centre line. The height of that
    ridge nearby, less the distance itself, is the distance from the line; outside it goes on with
    the distance from the edge.
    """
    warped = _warp_digit(digit, rng, config, GLYPH_SIZE)
    ink = cv2.threshold(warped, 0.45 * 255, 1, cv2.THRESH_BINARY)[1]
    to_paper = _soften(cv2.distanceTransform(ink, cv2.DIST_L2, 5))
    inside = cv2.compare(to_paper, 1.0, cv2.CMP_GT)
    # Across a stroke the distance rises evenly from 1 to the half width, so the half width
    # follows from the mean.
    half_width = 2 * cv2.mean(to_paper, inside)[0] - 1.0 - _HALF_STEP
    half_width = min(max(half_width, 1.33), 5.33)
    ridge = cv2.dilate(to_paper, _RIDGE_REACH)
    from_edge = cv2.distanceTransform(1 - ink, cv2.DIST_L2, 3)
    # Exactly one of the two distances is 0 at every pixel, so inside and outside can be added up.
    distance = np.minimum(ridge - to_paper, half_width)
    distance = np.where(ink, distance, from_edge + np.float32(half_width - _HALF_STEP))
    extra = _extra_strokes(ink, label, rng, config) if label in (0, 1, 7) else []
    if extra:
        distance = np.minimum(distance, _distance_to([line for _, line in extra]))
    return np.minimum(distance, _FAR), half_width


@functools.cache
def _skeleton(name: str) -> tuple[np.ndarray, np.ndarray, list[slice]]:
    """The named skeleton's different points, the matrix which turns them into the vertices of all
    its strokes, and the vertices of each stroke.

    A point shared by two strokes is there once: it moves once, so that they stay joined.
    """
    _, strokes = SKELETONS[name]
    points = list(dict.fromkeys(point for _, stroke in strokes for point in stroke))
    # A spline is linear in its points: the spline through unit vectors is the matrix looked for.
    unit = np.eye(len(points), dtype=np.float32)
    parts = [
        _curve(unit[[points.index(point) for point in stroke]], kind == "~")
        for kind, stroke in strokes
    ]
    ends = [int(end) for end in np.cumsum([len(part) for part in parts])]
    pieces = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    return np.array(points, np.float32), np.concatenate(parts), pieces


def glyph_from_strokes(
    name: str, rng: np.random.Generator, config: RedrawConfig
) -> tuple[np.ndarray, float]:
    """Distance from the centre line of the named skeleton (a key of `SKELETONS`), drawn by
    an unsteady hand.

    With `config.skeleton_jitter` 0, no rotation, slant and wobble it is the reference drawing of
    that way of writing.
    """
    points, to_vertices, pieces = _skeleton(name)
    transform = _writing_transform(rng, config)
    narrow = np.array([_between(rng, *config.skeleton_width), 1.0], np.float32)
    jitter = np.float32(config.skeleton_jitter)
    moved = points + jitter * rng.standard_normal(points.shape, dtype=np.float32)
    vertices = to_vertices @ ((moved - np.float32(0.5)) * narrow) @ transform.T
    lean = [_between(rng, -config.perspective, config.perspective) * 0.7 for _ in range(2)]
    vertices = vertices / (1 + vertices @ np.array(lean, np.float32))[:, None]
    low, high = vertices.min(0), vertices.max(0)
    scale = 0.967 * _GLYPH_HEIGHT / float((high - low).max())
    vertices = (vertices - (low + high) / 2) * scale + GLYPH_SIZE / 2
    distance = _distance_to([vertices[piece] for piece in pieces])
    if config.wobble_px > 0:
        source = _coordinate_map(rng, config, GLYPH_SIZE, GLYPH_SIZE, 1.0)
        distance = cv2.remap(distance, source, None, cv2.INTER_LINEAR, borderValue=_FAR)
    return _soften(distance), 2.67


# -------------------------------------------------------------------------------------------------
# 2. ink

_SPECK = 6  # pixels around: smaller pieces and holes are no part of the writing


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
    thinner than
    `config.min_stroke_px` there, or nothing of it would be left.
    """
    pen = pen or _pick(rng, config.pens)
    if pen == "own":
        radius = half_width + _GLYPH_HEIGHT * _between(rng, *config.own_growth) / 2
    else:
        widths = {
            "ballpoint": config.ballpoint_width,
            "pencil": config.pencil_width,
            "marker": config.marker_width,
        }[pen]
        radius = _GLYPH_HEIGHT * _between(rng, *widths) / 2
    thinnest = _GLYPH_HEIGHT * config.min_stroke_px / height_px / 2 * _between(rng, 0.9, 1.5)
    radius = min(max(radius, thinnest, 1.07), max(half_width + 1.0, 4.33))
    wider = radius - half_width  # than the writer's own pen, or less wide
    if config.pressure > 0:
        pressure = _smooth_field(rng, GLYPH_SIZE, 4)
        np.minimum(np.maximum(pressure, -1.2, out=pressure), 1.2, out=pressure)
        wider = pressure * (radius * config.pressure) + wider
    # Coverage falls from 1 to 0 over `softness` pixels around the stroke's edge. Where the pen
    # would break a stroke or close a loop, its width goes a quarter of the way back to that of the
    # writer's own pen, and again.
    softness = 1.67 if pen == "pencil" else 0.93
    written = _shape(distance < half_width)
    for share in (1.0, 0.75, 0.5, 0.25, 0.0):
        ink = (share * wider + half_width - distance) / np.float32(softness) + np.float32(0.5)
        if _shape(ink > 0.5) == written:
            break
    _clip01(ink)
    if pen == "pencil":
        grain = _between(rng, *config.pencil_grain)
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


# -------------------------------------------------------------------------------------------------
# 3. scene


def _parallel_lines(
    size: int, angle: float, spacing: float, phase: float, width: float
) -> np.ndarray:
    """Coverage (0-1) of parallel lines `width` pixels thick, `spacing` pixels apart."""
    axis = _axis(size) * np.float32(1 / spacing)
    across = _plane(axis * math.sin(angle), axis * math.cos(angle) + phase / spacing)
    across -= np.floor(across)  # place between two lines, 0 to 1; half way is the line
    across -= 0.5
    np.abs(across, out=across)
    across *= -spacing
    across += width / 2 + 0.5
    return _clip01(across)


def _tint(rng: np.random.Generator, strength: float) -> np.ndarray:
    """Random colour near white: three factors around 1."""
    return (1 + strength * rng.standard_normal(3)).clip(0.6, 1.4).astype(np.float32)


def _printed(rng: np.random.Generator, config: RedrawConfig) -> np.ndarray:
    """How much of each colour a printed line takes away (three values 0-1)."""
    return np.float32(_between(rng, *config.line_contrast)) * rng.uniform(0.35, 1.0, 3).astype(
        np.float32
    )


def _ruled(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Writing lines; sometimes one line only, under the digit."""
    spacing = max(box[3] - box[1], size * 0.12) * rng.uniform(0.9, 1.8)
    return _parallel_lines(
        size, rng.normal(0, 0.05), spacing, rng.uniform(0, spacing), rng.uniform(0.5, 2.0)
    )


def _squared(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Squared paper; squares of a quarter of the digit's height up to larger than the digit."""
    spacing, angle = (
        max(size * 0.10, (box[3] - box[1]) * np.exp(rng.uniform(np.log(0.25), np.log(1.8)))),
        rng.normal(0, 0.06),
    )
    phase, width = rng.uniform(0, spacing, 2), rng.uniform(0.4, 1.3)
    return np.maximum(
        _parallel_lines(size, angle, spacing, phase[0], width),
        _parallel_lines(size, angle + np.pi / 2, spacing, phase[1], width),
    )


def _box(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Edges of a printed cell around the digit: one to four thick or thin lines at the border of
    the frame.
    """
    canvas = np.zeros((size, size), np.float32)
    left, top, right, bottom = box
    tilt = rng.normal(0, 0.04) * size
    for side in range(4):
        if rng.random() < 0.35:
            continue
        width = int(rng.integers(1, max(2, size // 12)))
        room = (left, top, size - right, size - bottom)[side]
        place = rng.uniform(0, max(1.0, min(room * 0.8, size * 0.25)))
        place = (place, place, size - place, size - place)[side]
        ends = (
            ((place - tilt / 2, -1), (place + tilt / 2, size))
            if side % 2 == 0
            else ((-1, place - tilt / 2), (size, place + tilt / 2))
        )
        cv2.line(
            canvas,
            *[tuple(int(round(v * 8)) for v in end) for end in ends],
            1.0,
            width,
            cv2.LINE_8,
            3,
        )
    return canvas


def _security(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Guilloche: fine waves, as printed on cheques and banknotes."""
    axis = _axis(size) * np.float32(2 * math.pi / size)
    total = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        angle, pitch = _between(rng, 0, math.pi), _between(rng, 5, 16)
        waves, depth, start = (_between(rng, *r) for r in ((0.5, 4), (0.0, 0.12), (0, 6)))
        cos, sin = math.cos(angle), math.sin(angle)
        bend = np.sin(_plane(axis * (waves * cos), axis * (waves * sin) + start))
        bend *= 2 * math.pi * pitch * depth
        bend += _plane(axis * (-pitch * sin), axis * (pitch * cos))
        wave = np.sin(bend, out=bend)
        wave *= _between(rng, 0.8, 2.5)
        total += _clip01(wave)
    total *= 0.6
    return np.minimum(total, 1, out=total)


def _table(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """The paper ends inside the frame, on the side where the digit leaves most room: what lies
    beside it is darker.
    """
    left, top, right, bottom = box
    rooms = np.array([left, top, size - right, size - bottom])
    side = int(np.argmax(rooms + rng.uniform(0, size * 0.1, 4)))
    depth, lean = float(rooms[side] * rng.uniform(0.2, 0.8)), rng.normal(0, 0.12)
    axis = _axis(size)
    along = (axis[None, :], axis[:, None])[side % 2]
    along = along if side < 2 else size - 1 - along
    across = (axis[:, None], axis[None, :])[side % 2] - size / 2
    return _clip01((lean * across + (depth + 0.5)) - along)


def _woven(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Cloth-like weave (test world)."""
    pitch = rng.uniform(2.5, 5)
    axis = np.arange(size, dtype=np.float32)
    return np.clip(
        0.3
        * np.sin(2 * np.pi * axis / pitch)[None, :]
        * np.sin(2 * np.pi * axis / pitch + 1)[:, None]
        + 0.3,
        0,
        1,
    )


def _crumpled(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Folds: planes of different brightness (test world)."""
    total = np.zeros((size, size), np.float32)
    axis = np.arange(size, dtype=np.float32) / size
    for _ in range(5):
        angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 1.0)
        total += 0.35 * np.abs(
            axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle) - offset
        )
    return np.clip(total - total.min(), 0, 1)


def _hatched(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Two crossing sets of fine straight lines (test world)."""
    first = rng.uniform(0, np.pi)
    return 0.5 * (
        _parallel_lines(size, first, rng.uniform(3.5, 8), 0, 1)
        + _parallel_lines(size, first + rng.uniform(0.4, 1.2), rng.uniform(3.5, 8), 0, 1)
    )


def _form(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """A comb field of a form: short vertical ticks on a base line below the digit (test world)."""
    canvas = np.zeros((size, size), np.float32)
    base = int(min(size - 1, box[3] + rng.uniform(1, 4)))
    cv2.line(canvas, (0, base), (size, base), 1.0, 1)
    for x in (int(box[0] - rng.uniform(2, 5)), int(box[2] + rng.uniform(2, 5))):
        cv2.line(
            canvas, (x, base), (x, int(base - (box[3] - box[1]) * rng.uniform(0.3, 1.1))), 1.0, 1
        )
    return canvas


def _rosette(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Rings around two points that cross each other, another security print (test world)."""
    axis = _axis(size)
    total = np.ones((size, size), np.float32)
    for x, y in rng.uniform(-0.3, 1.3, (2, 2)) * size:
        distance = np.sqrt(_plane((axis - x) ** 2, (axis - y) ** 2))
        total *= 0.5 + 0.5 * np.sin(distance * (2 * math.pi / _between(rng, 4, 9)))
    return total


def _blotted(
    rng: np.random.Generator, size: int, box: Sequence[float], config: RedrawConfig
) -> np.ndarray:
    """Stains and show-through (test world)."""
    return np.clip(_smooth_field(rng, size, 7) * 0.35 + 0.2, 0, 1)


PRINTS: Mapping[str, Callable] = {
    "ruled": _ruled,
    "squared": _squared,
    "box": _box,
    "security": _security,
    "table": _table,
    "woven": _woven,
    "crumpled": _crumpled,
    "hatched": _hatched,
    "form": _form,
    "rosette": _rosette,
    "blotted": _blotted,
}
"""What may be printed on, or lie beside, the paper: name -> function giving its coverage (0-1)."""

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


def _paper(
    kind: str, size: int, box: Sequence[float], rng: np.random.Generator, config: RedrawConfig
) -> np.ndarray:
    """Reflectance of the paper, 0-1, as three colour planes (3 x size x size)."""
    tint = _tint(rng, config.paper_tint * rng.random())
    paper = _smooth_field(rng, size, int(rng.integers(3, 12)))
    paper *= _between(rng, *config.mottle)
    paper += 1
    if kind == "plain":
        return tint[:, None, None] * paper
    taken = -_UNDER_THE_DIGIT.get(kind, 1.0) * _printed(rng, config)
    planes = taken.astype(np.float32)[:, None, None] * PRINTS[kind](rng, size, box, config)
    planes += 1
    planes *= tint[:, None, None]
    planes *= paper
    return planes


def _neighbour_ink(
    ink: np.ndarray, box: Sequence[float], pool: np.ndarray, rng: np.random.Generator
) -> None:
    """Write parts of other digits at the border of the frame into `ink`, in place, clear of the
    digit's box.
    """
    size = ink.shape[0]
    left, top, right, bottom = box
    height = max(8, int((bottom - top) * rng.uniform(0.75, 1.15)))
    for side in rng.permutation(4)[: int(rng.integers(1, 3))]:
        other = _crop(pool[int(rng.integers(len(pool)))] / np.float32(255))
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


def _print_bits(
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
    paper *= 1 - np.clip(canvas, 0, 1) * _printed(rng, config)[:, None, None]


def _light(size: int, rng: np.random.Generator, config: RedrawConfig) -> np.ndarray:
    """Light falling on the paper, size x size: a gradient and perhaps the hard or soft edge of a
    shadow.
    """
    axis = (_axis(size) - (size - 1) / 2) / (size - 1)
    angle, slope = _between(rng, 0, 2 * math.pi), _between(rng, *config.gradient) * rng.random()
    light = _plane(axis * (slope * math.cos(angle)), axis * (slope * math.sin(angle)) + 1)
    if rng.random() < config.shadow:
        angle, offset = _between(rng, 0, 2 * math.pi), _between(rng, -0.35, 0.35)
        shade = _plane(axis * math.cos(angle), axis * math.sin(angle) - offset)
        if rng.random() < 0.4:
            np.abs(shade, out=shade)
            shade -= _between(rng, 0.08, 0.3)
        shade *= size * _log_between(rng, *config.shadow_sharpness)
        shade += 0.5
        _clip01(shade)
        shade *= -_between(rng, *config.shadow_depth)
        shade += 1
        light *= shade
    return light


# -------------------------------------------------------------------------------------------------
# 4. camera


def _blur(
    image: np.ndarray, height: float, rng: np.random.Generator, config: RedrawConfig
) -> np.ndarray:
    """Defocus and motion. `height` is the digit's height in the pixels of `image`; small
    digits get less blur.
    """
    frame = config.supersample * config.image_size
    sigma = min(_between(rng, *config.defocus) * frame, config.defocus_of_height * height)
    if config.defocus_kernel == "disc":
        radius = sigma * 1.6
        if radius > 0.6:
            side = int(np.ceil(radius))
            axis = np.arange(-side, side + 1)
            disc = np.clip(radius + 0.5 - np.hypot(axis[None, :], axis[:, None]), 0, 1).astype(
                np.float32
            )
            image = cv2.filter2D(image, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    elif sigma > 0.25:
        # Three deviations to each side; OpenCV's own choice, four, costs more and shows nothing.
        side = 2 * math.ceil(3 * sigma) + 1
        image = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT)
    if rng.random() < config.motion:
        length = min(_between(rng, *config.motion_length) * frame, config.motion_of_height * height)
        angle = rng.uniform(0, np.pi)
        side = int(np.ceil(length / 2)) + 1
        axis = np.arange(-side, side + 1)
        along = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)
        across = axis[None, :] * np.sin(angle) - axis[:, None] * np.cos(angle)
        kernel = (
            np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
        ).astype(np.float32)
        image = cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return image


class Illegible(ValueError):
    """The drawn digit is below the legibility floor."""


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
    rng = rng_for(seed, index)
    for attempt in range(8):
        # Mostly the scene is to blame, so a glyph gets a second one before it is given up.
        if attempt % 2 == 0:
            if digit is None:
                names = _BY_LABEL[label]
                name = style or names[int(rng.integers(len(names)))]
                glyph = glyph_from_strokes(name, rng, config)
            else:
                glyph = glyph_from_mnist(digit, label, rng, config)
        try:
            return _attempt(*glyph, pool, rng, config)
        except Illegible:
            continue
    raise Illegible(f"digit {label}, seed {seed}, index {index}: illegible in eight attempts")


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
    config = replace(CLEAN, image_size=size, skeleton_jitter=0.0, inverted=0.0, min_contrast=0.0)
    config = replace(config, skeleton_width=(0.7, 0.7), pens=(("ballpoint", 1.0),))
    label, _ = SKELETONS[name]
    return redraw(None, label, np.zeros((1, 28, 28), np.uint8), 0, 0, config, name)


def _crop(ink: np.ndarray) -> np.ndarray:
    """The part of the glyph which carries ink."""
    x, y, w, h = cv2.boundingRect((ink > 0.15).view(np.uint8))
    if h < 8:
        raise Illegible("nothing drawn")
    return ink[y : y + h, x : x + w]


def _attempt(
    distance: np.ndarray,
    half_width: float,
    pool: np.ndarray,
    rng: np.random.Generator,
    config: RedrawConfig,
) -> np.ndarray:
    """One picture of a glyph; raises `Illegible` when it cannot be read."""
    if rng.random() < config.scan:
        return _scan(distance, half_width, rng, config)

    # Size and place: heights are drawn from one of the bands, on a frame `supersample` times the
    # input size.
    size = int(round(config.image_size * config.supersample))
    _, low, high = config.heights[_lot(rng, [band[0] for band in config.heights])]
    height = max(_between(rng, low, high) * config.image_size, config.min_height_px)
    ink = _crop(lay_ink(distance, half_width, height, rng, config))
    stretch = _log_between(rng, *config.stretch)
    h = height * config.supersample
    w = max(2.0, min(h * ink.shape[1] / ink.shape[0] * stretch, size * 0.97))
    h, w = max(4, int(round(h))), int(round(w))
    ink = cv2.resize(
        ink, (w, h), interpolation=cv2.INTER_AREA if h < ink.shape[0] else cv2.INTER_LINEAR
    )
    # Never outside the frame; a digit larger than the frame starts at its border.
    x, y = (
        int(max(0, min(1, 0.5 + _between(rng, -0.5, 0.5) * config.off_centre) * (size - n)))
        for n in (w, h)
    )
    if height > 0.5 * config.image_size and rng.random() < config.cut_off:
        # The frame cuts off a little of one side of a large digit.
        cut = _between(rng, *config.cut_off_depth)
        side = int(rng.integers(4))
        rows, columns = int(round(cut * h)), int(round(cut * w))
        ink = (ink[:, columns:], ink[rows:], ink[:, : w - columns], ink[: h - rows])[side]
        h, w = ink.shape
        x, y = (
            (0 if side == 0 else size - w if side == 2 else x),
            (0 if side == 1 else size - h if side == 3 else y),
        )
    box = (x, y, x + w, y + h)
    coverage = np.zeros((size, size), np.float32)
    coverage[y : y + h, x : x + w] = ink
    only_digit = coverage
    if rng.random() < config.neighbours:
        coverage = coverage.copy()
        _neighbour_ink(coverage, box, pool, rng)

    kind = _pick(rng, config.papers)
    paper = _paper(kind, size, box, rng, config)
    if rng.random() < config.print_bits:
        _print_bits(paper, box, rng, config)
    light = _light(size, rng, config)
    light *= _between(rng, *config.paper_luma) ** 0.8

    # Ink takes light away from the paper; a pencil takes less, a coloured pen takes less of its
    # own colour.
    opacity = _between(rng, *config.ink_opacity)
    absorbed = np.ones(3, np.float32)
    if rng.random() < config.coloured_ink:
        absorbed = np.array(
            [(1, 0.75, 0.35), (1, 0.6, 0.5), (0.4, 1, 1), (0.9, 0.6, 0.9), (0.8, 0.5, 1)][
                int(rng.integers(5))
            ],
            np.float32,
        )
        absorbed = np.clip(absorbed + rng.normal(0, 0.08, 3), 0.25, 1).astype(np.float32)

    # Blur ink and scene alike by blurring the four planes together; the first one tells what is
    # left of the digit.
    taken = coverage * (-opacity * absorbed).astype(np.float32)[:, None, None]
    taken += 1
    paper *= light
    paper *= taken
    scene = _blur(cv2.merge([*paper, only_digit]), h, rng, config)
    # A small digit means a whole frame was reduced, and that averages the sensor's noise away.
    reduced = min(1.0, height / (config.noise_full_height * config.image_size))
    noise = _between(rng, *config.noise) * rng.random() * reduced
    # Reducing all four planes at once is faster than three.
    small = _reduce(scene, config)
    picture = _develop(scene, small, noise, rng, config)
    _require_legible(picture, cv2.extractChannel(small, 3), config)
    return picture


def _reduce(image: np.ndarray, config: RedrawConfig) -> np.ndarray:
    """Reduce to the size of the network's input."""
    side = config.image_size
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _require_legible(picture: np.ndarray, coverage: np.ndarray, config: RedrawConfig) -> None:
    """Raise `Illegible` for a picture below the legibility floor."""
    contrast, clutter = legibility(picture, coverage)
    if contrast < max(config.min_contrast, config.contrast_over_clutter * clutter):
        raise Illegible(f"contrast {contrast:.2f} in clutter {clutter:.2f}")


def _develop(
    scene: np.ndarray,
    small: np.ndarray,
    noise: float,
    rng: np.random.Generator,
    config: RedrawConfig,
) -> np.ndarray:
    """Sensor and file: sharpening, exposure curve, polarity, JPEG, reduction to the input size,
    noise. `small` is `scene` reduced (four planes each, the last is not part of the picture).
    """
    jpeg = rng.random() < config.jpeg
    sharpen = rng.random() < config.sharpen
    if sharpen:
        blurred = cv2.GaussianBlur(scene, (9, 9), 1.5)
        amount = _between(rng, *config.sharpen_amount)
        scene = cv2.addWeighted(scene, 1 + amount, blurred, -amount, 0)
    # The exposure curve is gentle: only JPEG needs it at the full size, else it follows reduction.
    if not jpeg:
        scene = _reduce(scene, config) if sharpen else small
    scene = _clip01(cv2.cvtColor(scene, cv2.COLOR_BGRA2BGR))
    scene = cv2.pow(scene, _between(rng, *config.gamma))
    if rng.random() < config.inverted:
        scene = 1 - scene
    if jpeg:
        quality = int(_between(rng, *config.jpeg_quality))
        packed = cv2.imencode(
            ".jpg", (scene * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )[1]
        scene = _reduce(cv2.imdecode(packed, cv2.IMREAD_COLOR), config).astype(np.float32)
    else:
        scene *= 255
    if noise > 0.002:
        planes = 3 if rng.random() < 0.5 else 1
        count = config.image_size**2 * planes
        start = int(rng.random() * (len(_GRAIN) - count))
        grain = _GRAIN[start : start + count].reshape(config.image_size, config.image_size, planes)
        scene += np.float32(255 * noise) * grain
    return cv2.convertScaleAbs(np.maximum(scene, 0, out=scene))


def _scan(
    distance: np.ndarray, half_width: float, rng: np.random.Generator, config: RedrawConfig
) -> np.ndarray:
    """A clean gray scan which the digit nearly fills, dark on light or light on dark."""
    height = _between(rng, *config.scan_height) * config.image_size
    ink = _crop(lay_ink(distance, half_width, height, rng, config))
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
    if rng.random() < config.scan_black_and_white:
        frame = (frame > 0.3).astype(np.float32)
    frame = cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.2, 0.7))
    side = int(round(_between(rng, *config.scan_size) * config.image_size))
    if side < config.image_size:
        coarse = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
        frame = cv2.resize(coarse, frame.shape, interpolation=cv2.INTER_LINEAR)
    low, high = rng.uniform(0, 0.25), rng.uniform(0.75, 1.0)
    gray = low + (high - low) * (frame if rng.random() < 0.5 else 1 - frame)
    gray += _between(rng, 0, 0.03) * rng.standard_normal(gray.shape, dtype=np.float32)
    picture = cv2.merge([cv2.convertScaleAbs(np.maximum(gray, 0), alpha=255)] * 3)
    _require_legible(picture, frame, config)
    return picture


def jitter(digit: np.ndarray, seed: int, index: int, config: RedrawConfig) -> np.ndarray:
    """An MNIST digit with slightly changed writing and place, still white on black.

    Args:
        digit: uint8 [28, 28].

    Returns:
        uint8 [28, 28].
    """
    rng = rng_for(seed, index)
    ink = _warp_digit(digit, rng, config, 28, strength=config.plain_strength).astype(np.float32)
    shift = rng.uniform(-config.plain_shift_px, config.plain_shift_px, 2)
    ink = cv2.warpAffine(ink, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (28, 28))
    return cv2.convertScaleAbs(ink)
