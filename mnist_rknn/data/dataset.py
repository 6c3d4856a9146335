"""The pictures of a run: split, fitted to the network's input, written with a table of them.

`pictures.csv` has a line for each, with the columns of `COLUMNS`; every later step reads it. From
it follow the lists of PaddleX's layout for image classification: `label.txt` with "index name" a
line, and `train.txt`, `val.txt` and so on with "file index" a line.

Validation is split off the data set's training images unless it brings its own. The split "test"
holds its test images, which only `06_verify` reads. A recipe that redraws has two more for it:
"camera", test digits in front of a simulated camera, and "hard", its hard cases.
"""

import csv
import hashlib
import multiprocessing
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

import cv2
import numpy as np
from tqdm import tqdm

from ..errors import PipelineError
from ..files import relative, replacing_folder
from ..machine import cores
from ..recipe import Recipe, Redraw
from ..redraw.config import HARD_CASES, SIMULATED_CAMERA
from ..redraw.picture import jitter, try_redraw
from . import sources
from .layouts import named
from .pictures import fit
from .sources import Source

SPLITS = ("train", "val", "test")
TABLE = "pictures.csv"
COLUMNS = (
    "file",  # in the data set's folder
    "label",  # name of the class
    "split",
    "kind",  # see `Picture`
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


def split(recipe: Recipe, source: Source) -> dict[str, np.ndarray]:
    """Indices of the images of each split.

    `train` and `val` index the source's training images and share none; `test` indexes the test
    images. MNIST's validation is the head of one permutation drawn with the recipe's seed,
    training follows behind it. Any other set brings its own validation images, or the recipe's
    part is held out of every class. A limit in `dataset.samples` takes the first so many of each.

    Returns:
        "train", "val" and "test", each an int64 [N].

    Raises:
        PipelineError: nothing would be left to train on, or a class has too few images.
    """
    wanted, limits = recipe.dataset.validation, recipe.dataset.samples
    generator = np.random.default_rng(recipe.seed)
    order = generator.permutation(len(source.train_classes))
    if source.validation is not None:
        held = np.isin(order, source.validation)
    elif recipe.dataset.kind == "mnist":
        count = wanted if isinstance(wanted, int) else round(wanted * len(order))
        held = np.arange(len(order)) < count
    else:
        held = sources.hold_out(source.train_classes[order], wanted)
    if held.all():
        raise PipelineError(
            f"dataset.validation: {wanted} leaves no image to train on; there are {len(order)}"
        )
    splits = {
        "train": order[~held],
        "val": order[held],
        "test": np.arange(len(source.test_classes)),
    }
    if recipe.dataset.kind != "mnist":
        _require_enough(recipe, source, splits)
    return {
        "train": splits["train"][: limits.train],
        "val": splits["val"][: limits.validation],
        "test": splits["test"][: limits.test],
    }


def _require_enough(recipe: Recipe, source: Source, splits: dict[str, np.ndarray]) -> None:
    """Refuse classes with too few images to train and calibrate on, to validate and to test."""
    classes = len(source.labels)
    needed = {"train": -(-recipe.calibration.images // classes), "val": 1, "test": 1}
    drawn_from = {"train": source.train_classes, "val": source.train_classes,
                  "test": source.test_classes}  # fmt: skip
    counts = {
        name: np.bincount(drawn_from[name][splits[name]], minlength=classes) for name in needed
    }
    few = [
        f"{label} ({', '.join(f'{counts[name][index]} {name}' for name in needed)})"
        for index, label in enumerate(source.labels)
        if any(counts[name][index] < needed[name] for name in needed)
    ]
    if few:
        raise PipelineError(
            f"classes with too few images: {named(few)}; each needs {needed['train']} to train and "
            f"calibrate on (calibration.images / {classes} classes), 1 to validate and 1 to test: "
            "add pictures, or lower calibration.images"
        )


class Picture(NamedTuple):
    """A picture to be written: where from, how drawn, and its class."""

    split: str
    kind: str  # plain, jittered, camera, drawn, simulated, or one of HARD_CASES
    number: int  # among its kind in the split
    index: int  # of the picture it is made from; for drawn ones, the label again
    label: int

    @property
    def tested(self) -> bool:
        """Whether it is made from a test image."""
        return self.split in ("test", "camera", "hard")

    @property
    def file(self) -> str:
        """Path in the data set's folder."""
        kind = "plain" if self.kind == "jittered" else self.kind
        return f"images/{self.split}/{kind}_{self.number:06d}.bmp"


def plan(recipe: Recipe, source: Source, indices: dict[str, np.ndarray]) -> list[Picture]:
    """Every picture of a run's data set, in the order of its lists.

    Without `dataset.redraw` these are the source's pictures. With it, training gets plain,
    redrawn and stroke-drawn ones, validation gets redrawn ones beside the plain, and the
    simulated camera (split "camera") and its hard cases (split "hard") are drawn from test
    digits in another world.
    """
    settings = recipe.dataset.redraw
    train, val, test = (indices[name] for name in SPLITS)
    train_classes, test_classes = source.train_classes, source.test_classes

    def walk(split: str, kind: str, count: int, origin: np.ndarray, classes: np.ndarray) -> list:
        # Evenly from all of them: the first half of MNIST's test digits is harder than the second.
        numbers = np.arange(count)
        total = len(origin)
        chosen = origin[numbers * total // count if count < total else numbers % total]
        return [
            Picture(split, kind, number, int(index), int(classes[index]))
            for number, index in enumerate(chosen)
        ]

    pictures = walk("val", "plain", len(val), val, train_classes)
    pictures += walk("test", "plain", len(test), test, test_classes)
    if settings is None:
        return pictures + walk("train", "plain", len(train), train, train_classes)
    for picture in walk("train", "jittered", settings.plain, train, train_classes):
        kind = "plain" if picture.number < settings.untouched else "jittered"
        pictures.append(picture._replace(kind=kind))
    pictures += walk("train", "camera", settings.camera, train, train_classes)
    labels = np.arange(len(source.labels))
    pictures += walk("train", "drawn", settings.drawn, labels, labels)
    pictures += walk("val", "camera", settings.validation, val, train_classes)
    pictures += walk("camera", "simulated", settings.test, test, test_classes)
    for case in HARD_CASES:
        pictures += walk("hard", case, settings.hard, test, test_classes)
    return pictures


# Added to the recipe's seed, so that pictures of the same number differ from kind to kind.
SEED_OFFSETS = {
    kind: offset
    for offset, kind in enumerate(("jittered", "camera", "drawn", "simulated", *HARD_CASES), 1)
}


def draw(picture: Picture, recipe: Recipe, source: Source) -> np.ndarray | None:
    """The picture, uint8 [H, W, 3] in RGB order; None if no legible one came out."""
    height, width = recipe.image.height, recipe.image.width
    images = source.test_images if picture.tested else source.train_images
    if picture.kind == "plain":
        return fit(images[picture.index], height, width)
    assert isinstance(images, np.ndarray)  # redrawn: MNIST, which is in memory
    settings = recipe.dataset.redraw or Redraw()
    seed = 1000 * recipe.seed + SEED_OFFSETS[picture.kind] + 100 * (picture.split == "val")
    if picture.kind == "jittered":
        config = settings.config(width)
        digit = jitter(images[picture.index], seed, picture.number, config)
        return fit(digit, height, width)
    if picture.tested:  # the other world, which no strength in the recipe changes
        world = HARD_CASES.get(picture.kind, SIMULATED_CAMERA)
        config = world.changed(image_size=width)
    else:
        config = settings.config(width)
    digit = None if picture.kind == "drawn" else images[picture.index]
    return try_redraw(digit, picture.label, images, seed, picture.number, config)


def write(folder: Path, recipe: Recipe, source: Source, indices: dict[str, np.ndarray]) -> None:
    """Write the data set of a run; the folder is swapped in when it is complete.

    Redrawn pictures are made in parallel processes; their bytes do not depend on how many.
    """
    pictures = plan(recipe, source, indices)
    with replacing_folder(folder) as partial:
        for split_name in {picture.split for picture in pictures}:
            (partial / "images" / split_name).mkdir(parents=True)
        chunks = [pictures[start : start + 500] for start in range(0, len(pictures), 500)]
        rows: list[dict[str, str]] = []
        with (
            ProcessPoolExecutor(
                cores(),
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_drawing,
                initargs=(recipe, source, partial),
            ) as pool,
            # Every 3 seconds, as papermill keeps each state of the bar as a line.
            tqdm(total=len(pictures), unit="picture", mininterval=3, file=sys.stdout) as bar,
        ):
            for chunk, made in zip(chunks, pool.map(_write_pictures, chunks), strict=True):
                bar.update(len(chunk))
                rows += [_row(picture, digest, source) for picture, digest in made]
        with _opened(partial / TABLE, "w") as table:
            writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        _write_lists(partial, source.labels)


def _opened(table: Path, mode: Literal["r", "w"]) -> TextIO:
    # A file name of the user's may be of no encoding at all.
    return table.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def _row(picture: Picture, digest: str, source: Source) -> dict[str, str]:
    """Line of the table."""
    origins = source.test_origins if picture.tested else source.train_origins
    return {
        "file": picture.file,
        "label": source.labels[picture.label],
        "split": picture.split,
        "kind": picture.kind,
        "origin": "" if picture.kind == "drawn" else origins[picture.index],
        "digest": digest,
    }


def _write_lists(folder: Path, labels: list[str]) -> None:
    """PaddleX's lists of a data set that has its table."""
    names = "".join(f"{index} {name}\n" for index, name in enumerate(labels))
    (folder / "label.txt").write_text(names, encoding="utf-8")
    lines: dict[str, list[str]] = defaultdict(list)
    for row in _rows(folder):
        lines[row["split"]].append(f"{row['file']} {labels.index(row['label'])}\n")
    for split_name, listed in lines.items():
        (folder / f"{split_name}.txt").write_text("".join(listed), encoding="utf-8")


_drawing: tuple[Recipe, Source, Path]


def _start_drawing(recipe: Recipe, source: Source, folder: Path) -> None:
    global _drawing
    cv2.setNumThreads(1)  # there is a process for every core
    _drawing = recipe, source, folder


def _write_pictures(pictures: list[Picture]) -> list[tuple[Picture, str]]:
    """Draw and write pictures in a worker; those that came out, and their files' digests."""
    recipe, source, folder = _drawing
    made = []
    for picture in pictures:
        image = draw(picture, recipe, source)
        if image is not None:
            content = write_image(folder / picture.file, image)
            made.append((picture, hashlib.blake2b(content, digest_size=8).hexdigest()))
    return made


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


def read_images(files: Iterable[Path]) -> np.ndarray:
    """uint8 [N, H, W, 3] in RGB order of picture files of one size.

    Raises:
        PipelineError: a file is missing, unreadable or of another size.
    """
    images: list[np.ndarray] = []
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


def _rows(folder: Path) -> Iterator[dict[str, str]]:
    """Lines of a data set's table.

    Raises:
        PipelineError: it is missing, or not one of ours.
    """
    path = folder / TABLE
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is missing: run 01_data first")
    with _opened(path, "r") as table:
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
    for row in _rows(folder):
        splits[row["split"]].append(row)
    return {name: _split(folder, rows) for name, rows in splits.items()}


def read_split(folder: Path, name: str) -> Split:
    """The pictures of one split; raises as `read_pictures`, and if there are none."""
    rows = [row for row in _rows(folder) if row["split"] == name]
    if not rows:
        raise PipelineError(f"{relative(folder / TABLE)} has no split {name}: run 01_data again")
    return _split(folder, rows)


def _split(folder: Path, rows: list[dict[str, str]]) -> Split:
    index = {label: number for number, label in enumerate(read_labels(folder))}
    if unknown := {row["label"] for row in rows} - set(index):
        raise PipelineError(
            f"{relative(folder / TABLE)}: {named(unknown)} is no class of label.txt: run 01_data"
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
