"""A small Labelme set to practise with: shapes drawn by pen on paper, as if photographed."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..errors import PipelineError
from ..files import relative, replacing_folder

SIZE = (160, 120)  # width and height in pixels
NAMES = {
    "circle": "圆形",
    "triangle": "三角形",
    "square": "正方形",
    "star": "五角星",
    "cross": "十字",
}


def render(folder: Path, each: int = 40, chinese: bool = False, seed: int = 1) -> None:
    """Write a Labelme set: `images/`, `annotations/` and `flags.txt`.

    Args:
        folder: where; it appears when the set is complete.
        each: pictures of each class.
        chinese: Chinese names of classes and files.
        seed: the same seed draws the same pictures.

    Raises:
        PipelineError: there is something at `folder` that is no such set.
    """
    if folder.exists() and not (folder / "flags.txt").is_file():
        raise PipelineError(f"{relative(folder)} is there and no Labelme set: name another folder")
    names = list(NAMES.values() if chinese else NAMES)
    generator = np.random.default_rng(seed)
    with replacing_folder(folder) as partial:
        for part in ("images", "annotations"):
            (partial / part).mkdir()
        (partial / "flags.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
        for shape, name in zip(NAMES, names, strict=True):
            for number in range(each):
                image = f"{name} {number:03d}.jpg"
                _, content = cv2.imencode(".jpg", draw(shape, generator)[:, :, ::-1])
                (partial / "images" / image).write_bytes(content.tobytes())
                (partial / "annotations" / f"{name} {number:03d}.json").write_text(
                    annotation(image, {other: other == name for other in names}), encoding="utf-8"
                )


@contextlib.contextmanager
def changed(folder: Path, change: Callable[[Path], Any]) -> Iterator[Path]:
    """A copy of a set in which something was changed; it is gone at the end of the block."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / folder.name
        shutil.copytree(folder, copy)
        change(copy)
        yield copy


def set_flags(annotated: Path, **flags: bool) -> None:
    """Write other flags into an annotation."""
    content = json.loads(annotated.read_text(encoding="utf-8"))
    annotated.write_text(json.dumps(content | {"flags": flags}), encoding="utf-8")


def save_as_five(pixels: np.ndarray, folder: Path) -> list[Path]:
    """Write one picture as five kinds of files, of which each stores it otherwise.

    Args:
        pixels: uint8 [H, W, 3] in RGB order.

    Returns:
        The files: a palette, 16 bits, transparency, a note to turn it, and plain colour.
    """
    picture = Image.fromarray(pixels)
    gray = np.array(picture.convert("L"))
    clear = np.dstack([np.zeros_like(gray), np.where(gray < 130, 255, 0).astype(np.uint8)])
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: turn by 90 degrees to the right
    picture.save(folder / "colour.png")
    picture.save(folder / "turned.jpg", exif=turned)
    picture.quantize(4).save(folder / "palette.gif")
    Image.fromarray(clear, "LA").save(folder / "clear.png")
    cv2.imwrite(str(folder / "16 bit.png"), gray.astype(np.uint16) * 257)
    return sorted(folder.iterdir())


def annotation(image: str, flags: dict[str, bool]) -> str:
    """What Labelme saves for a picture with image flags."""
    width, height = SIZE
    content: dict[str, Any] = {
        "version": "5.5.0",
        "flags": flags,
        "shapes": [],
        "imagePath": f"../images/{image}",
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def draw(shape: str, generator: np.random.Generator) -> np.ndarray:
    """One drawing, uint8 [120, 160, 3] in RGB order.

    Args:
        shape: a key of `NAMES`.
    """
    width, height = SIZE
    paper = generator.uniform(170, 240) + generator.uniform(-10, 10, 3)  # its tint
    slope = generator.uniform(-0.25, 0.25, 2)  # light falls from a side
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    image = paper * (1 + slope[0] * x + slope[1] * y)[..., None]
    ink = np.zeros((height, width), np.uint8)
    radius = generator.uniform(18, 42)
    center = [generator.uniform(radius + 4, side - radius - 4) for side in (width, height)]
    turn = generator.uniform(-0.35, 0.35)
    thickness = int(generator.integers(2, 6))
    for line in _outline(shape):
        wobble = generator.normal(0, 0.03, line.shape)
        points = (line + wobble) @ _rotation(turn) * radius + center
        cv2.polylines(ink, [points.round().astype(np.int32)], False, 255, thickness, cv2.LINE_AA)
    covered = cv2.GaussianBlur(ink, (0, 0), generator.uniform(0.6, 1.4))[..., None] / 255
    color = generator.uniform(20, 90, 3)
    image = image * (1 - covered) + color * covered
    image += generator.normal(0, generator.uniform(1, 6), image.shape)
    return image.clip(0, 255).astype(np.uint8)


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _outline(shape: str) -> list[np.ndarray]:
    """Strokes of a shape in the unit circle, each float [N, 2]."""
    if shape == "cross":
        return [np.array([[-0.9, 0.0], [0.9, 0.0]]), np.array([[0.0, -0.9], [0.0, 0.9]])]
    corners = {"circle": 24, "triangle": 3, "square": 4, "star": 5}[shape]
    step = 2 if shape == "star" else 1  # every second corner makes the star
    start = np.pi / 4 if shape == "square" else -np.pi / 2
    angles = start + 2 * np.pi * step * np.arange(corners + 1) / corners
    return [np.stack([np.cos(angles), np.sin(angles)], axis=1)]
