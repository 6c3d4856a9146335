"""The recipe that an import writes: its values follow from what was found, and it says how."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..text import is_text, shown
from .importing import HELD_OUT, Found

VIEWS = 300_000  # pictures a 2-core CPU learns from in some minutes, at 16x16 after the stem
STEPS = 600  # batches below which little is learned
BATCHES = ((200, 8, 0.02), (1000, 16, 0.03), (5000, 32, 0.05), (20_000, 64, 0.08))
LARGE_BATCH = (128, 0.12)  # and its learning rate


def text(found: Found) -> str:
    """A recipe for a set without problems."""
    return _aligned(TEMPLATE.format(**_values(found)))


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
    height, width = found.input_size
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
            f"Pictures of {classes} classes from {shown(Path(found.path).name)}.",
            ensure_ascii=False,
        ),
        "kind": found.kind,
        # YAML reads JSON's escapes; a name on disk may be of no encoding.
        "path": json.dumps(found.path, ensure_ascii=not is_text(found.path)),
        "answers": "".join(f"\n  {key}: {value}" for key, value in _answers(found)),
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


def _answers(found: Found) -> Iterator[tuple[str, str]]:
    """What was answered at the import, as keys of the recipe."""
    if found.said.take:
        yield "take", json.dumps(found.said.take, ensure_ascii=False)
    if found.said.split != "own":
        yield "split", found.said.split
    if found.said.turn is not None:
        yield "turn", json.dumps(found.said.turn)


TEMPLATE = """\
description: {description}
seed: 1

dataset:
  kind: {kind}
  path: {path}{answers}{labels}
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
