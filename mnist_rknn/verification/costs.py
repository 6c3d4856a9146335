"""What other networks would cost on this NPU: the compiler's layer tables, and their accuracy."""

from pathlib import Path
from typing import Any

from .. import recipe_file
from ..files import OUTPUT, write_json
from ..pipeline import runner, runs, steps
from . import manifest

# Each is recipe mobilenetv3 with these changes; the default network is in its own run.
REFERENCES = {
    "MobileNetV3-small, 224": [],
    "MobileNetV3-small, 96": ["image.height=96", "image.width=96"],
    "PP-LCNet x0.25, 224": ["model.name=PPLCNet_x0_25"],
}
MEANINGFUL = 1000  # training pictures below which an accuracy says nothing
OPEN = ("verify.min_accuracy=0", "verify.max_drop=1", "verify.min_cosine=-1")


def study(pictures: int, output: Path | None = None) -> list[dict[str, Any]]:
    """Train, convert and measure the reference networks, and print a line for each.

    Args:
        pictures: training pictures of each network; cycles and memory do not depend on them.
        output: folder for the runs and `costs.json`; None is `output/costs`.

    Returns:
        What `costs.json` holds, which the report draws.
    """
    folder = output or OUTPUT / "costs"
    found = []
    for name, changes in REFERENCES.items():
        cost = measure(name, changes, pictures, folder)
        found.append(cost)
        print(
            f"{name:<24} {cost['cycles']:>11,} cycles, {cost['weights_kb']:,.0f} KB weights, "
            f"{cost['internal_kb']:,.0f} KB internal (compiler estimate)"
        )
    write_json(folder / "costs.json", found)
    return found


def measure(name: str, changes: list[str], pictures: int, output: Path) -> dict[str, Any]:
    """Run the steps for one network and read its layer table and accuracy."""
    overrides = [*changes, *OPEN, f"dataset.samples.train={pictures}"]
    if pictures < MEANINGFUL:
        overrides += ["dataset.samples.validation=20", "dataset.samples.test=20"]
        overrides += ["train.epochs=2", "train.batch_size=10", "calibration.images=20"]
    recipe = recipe_file.load("mobilenetv3", overrides)
    folder = output / name.replace(",", "").replace(" ", "-").lower()
    with runner.lock(folder, "mnist-rknn costs"):
        runner.run_steps(
            steps.select("01-06"), recipe, folder, runs.MadeWith("mobilenetv3", overrides)
        )
        measured = manifest.write(recipe, folder)
    return {
        "name": name,
        "cycles": measured.estimate.cycles,
        "weights_kb": measured.estimate.weights_kb,
        "internal_kb": measured.estimate.internal_kb,
        "parameters": measured.training.parameters,
        "accuracy": measured.accuracy["rknn"] if pictures >= MEANINGFUL else None,
        "trained_on": pictures * recipe.train.epochs,
    }
