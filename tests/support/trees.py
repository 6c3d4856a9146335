"""Small sets of every kind that people bring, written into a folder: names and contents as data."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {".jpg": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".bmp": "BMP", "": "PNG"}


def picture(number: int, ending: str = ".png") -> bytes:
    """A picture of its own for each number, 24x20 pixels."""
    pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), np.uint8)
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, FORMATS[ending.lower()])
    return memory.getvalue()


class Tree:
    """Files of a set by their paths, and the label that each picture should get."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.truth: dict[str, str] = {}

    def add(self, path: str, label: str | None) -> str:
        """Add a picture; without a label it is to be left out."""
        self.files[path] = picture(len(self.files), Path(path).suffix)
        if label is not None:
            self.truth[path] = label
        return path

    def text(self, path: str, content: str | Iterable[str], encoding: str = "utf-8") -> "Tree":
        """Add a text file, given whole or by its lines."""
        content = content if isinstance(content, str) else "\n".join(content) + "\n"
        self.files[path] = content.encode(encoding)
        return self

    def classes(
        self, top: str, names: Iterable[str], each: int = 14, inside: str = "",
        ending: str = ".png", labels: Mapping[str, str] | None = None,
    ) -> "Tree":  # fmt: skip
        """Add a folder a class below `top`."""
        for name in names:
            for _ in range(each):
                path = f"{top}{name}/{inside}{len(self.files)}{ending}"
                self.add(path, (labels or {}).get(name, name))
        return self

    def loose(self, top: str, count: int = 6, ending: str = ".png") -> "Tree":
        """Add pictures without a label."""
        for _ in range(count):
            self.add(f"{top}{len(self.files)}{ending}", None)
        return self

    def write(self, root: Path) -> Path:
        """Write all files below a folder."""
        for path, content in self.files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return root


def labelme(flags: object, image: str, **more: object) -> str:
    """Content of a Labelme annotation."""
    content = {"version": "5.5.0", "flags": flags, "shapes": [], "imagePath": image, **more}
    return json.dumps(content, ensure_ascii=False)


def labelme_set(place: str, annotation: str, image_path: str, each: int = 14) -> Tree:
    """A Labelme set of the classes ok and bad.

    Args:
        place, annotation, image_path: of a picture, with {label} and {number}.
    """
    tree = Tree().text("flags.txt", ["__ignore__", "ok", "bad"])
    for label in ("ok", "bad"):
        for number in range(each):
            names = {"label": label, "number": number, "other": number + each * (label == "bad")}
            tree.add(place.format(**names), label)
            flags = {"ok": label == "ok", "bad": label == "bad"}
            tree.text(annotation.format(**names), labelme(flags, image_path.format(**names)))
    return tree


def listed(names: Iterable[str], line: str, top: str = "images/", each: int = 14) -> tuple:
    """Pictures in one folder, and the lines of a list that names them.

    Args:
        line: with {path}, {name}, {stem}, {index} and {label}.
        top: the folder, or what stands before a picture's number, with {label}.
    """
    tree, lines = Tree(), []
    for index, label in enumerate(names):
        for _ in range(each):
            stem = top.format(label=label) if "{" in top else f"{top}p"
            path = tree.add(f"{stem}{len(tree.files)}.png", label)
            names_of = {"path": path, "name": Path(path).name, "stem": Path(path).stem}
            lines.append(line.format(index=index, other=1 - index, label=label, **names_of))
    return tree, lines
