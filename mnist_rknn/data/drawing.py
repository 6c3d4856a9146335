"""The pictures of a run: split, drawn or fitted to the network's input, and written.

What is written is the table of `dataset`, and from it PaddleX's lists: `label.txt` with "index
name" a line, and `train.txt`, `val.txt` and so on with "file index" a line.

Validation is split off the data set's training images unless it brings its own. The split "test"
holds its test images: no choice in a run is made on them. A recipe that redraws has two more of
them: "camera", test digits in front of a simulated camera, and "hard", its hard cases.
"""

import csv
import hashlib
import multiprocessing
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from ..errors import PipelineError
from ..files import replacing_folder
from ..machine import cores
from ..recipe import Recipe, Redraw
from ..redraw import ways
from ..redraw.picture import simulate, try_redraw
from ..redraw.plain import jitter, written
from ..redraw.worlds import HARD_CASES, WAYS
from . import checks, sources
from .dataset import COLUMNS, TABLE, opened, rows_of, write_image
from .listing import named
from .pictures import fit
from .sources import Source

SPLITS = ("train", "val", "test")
OF_STROKES = ("drawn", "written", WAYS)  # kinds of pictures that are made from no other picture


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
    lacking = checks.missing(source.listing, counts) if source.listing else []
    if lacking:
        raise PipelineError("; ".join(sources.for_recipe(problem) for problem in lacking))
    if few:
        raise PipelineError(
            f"classes with too few images: {named(few)}; each needs {needed['train']} to train and "
            f"calibrate on (calibration.images / {classes} classes), 1 to validate and 1 to test: "
            "add pictures, or lower calibration.images"
        )


def require_redraw(recipe: Recipe) -> None:
    """Refuse a recipe that leaves the pictures as they are.

    Raises:
        PipelineError: it has no `dataset.redraw`.
    """
    if recipe.dataset.redraw is None:
        raise PipelineError(
            f"recipe {recipe.name} does not redraw (dataset.redraw): choose mnist or smoke"
        )


def require_disjoint(indices: dict[str, np.ndarray]) -> None:
    """Check that no image is both trained on and validated with.

    Args:
        indices: of `split`.

    Raises:
        PipelineError: some are.
    """
    if both := set(indices["train"].tolist()) & set(indices["val"].tolist()):
        raise PipelineError(
            f"{len(both)} images stand in train and in val: the data set's own lists overlap; "
            "mend them and run 01_data again"
        )


class Picture(NamedTuple):
    """A picture to be written: where from, how drawn, and its class."""

    split: str
    kind: str  # plain, jittered, camera, drawn, written, simulated, or one of HARD_CASES
    number: int  # among its kind in the split
    index: int  # of the picture it is made from; for those of strokes, the label again
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
    pictures += walk("train", "written", settings.written, labels, labels)
    pictures += walk("val", "camera", settings.validation, val, train_classes)
    pictures += walk("camera", "simulated", settings.test, test, test_classes)
    for case in HARD_CASES:
        origin = (np.array(ways.LABELS), labels) if case == WAYS else (test, test_classes)
        pictures += walk("hard", case, settings.hard, *origin)
    return pictures


# Added to the recipe's seed, so that pictures of the same number differ from kind to kind.
SEED_OFFSETS = {
    kind: offset
    for offset, kind in enumerate(
        ("jittered", "camera", "drawn", "simulated", *HARD_CASES, "written"), 1
    )
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
        digit = jitter(images[picture.index], picture.label, seed, picture.number, config)
        return fit(digit, height, width)
    if picture.kind == "written":
        digit = written(picture.label, seed, picture.number, settings.config(width))
        return fit(digit, height, width)
    if picture.tested:  # the other world, which no strength in the recipe changes
        digit, label = images[picture.index], picture.label
        return simulate(picture.kind, digit, label, images, seed, picture.number, width)
    digit = None if picture.kind == "drawn" else images[picture.index]
    config = settings.config(width)
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
        with opened(partial / TABLE, "w") as table:
            writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        _write_lists(partial, source.labels)


def _row(picture: Picture, digest: str, source: Source) -> dict[str, str]:
    """Line of the table."""
    origins = source.test_origins if picture.tested else source.train_origins
    return {
        "file": picture.file,
        "label": source.labels[picture.label],
        "split": picture.split,
        "kind": picture.kind,
        "origin": "" if picture.kind in OF_STROKES else origins[picture.index],
        "digest": digest,
    }


def _write_lists(folder: Path, labels: list[str]) -> None:
    """PaddleX's lists of a data set that has its table."""
    names = "".join(f"{index} {name}\n" for index, name in enumerate(labels))
    (folder / "label.txt").write_text(names, encoding="utf-8")
    lines: dict[str, list[str]] = defaultdict(list)
    for row in rows_of(folder):
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
