"""The smallest networks that read so many percent of MNIST: trained, packed and measured.

A design is chosen on validation pictures. What a seed gives is not: the last weights count. The
test images are read once, by the network that comes out of the file.
"""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd

from ..conversion import calibration
from ..data import drawing
from ..data.sources import Source
from ..errors import PipelineError
from ..files import relative, replacing, sha256, write_json
from ..pipeline import cells
from ..pipeline.environment import installed_version
from ..pipeline.graph import code_of
from ..pipeline.steps import PACKAGE
from ..recipe import Recipe
from ..records import Accuracy
from ..verification import metrics, tradeoffs
from . import finetune, measuring, onnx_weights, packed_file, small_networks, yardsticks
from .small_networks import DESIGNS, Design

SEEDS = (1, 2, 3)
CALIBRATION = 100  # training pictures, for the compiler
MEASURED = "decoded from the packed file, float in onnxruntime on this PC"
PUBLIC = (
    ("697 parameters", 99.0, None),
    ("BitNetMCU", 99.53, 11_000),
    ("BitNetMCU, larger", 99.58, 13_040),
)
"""What others say of theirs: top-1 in percent, bytes. Most chose the best epoch on the test set."""


class Row(NamedTuple):
    """A design, measured on its files."""

    target: str  # percent of the test images
    design: Design
    seeds: list[int]
    validation: list[float]  # top-1 of each seed, from 0 to 1
    test: list[Accuracy]
    files: list[Path]
    weights: int  # that are not zero, of the first seed
    cycles: int  # on the NPU, as INT8, of the first seed: estimated by the compiler
    seconds: float  # of all trainings


def study(
    recipe: Recipe,
    source: Source,
    folder: Path,
    targets: Iterable[str],
    seeds: Sequence[int],
    pool: cells.Pool | None = None,
    twice: int = 0,
) -> list[Row]:
    """Train, pack and measure; what is finished is not repeated.

    Args:
        recipe: its seed and its number of validation pictures split the training images.
        source: MNIST, or a set of the same form.
        folder: of the results: the packed files, and cells in `cells/`.
        targets: of `DESIGNS`.

    Raises:
        PipelineError: there is no such target, or no seed; a training fails.
    """
    targets, seeds = list(targets), list(seeds)
    for target in targets:
        if target not in DESIGNS:
            raise PipelineError(f"{target} has no design: choose of {', '.join(DESIGNS)}")
    yardsticks.require_own_pictures(source, recipe)
    split = drawing.split(recipe, source)
    pictures = {}
    for part, images, classes in (
        ("train", source.train_images, source.train_classes),
        ("val", source.train_images, source.train_classes),
        ("test", source.test_images, source.test_classes),
    ):
        pictures[part] = np.asarray(images)[split[part]]
        pictures[f"{part}_classes"] = classes[split[part]].astype(np.int64)
    arrays = {name: array for name, array in pictures.items() if not name.startswith("test")}
    digest = hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest()
    wanted = [(target, seed) for target in targets for seed in seeds]
    with tempfile.TemporaryDirectory() as scratch:
        inputs = Path(scratch)
        np.savez_compressed(inputs / "pictures.npz", **arrays)

        def run(compute: cells.Compute, stage: str, abouts: list[tuple]) -> list[dict[str, Any]]:
            tasks = [
                cells.Task(
                    f"{target} %, seed {seed}, {stage}", about,
                    folder / "cells" / f"{_key(digest, stage, about)}.json",
                )
                for (target, seed), about in zip(wanted, abouts, strict=True)
            ]  # fmt: skip
            return cells.run(compute, tasks, inputs, pool, twice)

        begun = [(DESIGNS[target]._asdict(), seed) for target, seed in wanted]
        trained = run(small_networks.train, "trained", begun)
        going = [(*about, found["state"]) for about, found in zip(begun, trained, strict=True)]
        shared = run(small_networks.share, "shared", going)
    made = dict(zip(wanted, zip(trained, shared, strict=True), strict=True))
    found = [_row(recipe, folder, target, seeds, made, pictures) for target in targets]
    write_json(folder / "smallest.json", [to_json(row) for row in found])
    return found


