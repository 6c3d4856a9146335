"""A user's own data set: what it is, what is wrong with it, and a recipe to begin with."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import recipe_file
from ..errors import PipelineError
from ..files import PROJECT, relative, replacing
from ..recipe import FEWEST_CALIBRATION_IMAGES, is_name
from . import layouts, pictures, sources
from .layouts import Listing, named

HELD_OUT = 0.15  # share for validation, and for testing, where the set has none
LARGEST_SIDE = 96  # pixels of the network's input; a 2-core CPU trains larger ones slowly
VIEWS = 300_000  # pictures a 2-core CPU learns from in some minutes, at 16x16 after the stem
STEPS = 600  # batches below which little is learned
BATCHES = ((200, 8, 0.02), (1000, 16, 0.03), (5000, 32, 0.05), (20_000, 64, 0.08))
LARGE_BATCH = (128, 0.12)  # and its learning rate
SHOWN = 30  # classes in the text


class Found(NamedTuple):
    """What `examine` found."""

    kind: str
    path: str  # as the recipe names it
    listing: Listing
    sizes: np.ndarray  # int64 [N, 2], height and width of the pictures that stay
    gray: int  # how many of them are gray
    counts: dict[str, np.ndarray]  # of every class: "train", "val", "test"
    notes: list[str]
    problems: list[str]


def examine(path: str) -> Found:
    """Recognise a data set and look at every picture of it.

    Args:
        path: folder or zip, absolute or from the project's folder.

    Raises:
        PipelineError: nothing there, a zip that is refused, or no known layout.
    """
    kind, place = layouts.locate(sources.open_path(path))
    if kind == "idx":
        listing, images = sources.idx_listing(place, None)
        looks = [pictures.look(image, None) for image in images]
    else:
        listing = layouts.read(kind, place)
        looks = pictures.survey(listing.files)
    examined = sources.examine(listing, looks)
    kept = [looks[index] for index in examined.kept]
    counts = _counts(listing, examined.kept)
    problems = examined.problems
    fewest = _fewest_to_train(len(listing.labels))
    few = [
        f"{label} ({train} of {fewest})"
        for label, train in zip(listing.labels, counts["train"], strict=True)
        if train < fewest
    ]
    if few and not problems:
        needed = math.ceil(fewest / (1 - HELD_OUT) ** 2) + 1
        problems.append(
            f"{len(few):,} classes with too few pictures to train on: {named(few)}; with about "
            f"{needed} pictures a class {fewest} remain for training"
        )
    return Found(
        kind,
        _as_in_recipe(path),
        listing,
        np.array([(seen.height, seen.width) for seen in kept], np.int64).reshape(-1, 2),
        sum(seen.gray for seen in kept),
        counts,
        listing.notes + examined.notes,
        problems,
    )


def _as_in_recipe(path: str) -> str:
    """A path as seen from the project's folder where it lies inside, else absolute."""
    return relative(PROJECT / Path(path).expanduser())


def _fewest_to_train(classes: int) -> int:
    """Training pictures a class that calibration needs: 20 in all, and two of each."""
    return max(2, math.ceil(FEWEST_CALIBRATION_IMAGES / max(1, classes)))


