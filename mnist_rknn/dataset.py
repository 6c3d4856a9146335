"""The pictures of a run: split, fitted to the network's input, written in PaddleX layout.

The layout is PaddleX's for image classification: `label.txt` with "index name" a line,
`train.txt`, `val.txt` and `test.txt` with "file label" a line, and the pictures. Training
and validation are split off the data set's training images; `test.txt` holds its test
images, which only `06_verify` reads.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from . import mnist
from .errors import PipelineError
from .files import PROJECT, relative, replacing_folder
from .recipe import Recipe

SPLITS = ("train", "val", "test")


class Source(NamedTuple):
    """A data set in memory, before it is split and fitted."""

    labels: list[str]  # names of the classes, by index
    train_images: np.ndarray  # uint8 [N, h, w], or [N, h, w, 3] in RGB order
    train_classes: np.ndarray  # integer [N]
    test_images: np.ndarray
    test_classes: np.ndarray


class Split(NamedTuple):
    """One written split: its files and their classes, in the order of its list."""

    files: list[Path]
    classes: np.ndarray  # int64 [N]


def source_folder(recipe: Recipe) -> Path:
    """Folder of the project where the data set of a recipe is kept."""
    return PROJECT / "data" / recipe.dataset.kind


def load_source(recipe: Recipe) -> Source:
    """The recipe's data set, read from `source_folder` and verified."""
    data = mnist.load(source_folder(recipe))
    return Source(mnist.LABELS, *data)


def split(recipe: Recipe, source: Source) -> dict[str, np.ndarray]:
    """Indices of the images of each split.

    `train` and `val` index the source's training images and share none: validation is the
    head of one permutation drawn with the recipe's seed, training follows behind it. `test`
    indexes the test images. A limit in `dataset.samples` takes the first so many of each.

    Returns:
        "train", "val" and "test", each an int64 [N].
    """
    order = np.random.default_rng(recipe.seed).permutation(len(source.train_classes))
    if recipe.dataset.validation >= len(order):
        raise PipelineError(
            f"dataset.validation: {recipe.dataset.validation} leaves no image to train on; "
            f"there are {len(order)}"
        )
    limits = recipe.dataset.samples
    return {
        "train": order[recipe.dataset.validation :][: limits.train],
        "val": order[: recipe.dataset.validation][: limits.validation],
        "test": np.arange(len(source.test_classes))[: limits.test],
    }


def fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The whole picture, squeezed to the network's input size, with three channels.

    Args:
        image: uint8 [h, w] gray, or [h, w, 3].
        height, width: in pixels.

    Returns:
        uint8 [height, width, 3]; a gray picture has three equal channels, a colour picture
        keeps its channel order.
    """
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] > height or image.shape[1] > width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)


def write(folder: Path, recipe: Recipe, source: Source, indices: dict[str, np.ndarray]) -> None:
    """Write the data set of a run; the folder is swapped in when it is complete."""
    with replacing_folder(folder) as partial:
        lines = [f"{index} {name}" for index, name in enumerate(source.labels)]
        (partial / "label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for name in SPLITS:
            images, classes = _origin(source, name)
            (partial / "images" / name).mkdir(parents=True)
            rows = []
            for index in indices[name]:
                file = f"images/{name}/{index:05d}.png"
                write_image(
                    partial / file, fit(images[index], recipe.image.height, recipe.image.width)
                )
                rows.append(f"{file} {classes[index]}\n")
            (partial / f"{name}.txt").write_text("".join(rows), encoding="utf-8")


def _origin(source: Source, split_name: str) -> tuple[np.ndarray, np.ndarray]:
    if split_name == "test":
        return source.test_images, source.test_classes
    return source.train_images, source.train_classes


def write_image(path: Path, image: np.ndarray) -> None:
    """Write uint8 [h, w, 3] in RGB order as PNG; OpenCV's own order is BGR."""
    ok, content = cv2.imencode(".png", image[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not ok:
        raise PipelineError(f"OpenCV could not encode {relative(path)}")
    path.write_bytes(content.tobytes())


def read_images(files: Iterable[Path]) -> np.ndarray:
    """uint8 [N, H, W, 3] in RGB order of picture files of one size.

    Raises:
        PipelineError: a file is missing, unreadable or of another size.
    """
    images = []
    for file in files:
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if image is None:
            raise PipelineError(f"{relative(file)} is missing or not a picture: run 01_data again")
        if images and image.shape != images[0].shape:
            raise PipelineError(
                f"{relative(file)} is {image.shape[1]}x{image.shape[0]}, others are "
                f"{images[0].shape[1]}x{images[0].shape[0]}: run 01_data again"
            )
        images.append(image[:, :, ::-1])
    return np.stack(images)


def read_split(folder: Path, name: str) -> Split:
    """Files and classes of the list `<name>.txt` in a data set folder."""
    path = folder / f"{name}.txt"
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is missing: run 01_data first")
    rows = [line.rsplit(" ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    return Split([folder / file for file, _ in rows], np.array([int(c) for _, c in rows]))


def read_labels(folder: Path) -> list[str]:
    """Class names by index, from `label.txt`."""
    path = folder / "label.txt"
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is missing: run 01_data first")
    return [line.split(" ", 1)[1] for line in path.read_text(encoding="utf-8").splitlines()]