def _key(digest: str, stage: str, about: tuple) -> str:
    packages = {name: installed_version(name) for name in small_networks.PACKAGES}
    code = [code_of(PACKAGE / module).code for module in small_networks.MODULES]
    content = [digest, stage, about, packages, code]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def _row(
    recipe: Recipe,
    folder: Path,
    target: str,
    seeds: list[int],
    made: dict[tuple[str, int], tuple[dict[str, Any], dict[str, Any]]],
    pictures: dict[str, np.ndarray],
) -> Row:
    results, files, shares = [made[target, seed] for seed in seeds], [], []
    for seed, (_, shared) in zip(seeds, results, strict=True):
        files.append(folder / f"{target}.{seed}.packed")
        with replacing(files[-1]) as temporary:
            temporary.write_bytes(base64.b64decode(shared["packed"]))
        answers = decoded_answers(files[-1], pictures["test"])
        shares.append(metrics.accuracy(answers, pictures["test_classes"]))
    return Row(
        target=target,
        design=DESIGNS[target],
        seeds=seeds,
        validation=[shared["validation"] for _, shared in results],
        test=shares,
        files=files,
        weights=results[0][1]["weights"],
        cycles=cycles(recipe, files[0], pictures["train"][:CALIBRATION], folder),
        seconds=sum(cell[cells.SECONDS] for both in results for cell in both),
    )


def to_json(row: Row) -> dict[str, Any]:
    """A row for programs."""
    return {
        "at_least": float(row.target),
        "reached": reached(row),
        "design": row.design._asdict(),
        "seeds": row.seeds,
        "validation_top1": row.validation,
        "test": [share.model_dump() for share in row.test],
        "measured": MEASURED,
        "files": [
            {"path": relative(file), "bytes": file.stat().st_size, "sha256": sha256(file)}
            for file in row.files
        ],
        "weights": row.weights,
        "cycles": row.cycles,
        "seconds": round(row.seconds, 1),
        "versions": cells.versions(small_networks.PACKAGES),
    }


def table(rows: list[Row]) -> pd.DataFrame:
    """The rows for people, and what others say of theirs."""
    found = [
        {
            "at least %": row.target,
            "network": "x".join(map(str, row.design.widths)),
            "test %": tradeoffs.share_text(row.test),
            "validation %": f"{100 * np.mean(row.validation):.2f}",
            "seeds": len(row.seeds),
            "weights": f"{row.weights:,}",
            "bytes of the file": f"{np.mean([file.stat().st_size for file in row.files]):,.0f}",
            "NPU cycles": f"{row.cycles:,}",
            "reached": "yes" if reached(row) else "no",
        }
        for row in rows
    ]
    others = [
        {
            "network": name,
            "test %": f"{top1:.2f}",
            "bytes of the file": f"{size:,}" if size else "-",
        }
        for name, top1, size in PUBLIC
    ]
    return pd.DataFrame([*found, *others]).fillna("-")


def reached(row: Row) -> bool:
    """Whether the mean over the seeds is what the row is named by."""
    return bool(np.mean([share.top1 for share in row.test]) >= float(row.target) / 100 - 1e-9)


def cycles(recipe: Recipe, packed: Path, pictures: np.ndarray, folder: Path) -> int:
    """NPU cycles of the network in a packed file, estimated by the compiler, as INT8.

    Args:
        pictures: uint8 [N, 28, 28] to calibrate with.
        folder: where the log stays if it fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        model, files = Path(scratch) / "network.onnx", []
        onnx_weights.write_whole(packed_file.read(packed), model)
        for number, picture in enumerate(pictures):
            files.append(Path(scratch) / f"{number}.bmp")
            cv2.imwrite(str(files[-1]), picture)
        listed = Path(scratch) / "calibration.txt"
        calibration.write_list(listed, files)
        one_channel = {"mean_values": [[127.5]], "std_values": [[127.5]]}
        return measuring.compile_only(
            recipe, model, listed, folder / "cycles.log", one_channel
        ).cycles


def decoded_answers(path: Path, images: np.ndarray) -> np.ndarray:
    """Logits float32 [N, classes] of the network in a packed file, in onnxruntime.

    Args:
        images: uint8 [N, 28, 28].
    """
    import onnxruntime

    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "network.onnx"
        onnx_weights.write_whole(packed_file.read(path), whole)
        session = onnxruntime.InferenceSession(str(whole), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    answers = [session.run(None, {name: picture[None]})[0] for picture in finetune.gray(images)]
    return np.concatenate(answers)
