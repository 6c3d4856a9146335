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
from .extras import Slash, extra_strokes
from .fields import between, log_between
from .skeletons import SKELETONS

GLYPH_SIZE = 56
"""Side of the square on which strokes are handled: twice MNIST's 28."""
STROKES_HALF_WIDTH = 2.67
"""Half the width of the pen that skeletons and pen paths are taken to be written with."""
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
    """Random 2x2 matrix of slant, rotation and aspect, which keeps areas."""
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
    homography[:2] /= a * d - b * c
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
    shrink: float = 1.0,
) -> np.ndarray:
    """Resample a 28x28 digit to size x size through slant, rotation, aspect, perspective and a
    smooth wobble, `shrink` as large.
    """
    matrix = _writing_transform(rng, config, strength) * np.float32(shrink)
    source = _coordinate_map(rng, config, size, 28, strength, matrix)
    return cv2.remap(digit, source, None, cv2.INTER_LINEAR)


def glyph_from_mnist(
    digit: np.ndarray, label: int, rng: np.random.Generator, config: RedrawConfig
) -> tuple[np.ndarray, float]:
    """Distance from the stroke's centre line for an MNIST digit (28x28 uint8), and half the width
    its own pen had.

    Inside the ink the distance to the paper is highest on the centre line. The height of that
    ridge nearby, less the distance itself, is the distance from the line; outside it goes on with
    the distance from the edge.
    """
    slash = Slash.drawn(rng, config) if label == 0 else None
    # A slash that overshoots leaves less of the height to the ring.
    shrink = slash.ring if slash else 1.0
    warped = warp_digit(digit, rng, config, GLYPH_SIZE, shrink=shrink)
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
    extra = slash.through(ink) if slash else extra_strokes(ink, label, rng, config)
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


def _on_square(
    vertices: np.ndarray, pieces: Sequence[slice], rng: np.random.Generator, config: RedrawConfig
) -> np.ndarray:
    """Distance from polylines whose vertices lie around the origin, brought to the glyph's size."""
    most = config.writing.perspective
    lean = [between(rng, -most, most) * 0.7 for _ in range(2)]
    vertices = vertices / (1 + vertices @ np.array(lean, np.float32))[:, None]
    low, high = vertices.min(0), vertices.max(0)
    scale = 0.967 * GLYPH_HEIGHT / max(float((high - low).max()), 1e-6)
    vertices = (vertices - (low + high) / 2) * scale + GLYPH_SIZE / 2
    distance = _distance_to([vertices[piece] for piece in pieces])
    if config.writing.wobble_px > 0:
        source = _coordinate_map(rng, config, GLYPH_SIZE, GLYPH_SIZE, 1.0)
        distance = cv2.remap(distance, source, None, cv2.INTER_LINEAR, borderValue=_FAR)
    return _soften(distance)


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
    return _on_square(vertices, pieces, rng, config), STROKES_HALF_WIDTH


def glyph_from_lines(
    lines: Sequence[np.ndarray], rng: np.random.Generator, config: RedrawConfig
) -> tuple[np.ndarray, float]:
    """Distance from a pen's own path, drawn as it was written.

    Args:
        lines: polylines, each [N, 2] of x to the right and y down, in any unit.
    """
    ends = [int(end) for end in np.cumsum([len(line) for line in lines])]
    pieces = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    points = np.concatenate(lines).astype(np.float32)
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) / max(float((high - low).max()), 1.0)
    vertices = points @ _writing_transform(rng, config).T
    return _on_square(vertices, pieces, rng, config), STROKES_HALF_WIDTH
