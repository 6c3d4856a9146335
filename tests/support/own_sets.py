"""Small sets of a user's own, written as users have them: every layout, real picture files."""

import gzip
import json
import struct
from pathlib import Path

import cv2
import numpy as np

CHINESE = ("圆形 红", "方块", "三角")


def drawing(label: int, number: int, size: tuple[int, int] = (40, 32)) -> np.ndarray:
    """A circle, square or triangle somewhere on gray paper, uint8 [h, w, 3]; no two alike."""
    rng = np.random.default_rng(1000 * label + number)
    width, height = size
    image = rng.normal(200, 6, (height, width, 3)).clip(0, 255).astype(np.uint8)
    x, y = int(rng.integers(12, width - 12)), int(rng.integers(12, height - 12))
    if label == 0:
        cv2.circle(image, (x, y), 9, (30, 30, 160), 2)
    elif label == 1:
        cv2.rectangle(image, (x - 8, y - 8), (x + 8, y + 8), (30, 30, 160), 2)
    else:
        corners = np.array([[x - 9, y + 8], [x + 9, y + 8], [x, y - 9]], np.int32)
        cv2.polylines(image, [corners], True, (30, 30, 160), 2)
    return image


def save(file: Path, image: np.ndarray) -> Path:
    """Write a picture under any name; OpenCV's own writer takes no Chinese ones everywhere."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(cv2.imencode(file.suffix.lower(), image)[1].tobytes())
    return file


def folder_set(root: Path, each: int, names=("circle", "square", "triangle"), first=0) -> Path:
    for label, name in enumerate(names):
        for number in range(first, first + each):
            save(root / name / f"{name} {number}.PNG", drawing(label, number))
    return root


def annotate(root: Path, stem: str, image: str, **flags: bool) -> None:
    content = {"version": "5.5.0", "flags": flags, "shapes": [], "imageData": None}
    content["imagePath"] = f"..\\images\\{image}"
    path = root / "annotations" / f"{stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def labelme_set(root: Path, each: int, names=CHINESE) -> Path:
    for label, name in enumerate(names):
        for number in range(each):
            stem = f"{name} {number}"
            save(root / "images" / f"{stem}.JPG", drawing(label, number))
            annotate(root, stem, f"{stem}.JPG", **{other: other == name for other in names})
    (root / "flags.txt").write_text("\n".join(["__ignore__", *names]), encoding="gb18030")
    return root


def paddlex_set(root: Path, counts: dict[str, int], names=("a circle", "square", "tri,angle")):
    number = 0
    for split, each in counts.items():
        lines = []
        for label in range(len(names)):
            for _ in range(each):
                name = f"images/picture {number}.bmp"
                save(root / name, drawing(label, number))
                lines.append(f"{name} {label}\n")
                number += 1
        (root / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
    lines = [f"{index} {name}\n" for index, name in enumerate(names)]
    (root / "label.txt").write_text("".join(lines), encoding="utf-8")
    return root


def idx_set(root: Path, each: dict[str, int], classes=(0, 1, 2), zipped=True) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    number = 0
    for split, count in each.items():
        images, labels = [], []
        for _ in range(count):
            for label, value in enumerate(classes):
                gray = cv2.cvtColor(drawing(label, number, (28, 28)), cv2.COLOR_BGR2GRAY)
                images.append(gray), labels.append(value)
                number += 1
        header = struct.pack(">BBBB3I", 0, 0, 8, 3, len(images), 28, 28)
        parts = {
            "images-idx3": header + np.stack(images).tobytes(),
            "labels-idx1": struct.pack(">BBBBI", 0, 0, 8, 1, len(labels)) + bytes(labels),
        }
        for what, content in parts.items():
            name = f"{split}-{what}-ubyte"
            if zipped:
                (root / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (root / name).write_bytes(content)
    return root
