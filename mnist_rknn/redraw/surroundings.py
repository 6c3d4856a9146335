"""What else a camera sees (print, table, a pad's binding, a hand's shadow), and the camera.

Pictures are float32 [H, W, 3], BGR, 0-1, until `photograph` makes 8 bits of them.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from .fields import between, log_between, smooth_field

Box = tuple[int, int, int, int]


def letters(scene: np.ndarray, rng: np.random.Generator) -> None:
    """Printed words, in place."""
    height, width = scene.shape[:2]
    ink = np.zeros((height, width), np.float32)
    size = log_between(rng, 0.8, 3.0) * height / 480
    for row in range(int(rng.integers(1, 4))):
        text = "".join(rng.choice(list("abcdefghkmnprtuvwxyzABCDEFGHKLMNPRTUVWXY"), 7))
        place = (int(0.05 * width), int((0.25 + 0.25 * row) * height))
        font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX]))
        cv2.putText(ink, text, place, font, size, 1.0, max(1, round(size * 2)), cv2.LINE_AA)
    scene *= 1 - ink[:, :, None] * np.float32(rng.uniform(0.5, 0.9))


def drawing(scene: np.ndarray, rng: np.random.Generator) -> None:
    """Long curves, a circle, a box: no digit's strokes, in place."""
    height, width = scene.shape[:2]
    ink = np.zeros((height, width), np.float32)
    thick = max(1, round(height / 160))
    for _ in range(int(rng.integers(2, 5))):
        points = rng.uniform(0.05, 0.95, (6, 2)) * (width, height)
        t = np.linspace(0, 1, 60)
        path = np.stack([np.interp(t, np.linspace(0, 1, 6), points[:, i]) for i in (0, 1)], 1)
        path = cv2.GaussianBlur(path.astype(np.float32), (1, 15), 0)
        cv2.polylines(ink, [path.astype(np.int32)], False, 1.0, thick, cv2.LINE_AA)
    scene *= 1 - ink[:, :, None] * np.float32(rng.uniform(0.5, 0.9))


def on_board(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light writing on a dark board, from dark writing on paper."""
    ground = np.float32(rng.uniform(0.1, 0.3)) * np.array([0.85, 1.0, 0.9], np.float32)
    return ground + (1 - scene) * (np.float32(rng.uniform(0.75, 0.95)) - ground)


def surround(
    scene: np.ndarray, boxes: Sequence[Box], rng: np.random.Generator, world: str
) -> np.ndarray:
    """The sheet ends inside the frame, on a side that is free: table, or a pad's binding."""
    height, width = scene.shape[:2]
    room = {"left": min([x for x, _, _, _ in boxes], default=width // 3)}
    room["right"] = width - max([x + w for x, _, w, _ in boxes], default=2 * width // 3)
    room["top"] = min([y for _, y, _, _ in boxes], default=height // 3)
    room["bottom"] = height - max([y + h for _, y, _, h in boxes], default=2 * height // 3)
    side = max(room, key=lambda name: room[name])
    depth = room[side] * rng.uniform(0.2, 0.75)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    along = {"left": x, "right": width - x, "top": y, "bottom": height - y}[side]
    across = (y if side in ("left", "right") else x) - (
        height if side in ("left", "right") else width
    ) / 2
    edge = np.clip(depth + across * np.float32(rng.normal(0, 0.03)) - along + 0.5, 0, 1)[:, :, None]
    grain = cv2.resize(smooth_field(rng, 96, 24), (width, height))[:, :, None]
    table = np.float32(rng.uniform(0.1, 0.6)) * (1 + 0.08 * grain)
    table = table * rng.uniform(0.6, 1, 3).astype(np.float32)
    scene = scene * (1 - edge) + table * edge
    if world == "test" or rng.random() < 0.3:  # holes or rings of a binding along the edge
        gap = max(6.0, height * rng.uniform(0.025, 0.06))
        hole = np.hypot((across + 4 * height) % gap - gap / 2, along - depth - gap * 0.6)
        scene = scene * (1 - np.clip(gap * 0.22 + 0.5 - hole, 0, 1)[:, :, None] * np.float32(0.7))
    return scene


def hand_shadow(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Light 0-1 with the soft shadow of a hand and its fingers."""
    shade = np.zeros((height, width), np.float32)
    palm = rng.uniform(0.2, 0.9, 2) * (width, height)
    reach = rng.uniform(0.25, 0.5) * height
    cv2.circle(shade, (int(palm[0]), int(palm[1])), int(reach), 1.0, -1)
    angle = rng.uniform(0, 6.28)
    for finger in range(4):
        way = angle + 0.3 * finger
        tip = palm + 2.2 * reach * np.array([math.cos(way), math.sin(way)])
        ends = [tuple(int(v) for v in point) for point in (palm, tip)]
        cv2.line(shade, *ends, 1.0, max(2, int(reach * 0.32)))
    shade = cv2.GaussianBlur(shade, (0, 0), height * rng.uniform(0.012, 0.04))
    return 1 - np.float32(rng.uniform(0.2, 0.5)) * shade


def photograph(scene: np.ndarray, rng: np.random.Generator, world: str) -> np.ndarray:
    """Light, blur, noise and JPEG: float32 0-1 -> uint8 [H, W, 3]."""
    height, width = scene.shape[:2]
    fine = height / 480
    light = cv2.resize(
        rng.random((3, 4), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    scene = (
        scene
        * (np.float32(rng.uniform(0.6, 0.95)) - np.float32(rng.uniform(0, 0.25)) * light)[
            :, :, None
        ]
    )
    if rng.random() < 0.04:
        scene = scene * hand_shadow(rng, height, width)[:, :, None]
    blur = between(rng, 0.45, 1.3) * fine
    if world == "test":
        reach = blur * 1.6
        side = math.ceil(reach)
        axis = np.arange(-side, side + 1)
        disc = np.clip(reach + 0.5 - np.hypot(axis[None, :], axis[:, None]), 0, 1)
        scene = cv2.filter2D(scene, -1, (disc / disc.sum()).astype(np.float32))
    else:
        scene = cv2.GaussianBlur(scene, (0, 0), blur)
    noise = np.float32(rng.uniform(0.003, 0.018))
    scene = scene + noise * rng.standard_normal(scene.shape, dtype=np.float32)
    picture = (np.clip(scene, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.7:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
    return picture