def _counts(listing: Listing, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Pictures of every class in each split, as `sources` and `drawing` will make them."""
    classes, splits = np.array(listing.classes, int)[kept], np.array(listing.splits, str)[kept]
    splits = np.where(splits == "", "train", splits)
    for name in ("test", "val"):
        if not (splits == name).any():
            pool = np.flatnonzero(splits == "train")
            splits[pool[sources.hold_out(classes[pool], HELD_OUT)]] = name
    return {
        name: np.bincount(classes[splits == name], minlength=len(listing.labels))
        for name in ("train", "val", "test")
    }


def text(found: Found) -> str:
    """What was found, for people: a line a fact."""
    labels = found.listing.labels
    total = np.sum(list(found.counts.values()), axis=0)
    lines = [f"found      a {found.kind} set in {found.path}: {len(labels)} classes"]
    width = max((len(label) for label in labels), default=0)
    for index, label in enumerate(labels[:SHOWN]):
        parts = ", ".join(f"{count[index]:,} {name}" for name, count in found.counts.items())
        lines.append(f"           {label:<{width}}  {total[index]:>7,}  ({parts})")
    if len(labels) > SHOWN:
        lines.append(f"           and {len(labels) - SHOWN} classes more")
    if len(found.sizes):
        low, high = found.sizes.min(axis=0), found.sizes.max(axis=0)
        middle = np.median(found.sizes, axis=0)
        lines.append(
            f"pictures   {len(found.sizes):,}, {found.gray:,} of them gray; width {low[1]} to "
            f"{high[1]}, height {low[0]} to {high[0]}, median {middle[1]:.0f}x{middle[0]:.0f}"
        )
    lines += [f"note       {note}" for note in found.notes]
    return "\n".join(lines + [f"problem    {problem}" for problem in found.problems])


def to_json(found: Found) -> dict[str, Any]:
    """The same for programs."""
    counts = {name: count.tolist() for name, count in found.counts.items()}
    return {
        "kind": found.kind,
        "path": found.path,
        "labels": list(found.listing.labels),
        "counts": counts,
        "pictures": len(found.sizes),
        "gray": int(found.gray),
        "notes": found.notes,
        "problems": found.problems,
    }


def new_recipe_file(name: str) -> Path:
    """Path of a recipe that does not exist yet.

    Raises:
        PipelineError: the name cannot be a recipe's, or is one's already.
    """
    path = recipe_file.CONFIGS / f"{name}.yaml"
    if not is_name(name):
        raise PipelineError(f"--into {name!r}: use letters, digits, '_', '-' and '.'")
    if path.exists():
        raise PipelineError(
            f"{relative(path)} is there already: choose another name, or delete it first"
        )
    return path


def write_recipe(found: Found, path: Path) -> None:
    """Write a recipe for a set, in one step and only if it loads.

    Raises:
        PipelineError: the set has problems; they are mended first.
    """
    if found.problems:
        more = f" and {len(found.problems) - 1} more problems" if found.problems[1:] else ""
        raise PipelineError(f"no recipe is written: {found.problems[0]}{more}")
    with replacing(path) as temporary:
        temporary.write_text(_aligned(TEMPLATE.format(**_values(found))), encoding="utf-8")
        recipe_file.load(str(temporary), [f"name={path.stem}"])


def _aligned(text: str) -> str:
    """Comments one under the other, where the values leave room."""
    lines = []
    for line in text.splitlines():
        value, separator, comment = line.partition("  # ")
        lines.append(f"{value:<27} # {comment}" if separator and value.strip() else line)
    return "\n".join(lines) + "\n"


def _values(found: Found) -> dict[str, Any]:
    """What stands in the recipe's blanks."""
    classes = len(found.listing.labels)
    trained, tested = int(found.counts["train"].sum()), int(found.counts["test"].sum())
    height, width = _input_size(found.sizes)
    stem_stride = 2 if max(height, width) <= 32 else 3 if max(height, width) <= 64 else 4
    batch, rate = next(((b, r) for most, b, r in BATCHES if trained < most), LARGE_BATCH)
    batch = min(batch, trained)
    views = VIEWS * 256 * stem_stride**2 / (height * width)
    epochs = max(views / trained, 3)
    epochs = math.ceil(min(epochs, max(STEPS * batch / trained, 12), 100))
    most = classes * int(found.counts["train"].min())
    calibrated = min(most, max(100, 2 * classes), 1000)
    own = set(found.listing.splits)
    return {
        "description": json.dumps(
            f"Pictures of {classes} classes from {Path(found.path).name}.", ensure_ascii=False
        ),
        "kind": found.kind,
        "path": json.dumps(found.path, ensure_ascii=False),
        "labels": "\n  # labels: [...]           # names of its classes, in the order of their "
        "numbers" * (found.kind == "idx"),
        "validation": HELD_OUT,
        "validation_why": "not read: the set has its own" if "val" in own else "share held out",
        "test": HELD_OUT,
        "test_why": "not read: the set has its own" if "test" in own else "share held out first",
        "height": height,
        "width": width,
        "median": "{1:.0f}x{0:.0f}".format(*np.median(found.sizes, axis=0)),
        "stem_stride": stem_stride,
        "epochs": epochs,
        "trained": f"{trained:,}",
        "batch": batch,
        "rate": rate,
        "processes": 1 if trained < 2000 or batch % 2 else 2,
        "calibrated": calibrated,
        "min_accuracy": round((1 + 1 / classes) / 2, 2),
        "max_drop": math.ceil(1000 * max(0.01, 3 / tested)) / 1000,
        "tested": f"{tested:,}",
    }


def _input_size(sizes: np.ndarray) -> tuple[int, int]:
    """Height and width for the network: shape of the median picture, in steps of 16 pixels."""
    median = np.median(sizes, axis=0)
    scale = min(1.0, LARGEST_SIDE / median.max())
    height, width = (max(32, 16 * math.ceil(side * scale / 16 - 0.5)) for side in median)
    return min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)


TEMPLATE = """\
description: {description}
seed: 1

dataset:
  kind: {kind}
  path: {path}{labels}
  validation: {validation}  # {validation_why}
  test: {test}  # {test_why}

image:  # pictures are {median} (median); they are squeezed to this as a whole
  height: {height}
  width: {width}  # a multiple of 16: the NPU reads rows in steps of 16 pixels
  color_order: rgb  # as trained; the module's frames are BGR: the golden pack shows a mix-up
  mean: [127.5, 127.5, 127.5]  # the same for all channels: their order does not matter here
  std: [127.5, 127.5, 127.5]

model:
  name: DigitNet  # a plain convolutional network, not only for digits
  arguments: {{stem: 24, stem_stride: {stem_stride}, stages: [[32], [48, 64], [64, 96]]}}

train:
  epochs: {epochs}  # for {trained} training pictures on a 2-core CPU; more may help
  batch_size: {batch}
  learning_rate: {rate}
  warmup_epochs: 0.5
  weight_decay: 0.0005
  processes: {processes}  # that share a batch; for thousands of pictures
  # transforms: [{{RandFlipImage: {{flip_code: 1}}}}]  # if a mirrored picture is of the same class

export:
  opset: 14

calibration:
  images: {calibrated}  # equally many of each class, from the training pictures

rknn:  # keys as in rknn-toolkit2's config() and build()
  quantized_algorithm: normal
  quantized_method: channel
  optimization_level: 3

verify:  # modest to begin with: raise them to what you need
  min_accuracy: {min_accuracy}  # half-way from guessing to always right
  max_drop: {max_drop}  # three of {tested} test pictures, or a point
  min_cosine: 0.98
"""
