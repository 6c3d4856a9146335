"""A digit as the distance of every pixel from the centre line of the pen stroke.

From that one field a stroke of any width can be drawn. It comes from a digit of MNIST or from the
strokes of a skeleton.
"""

import functools
import math
from collections.abc import Sequence

import cv2
import numpy as np

from .config import RedrawConfig
from .fields import between, log_between
from .skeletons import SKELETONS

GLYPH_SIZE = 56
"""Side of the square on which strokes are handled: twice MNIST's 28."""
GLYPH_HEIGHT = 40.0  # MNIST's digits are 20 pixels high
_FAR = 27.0
_RIDGE_REACH = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))


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
    angle = math.radians(between(rng, *config.writing.rotation_deg)) * strength
    slant = between(rng, *config.writing.slant) * strength
    aspect = log_between(rng, *config.writing.aspect) ** (strength / 2)
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
    most = config.writing.perspective
    lean_x, lean_y = (between(rng, -most, most) * strength for _ in range(2))
    # The matrix's inverse and, in the last row, the perspective: what x and y are divided by.
    homography = np.array([[d, -b, 0], [-c, a, 0], [lean_x, lean_y, 1]], np.float32)
    points = _GRID @ homography.T
    points = points[:, :2] / points[:, 2:]
    if config.writing.wobble_px > 0:
        wobble = rng.standard_normal(points.shape, dtype=np.float32)
        points += np.float32(config.writing.wobble_px * strength / 14) * wobble
    points *= source_size / 2
    points += source_size / 2 - 0.5
    grid = points.reshape(_CELLS, _CELLS, 2)
    return cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)


def warp_digit(
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
) -> list[np.ndarray]:
    """Strokes which MNIST's writers leave out, fitted to this digit: polylines in glyph pixels.

    A bar through the 7, flag and foot of the 1, a slash through the 0.
    """
    rows = np.flatnonzero(ink.any(1))
    if len(rows) < 13:
        return []
    fit = {0: _slash, 1: _flag_and_foot, 7: _bar}[label]
    return fit(ink, rows[0], rows[-1], rng, config)


def _middle(ink: np.ndarray, row: float) -> float:
    """Mean column of the ink in a row; the middle of the glyph where there is none."""
    columns = np.flatnonzero(ink[int(row)])
    return float(columns.mean()) if len(columns) else GLYPH_SIZE / 2


def _bar(
    ink: np.ndarray, top: int, bottom: int, rng: np.random.Generator, config: RedrawConfig
) -> list[np.ndarray]:
    if rng.random() >= config.writing.extra_stroke:
        return []
    height = bottom - top
    row = top + height * between(rng, *config.writing.bar_height)
    left, right = height * rng.uniform(*config.writing.bar_reach, 2)
    tilt = height * rng.uniform(-0.10, 0.06)
    middle = _middle(ink, row)
    return [np.array([[middle - left, row - tilt], [middle + right, row + tilt]])]


def _flag_and_foot(
    ink: np.ndarray, top: int, bottom: int, rng: np.random.Generator, config: RedrawConfig
) -> list[np.ndarray]:
    if rng.random() >= config.writing.extra_stroke:
        return []
    height = bottom - top
    tip = np.array([_middle(ink, top + 2), top + 2])
    length = height * between(rng, *config.writing.flag_length)
    angle = np.deg2rad(between(rng, *config.writing.flag_angle_deg))
    strokes = [np.stack([tip, tip + length * np.array([-np.cos(angle), np.sin(angle)])])]
    if rng.random() < config.writing.foot:
        foot, row = _middle(ink, bottom - 2), bottom - 1.3
        left, right = height * rng.uniform(*config.writing.foot_reach, 2)
        rise = height * rng.uniform(-0.06, 0.06)
        strokes.append(np.array([[foot - left, row], [foot + right, row + rise]]))
    return strokes


def _slash(
    ink: np.ndarray, top: int, bottom: int, rng: np.random.Generator, config: RedrawConfig
) -> list[np.ndarray]:
    if rng.random() >= config.writing.slashed_zero:
        return []
    columns = np.flatnonzero(ink.any(0))
    reach = rng.uniform(0.75, 1.1)
    centre = np.array([(columns[0] + columns[-1]) / 2, (top + bottom) / 2])
    half = np.array([(columns[-1] - columns[0]) / 2, -(bottom - top) / 2]) * reach
    return [np.stack([centre - half, centre + half])]


def glyph_from_mnist(
    digit: np.ndarray, label: int, rng: np.random.Generator, config: RedrawConfig
) -> tuple[np.ndarray, float]:
    """Distance from the stroke's centre line for an MNIST digit (28x28 uint8), and half the width
    its own pen had.

    Inside the ink the distance to the paper is highest on the centre line. The height of that
    ridge nearby, less the distance itself, is the distance from the line; outside it goes on with
    the distance from the edge.
    """
    warped = warp_digit(digit, rng, config, GLYPH_SIZE)
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
        distance = np.minimum(distance, _distance_to(extra))
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

    With `config.writing.skeleton_jitter` 0, no rotation, slant and wobble it is the reference
    drawing of that way of writing.
    """
    points, to_vertices, pieces = _skeleton(name)
    transform = _writing_transform(rng, config)
    narrow = np.array([between(rng, *config.writing.skeleton_width), 1.0], np.float32)
    jitter = np.float32(config.writing.skeleton_jitter)
    moved = points + jitter * rng.standard_normal(points.shape, dtype=np.float32)
    vertices = to_vertices @ ((moved - np.float32(0.5)) * narrow) @ transform.T
    most = config.writing.perspective
    lean = [between(rng, -most, most) * 0.7 for _ in range(2)]
    vertices = vertices / (1 + vertices @ np.array(lean, np.float32))[:, None]
    low, high = vertices.min(0), vertices.max(0)
    scale = 0.967 * GLYPH_HEIGHT / float((high - low).max())
    vertices = (vertices - (low + high) / 2) * scale + GLYPH_SIZE / 2
    distance = _distance_to([vertices[piece] for piece in pieces])
    if config.writing.wobble_px > 0:
        source = _coordinate_map(rng, config, GLYPH_SIZE, GLYPH_SIZE, 1.0)
        distance = cv2.remap(distance, source, None, cv2.INTER_LINEAR, borderValue=_FAR)
    return _soften(distance), 2.67
