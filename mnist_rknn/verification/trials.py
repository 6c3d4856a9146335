"""Variations of a recipe through the real pipeline, compared on validation digits.

Step 06, which alone reads test images, is not run.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import recipe_file
from ..conversion import inference
from ..data import dataset, drawing, sources
from ..files import OUTPUT, write_json
from ..pipeline import runner, runs, steps
from ..recipe import Recipe
from ..records import Compilation
from ..redraw.picture import simulate
from ..redraw.ways import LABELS
from ..redraw.worlds import HARD_CASES, WAYS

COLUMNS = (
    "mnist", "camera", "simulated", *HARD_CASES,
    "parameters", "cycles", "weights_kb", "train_seconds",
)  # fmt: skip
SEED = 2**20  # of the simulated pictures: far from any that a recipe draws with


def run(
    name: str, trials: Sequence[str], simulated: int, output: Path | None = None
) -> dict[str, dict[str, float]]:
    """Train, convert and measure a recipe as it is and with the changes of every trial.

    Args:
        name: of the recipe, or path of its file.
        trials: changes "section.key=value", separated by ";".
        simulated: pictures of the simulated camera, and of each of its hard cases.
        output: folder for the runs and `choices.json`; None is `output/choices`.

    Returns:
        By trial what of `COLUMNS` could be measured, which is also in `choices.json`.
    """
    folder = output or OUTPUT / "choices"
    rows = {}
    for trial in ["", *trials]:
        changes = [change.strip() for change in trial.split(";") if change.strip()]
        rows[trial or "as it is"] = run_trial(name, changes, simulated, folder)
    write_json(folder / "choices.json", rows)
    return rows


def table(rows: dict[str, dict[str, float]]) -> str:
    """The result of `run` in Markdown."""
    lines = ["| trial | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for trial, row in rows.items():
        cells = (f"{row[column]:,}" if column in row else "" for column in COLUMNS)
        lines.append(f"| {trial} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run_trial(name: str, changes: list[str], simulated: int, output: Path) -> dict[str, float]:
    """Train, convert and measure one variation, unless it is up to date."""
    recipe = recipe_file.load(name, changes)
    trial = hashlib.sha256(str(changes).encode()).hexdigest()[:8]
    folder = output / f"{recipe.name}-{trial}"
    with runner.lock(folder, "scripts/choices.py"):
        runner.run_steps(steps.select("01-05"), recipe, folder, runs.MadeWith(name, changes))
    layers = Compilation.read(folder)
    trained = runs.results("02_train", folder)
    return {
        **accuracies(recipe, folder, simulated),
        "parameters": trained["results"]["parameters"],
        "cycles": layers.cycles,
        "weights_kb": layers.weights_kb,
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
    train, classes = source.train_images, source.train_classes
    assert isinstance(train, np.ndarray)  # a recipe that redraws: MNIST, which is in memory
    digits = drawing.split(recipe, source)["val"][:simulated]
    for name in ("simulated", *HARD_CASES):
        drawn = [
            (simulate(name, train[digit], label, train, SEED, number, recipe.image.width), label)
            for number, (digit, label) in enumerate(_asked(name, digits, classes))
        ]
        legible = [(picture, label) for picture, label in drawn if picture is not None]
        images = np.stack([picture for picture, _ in legible])
        pictures[name] = (images, np.array([label for _, label in legible]))
    model = folder / f"{recipe.name}.slim.onnx"
    found = {}
    for name, (images, classes) in pictures.items():
        fed = inference.in_network_order(images, recipe.image)
        answers = inference.run_onnx(model, fed, recipe.image).argmax(axis=1)
        found[name] = round(100 * float((answers == classes).mean()), 2)
    return found


def _asked(case: str, digits: np.ndarray, classes: np.ndarray) -> list[tuple[int, int]]:
    """Index and label of what is drawn for a case; the labels of the ways take turns."""
    if case == WAYS:
        return [(int(d), LABELS[i % len(LABELS)]) for i, d in enumerate(digits)]
    return [(int(digit), int(classes[digit])) for digit in digits]
