"""A run's data set as it lies on disk: its table of pictures, its labels, its pixels.

`pictures.csv` has a line for each picture, with the columns of `COLUMNS`; every later step reads
it. From it follow the lists of PaddleX's layout for image classification. `drawing` writes all.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

import cv2
import numpy as np

from ..errors import PipelineError
from ..files import relative
from ..recipe import Image

TABLE = "pictures.csv"
AGAIN = "run `mnist-rknn run 01 --force`, which makes the pictures again"
COLUMNS = (
    "file",  # in the data set's folder
    "label",  # name of the class
    "split",
    "kind",  # see `drawing.Picture`
    "origin",  # what it was made from: a picture of the source; nothing for a drawn one
    "digest",  # BLAKE2b of the file, 8 bytes in hex
    "x", "y", "width", "height",  # of the digit in pixels; empty where the picture is the digit
)  # fmt: skip


class Split(NamedTuple):
    """The pictures of one split, in the order of the table."""

    files: list[Path]
    classes: np.ndarray  # int64 [N]
    kinds: np.ndarray  # str [N]
    origins: list[str]
    digests: list[str]

    def take(self, chosen: Sequence[int] | np.ndarray) -> "Split":
        """Those with these indices, in this order."""
        return Split(
            [self.files[i] for i in chosen],
            self.classes[chosen],
            self.kinds[chosen],
            [self.origins[i] for i in chosen],
            [self.digests[i] for i in chosen],
        )


def opened(table: Path, mode: Literal["r", "w"]) -> TextIO:
    """Open a table of pictures."""
    # A file name of the user's may be of no encoding at all.
    return table.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def rows_of(folder: Path) -> Iterator[dict[str, str]]:
    """Lines of a data set's table.

    Raises:
        PipelineError: it is missing, or not one of ours.
    """
    path = folder / TABLE
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is missing: run 01_data first")
    with opened(path, "r") as table:
        lines = csv.reader(table)
        if tuple(next(lines, ())) != COLUMNS:
            raise PipelineError(f"{relative(path)} has other columns: run 01_data again")
        for line in lines:
            if len(line) != len(COLUMNS):
                raise PipelineError(f"{relative(path)} is damaged: run 01_data again")
            yield dict(zip(COLUMNS, line, strict=True))


def read_pictures(folder: Path) -> dict[str, Split]:
    """The pictures of a data set's folder by split, as its table has them.

    Raises:
        PipelineError: there is no table, or it is not one of ours.
    """
    splits: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows_of(folder):
        splits[row["split"]].append(row)
    return {name: _split(folder, rows) for name, rows in splits.items()}


def read_split(folder: Path, name: str) -> Split:
    """The pictures of one split; raises as `read_pictures`, and if there are none."""
    rows = [row for row in rows_of(folder) if row["split"] == name]
    if not rows:
        raise PipelineError(f"{relative(folder / TABLE)} has no split {name}: run 01_data again")
    return _split(folder, rows)


def _split(folder: Path, rows: list[dict[str, str]]) -> Split:
    index = {label: number for number, label in enumerate(read_labels(folder))}
    if unknown := {row["label"] for row in rows} - set(index):
        raise PipelineError(
            f"{relative(folder / TABLE)}: {', '.join(sorted(unknown)[:3])} is no class of "
            "label.txt: run 01_data again"
        )
    return Split(
        [folder / row["file"] for row in rows],
        np.array([index[row["label"]] for row in rows]),
        np.array([row["kind"] for row in rows]),
        [row["origin"] for row in rows],
        [row["digest"] for row in rows],
    )


def read_labels(folder: Path) -> list[str]:
    """Class names by index, from `label.txt`."""
    path = folder / "label.txt"
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is missing: run 01_data first")
    return [line.split(" ", 1)[1] for line in path.read_text(encoding="utf-8").splitlines()]


def read_images(files: Iterable[Path]) -> np.ndarray:
    """uint8 [N, H, W, 3] in RGB order of picture files of one size.

    Raises:
        PipelineError: a file is missing, unreadable or of another size.
    """
    images: list[np.ndarray] = []
    for file in files:
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise PipelineError(f"{relative(file)} is missing or not a picture: {AGAIN}")
        if images and image.shape != images[0].shape:
            raise PipelineError(
                f"{relative(file)} is {image.shape[1]}x{image.shape[0]}, others are "
                f"{images[0].shape[1]}x{images[0].shape[0]}: {AGAIN}"
            )
        images.append(image[:, :, ::-1])
    return np.stack(images)


def write_image(path: Path, image: np.ndarray) -> bytes:
    """Write uint8 [h, w, 3] in RGB order as BMP, and return the file's bytes.

    A picture this small takes a third of a millisecond to pack as PNG and a seventh to unpack,
    every time it is read. BMP takes a fiftieth of that, and twice the space.
    """
    ok, packed = cv2.imencode(".bmp", image[:, :, ::-1])  # OpenCV's own order is BGR
    if not ok:
        raise PipelineError(f"OpenCV could not encode {relative(path)}")
    content = packed.tobytes()
    path.write_bytes(content)
    return content


def require_fitted(images: np.ndarray, image: Image) -> None:
    """Check that pictures, uint8 [N, H, W, 3], are of the size that the network takes.

    Raises:
        PipelineError: they are of another.
    """
    if images.shape[1:] != (image.height, image.width, 3):
        raise PipelineError(
            f"the pictures are {images.shape[1:]}, the network takes "
            f"{(image.height, image.width, 3)}: run 01_data again"
        )
