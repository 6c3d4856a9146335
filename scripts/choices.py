#!/usr/bin/env python
"""Try variations of a recipe through the real pipeline and print a table.

    python scripts/choices.py --recipe mnist \\
        --try "train.epochs=2" --try "model.arguments.stages=[[32], [48, 64], [64, 96]]"

Each --try is one trial; several changes of a trial are separated by ";". A trial that is up to
date is not run again. Only validation digits decide: MNIST's own, redrawn as the training
pictures are, and redrawn in the simulated camera's world. Step 06, which alone reads test
images, is not run. Accuracies are those of the slim ONNX, in float on this PC; results also go
to `choices.json` in the output folder.
"""

import argparse
import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from mnist_rknn import recipe_file
from mnist_rknn.conversion import inference
from mnist_rknn.data import dataset, sources
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import read_json, write_json
from mnist_rknn.pipeline import runner, steps
from mnist_rknn.recipe import Recipe
from mnist_rknn.redraw.config import HARD_CASES, SIMULATED_CAMERA
from mnist_rknn.redraw.picture import try_redraw

COLUMNS = (
    "mnist", "camera", "simulated", *HARD_CASES,
    "parameters", "cycles", "weights_kb", "train_seconds",
)  # fmt: skip
SEED = 2**20  # of the simulated pictures: far from any that a recipe draws with


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="mnist")
    parser.add_argument("--try", dest="trials", action="append", default=[], metavar="CHANGES")
    parser.add_argument(
        "--simulated", type=int, default=2000, help="simulated pictures of each kind"
    )
    parser.add_argument("--output", type=Path, default=steps.OUTPUT / "choices")
    arguments = parser.parse_args()
    rows = {}
    try:
        for trial in ["", *arguments.trials]:
            changes = [change.strip() for change in trial.split(";") if change.strip()]
            rows[trial or "as it is"] = run_trial(arguments, changes)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("| trial | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(_cell(row, column) for column in COLUMNS) + " |")
    write_json(arguments.output / "choices.json", rows)
    return 0


def _cell(row: dict[str, float], column: str) -> str:
    return f"{row[column]:,}" if column in row else ""


def run_trial(arguments: argparse.Namespace, changes: list[str]) -> dict[str, float]:
    """Train, convert and measure one variation."""
    recipe = recipe_file.load(arguments.recipe, changes)
    trial = hashlib.sha256(str(changes).encode()).hexdigest()[:8]
    folder = arguments.output / f"{recipe.name}-{trial}"
    path = str(recipe_file.find(arguments.recipe).resolve())  # a notebook runs in its own folder
    parameters = {"recipe": path, "output": str(folder), "overrides": changes}
    with runner.lock(folder, "scripts/choices.py"):
        for step in steps.select("01-05"):
            runner.run_step(step, recipe, folder, parameters)
    layers = read_json(folder / "layers.json")
    trained = steps.results("02_train", folder)
    return {
        **accuracies(recipe, folder, arguments.simulated),
        "parameters": trained["results"]["parameters"],
        "cycles": layers["cycles"],
        "weights_kb": layers["weights_kb"],
        "train_seconds": trained["seconds"],
    }


def accuracies(recipe: Recipe, folder: Path, simulated: int) -> dict[str, float]:
    """Top-1 in percent on the validation digits, plain and redrawn in both worlds.

    Args:
        simulated: pictures of the simulated camera, and of each of its hard cases.
    """
    validation = dataset.read_split(folder / "dataset", "val")
    images = dataset.read_images(validation.files)
    pictures = {
        name: (images[chosen], validation.classes[chosen])
        for name, kind in (("mnist", "plain"), ("camera", "camera"))
        if (chosen := validation.kinds == kind).any()
    }
    source = sources.load_source(recipe)
    digits = dataset.split(recipe, source)["val"][:simulated]
    for name, world in {"simulated": SIMULATED_CAMERA, **HARD_CASES}.items():
        config = world.changed(image_size=recipe.image.width)
        drawn = [
            try_redraw(
                source.train_images[digit],
                int(source.train_classes[digit]),
                source.train_images,
                SEED,
                number,
                config,
            )
            for number, digit in enumerate(digits)
        ]
        legible = [number for number, picture in enumerate(drawn) if picture is not None]
        images = np.stack([drawn[number] for number in legible])
        pictures[name] = (images, source.train_classes[digits[legible]])
    model = folder / f"{recipe.name}.slim.onnx"
    found = {}
    for name, (images, classes) in pictures.items():
        fed = inference.in_network_order(images, recipe.image)
        answers = inference.run_onnx(model, fed, recipe.image).argmax(axis=1)
        found[name] = round(100 * float((answers == classes).mean()), 2)
    return found


if __name__ == "__main__":
    sys.exit(main())
