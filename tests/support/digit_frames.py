"""Camera frames of several digits with known boxes, for the tests of the locator.

Two kinds: digits drawn with the project's generator (`redraw`), and photographed digits moved onto
new paper. The second keeps what a generator does not think of: real strokes.
"""

import cv2
import numpy as np

from mnist_rknn.redraw.config import RedrawConfig
from mnist_rknn.redraw.glyph import glyph_from_strokes
from mnist_rknn.redraw.ink import lay_ink
from mnist_rknn.redraw.prints import PRINTS
from mnist_rknn.redraw.skeletons import SKELETONS

DRAWN = RedrawConfig().changed(writing={"rotation_deg": (-8, 8), "perspective": 0.05})
# A 4 whose stem stands apart is two pieces to the locator, as docs/module.md says.
STYLES = [name for name in SKELETONS if name != "4_far_stem"]


def paper(
    rng: np.random.Generator, height: int, width: int, kind: str = "plain", contrast: float = 0.2
) -> np.ndarray:
    """Empty paper under uneven light, float32 [height, width, 3], 0-1."""
    coarse = max(height, width) // 4
    plane = np.ones((coarse, coarse), np.float32)
    if kind != "plain":
        middle = coarse / 2
        box = (middle - 9, middle - 9, middle + 9, middle + 9)
        printed = np.asarray(PRINTS[kind](rng, coarse, box, RedrawConfig()))
        plane -= np.float32(contrast) * printed.reshape(-1, coarse, coarse)[0]
    side = max(height, width)
    plane = cv2.resize(plane, (side, side), interpolation=cv2.INTER_LINEAR)[:height, :width]
    cells = rng.random((3, 4), dtype=np.float32)
    light = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    tint = np.array([0.9, 0.96, 1.0], np.float32) * rng.uniform(0.92, 1, 3).astype(np.float32)
    return (plane * (rng.uniform(0.55, 0.9) - 0.2 * light))[:, :, None] * tint


def shadow(rng: np.random.Generator, frame: np.ndarray, depth: float = 0.5) -> np.ndarray:
    """`frame` with the hard, slanting edge of a shadow across it."""
    height, width = frame.shape[:2]
    across, along = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    angle = rng.uniform(0, 2 * np.pi)
    distance = across * np.cos(angle) + along * np.sin(angle) - rng.uniform(-0.2, 0.2) * width
    shade = 1 - depth * np.clip(distance / 6 + 0.5, 0, 1)
    return frame * shade[:, :, None].astype(np.float32)


def drawn_ink(rng: np.random.Generator, height: int, pen: str) -> np.ndarray:
    """Coverage, float32 [height, w] of 0-1, of one digit in a random way of writing."""
    glyph, half_width = glyph_from_strokes(STYLES[int(rng.integers(len(STYLES)))], rng, DRAWN)
    ink = lay_ink(glyph, half_width, 48, rng, DRAWN, pen)
    rows, columns = np.nonzero(ink.max(1) > 0.3)[0], np.nonzero(ink.max(0) > 0.3)[0]
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = max(2, round(height * ink.shape[1] / ink.shape[0]))
    return cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)


def photographed_ink(photo: np.ndarray, height: int, depth: float = 0.75) -> np.ndarray:
    """The stroke of a photographed digit as `drawn_ink` has it; uint8 BGR in.

    What lies at the edge of the photograph (bits of the printed grid) is not taken along.
    """
    gray = cv2.cvtColor(photo, cv2.COLOR_BGR2GRAY).astype(np.float32)
    lit = cv2.GaussianBlur(cv2.dilate(gray, np.ones((41, 41), np.uint8)), (0, 0), 12)
    ink = np.clip((1 - gray / lit - 0.15) / 0.35, 0, 1)
    count, names, stats, _ = cv2.connectedComponentsWithStats((ink > 0.35).astype(np.uint8))
    inner = [
        i
        for i in range(1, count)
        if stats[i, 0] > 2
        and stats[i, 1] > 2
        and stats[i, 0] + stats[i, 2] < photo.shape[1] - 2
        and stats[i, 1] + stats[i, 3] < photo.shape[0] - 2
        and stats[i, 3] > max(photo.shape[0] // 2, stats[i, 2] * 3 // 4)
    ]
    if not inner:
        return np.zeros((0, 0), np.float32)
    largest = max(inner, key=lambda i: stats[i, cv2.CC_STAT_AREA])
    x, y, w, h = stats[largest, :4]
    ink = np.where(cv2.dilate((names == largest).astype(np.uint8), np.ones((3, 3))), ink, 0)
    ink = ink[y : y + h, x : x + w]
    width = max(2, round(height * w / h))
    return depth * cv2.resize(ink.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)


def place(
    rng: np.random.Generator, sheet: np.ndarray, lines: list[list[np.ndarray]], gap: float = 0.35
) -> list[tuple[int, int, int, int]]:
    """Write lines of digits onto `sheet`, in place.

    Args:
        sheet: float32 [height, width, 3], 0-1.
        lines: coverage of each digit of each line.
        gap: between neighbours, as a part of a digit's height.

    Returns:
        Boxes (x, y, width, height) in reading order.
    """
    boxes = []
    height, width = sheet.shape[:2]
    tallest = max(ink.shape[0] for line in lines for ink in line)
    pitch = tallest * 1.6
    y0 = rng.uniform(0.15, 0.85) * max(0, height - pitch * (len(lines) - 1) - tallest * 1.3)
    for number, line in enumerate(lines):
        step = gap * tallest
        total = sum(ink.shape[1] for ink in line) + step * (len(line) - 1)
        assert total < width - 20, "the line is wider than the sheet"
        x = rng.uniform(10, width - 10 - total)
        for ink in line:
            h, w = ink.shape
            top = int(np.clip(y0 + number * pitch + rng.uniform(0, 0.15) * tallest, 4, height - h))
            left = int(x)
            sheet[top : top + h, left : left + w] *= 1 - ink[:, :, None]
            boxes.append((left, top, w, h))
            x += w + step
    return boxes


def develop(
    rng: np.random.Generator, sheet: np.ndarray, blur: float = 0.8, noise: float = 0.012
) -> np.ndarray:
    """The camera: blur, noise, 8 bits. float32 0-1 -> uint8 [height, width, 3]."""
    sheet = cv2.GaussianBlur(sheet, (0, 0), blur)
    sheet = sheet + np.float32(noise) * rng.standard_normal(sheet.shape, dtype=np.float32)
    return (np.clip(sheet, 0, 1) * 255 + 0.5).astype(np.uint8)


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Intersection over union of two boxes (x, y, width, height)."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    along = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(0, across) * max(0, along)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)
