#!/usr/bin/env python
"""What other networks would cost on this NPU: the compiler's layer tables, and their accuracy.

    python scripts/costs.py                    train, convert and measure the reference networks
    python scripts/costs.py --pictures 60      their cost only, some minutes each

Every network goes through steps 01 to 06 in a folder of its own under output/costs/; what is up
to date is not run again. Cycles and memory are the compiler's estimates and do not depend on the
training. Results go to output/costs/costs.json, which `make report` draws.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import read_json, write_json
from mnist_rknn.pipeline import runner, steps

# Each is recipe mobilenetv3 with these changes; the default network is in its own run.
REFERENCES = {
    "MobileNetV3-small, 224": [],
    "MobileNetV3-small, 96": ["image.height=96", "image.width=96"],
    "PP-LCNet x0.25, 224": ["model.name=PPLCNet_x0_25"],
}
MEANINGFUL = 1000  # training pictures below which an accuracy says nothing
OPEN = ("verify.min_accuracy=0", "verify.max_drop=1", "verify.min_cosine=-1")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=3000, help="training pictures of each")
    parser.add_argument("--output", type=Path, default=steps.OUTPUT / "costs")
    arguments = parser.parse_args()
    found = []
    try:
        for name, changes in REFERENCES.items():
            found.append(measure(name, changes, arguments))
            cost = found[-1]
            print(
                f"{name:<24} {cost['cycles']:>11,} cycles, {cost['weights_kb']:,.0f} KB weights, "
                f"{cost['internal_kb']:,.0f} KB internal (compiler estimate)"
            )
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_json(arguments.output / "costs.json", found)
    return 0


def measure(name: str, changes: list[str], arguments: argparse.Namespace) -> dict:
    """Run the steps for one network and read its layer table and accuracy."""
    pictures = arguments.pictures
    overrides = [*changes, *OPEN, f"dataset.samples.train={pictures}"]
    if pictures < MEANINGFUL:
        overrides += ["dataset.samples.validation=20", "dataset.samples.test=20"]
        overrides += ["train.epochs=2", "train.batch_size=10", "calibration.images=20"]
    recipe = recipe_file.load("mobilenetv3", overrides)
    folder = arguments.output / name.replace(",", "").replace(" ", "-").lower()
    parameters = {"recipe": "mobilenetv3", "output": str(folder), "overrides": overrides}
    with runner.lock(folder, "scripts/costs.py"):
        for step in steps.select("01-06"):
            runner.run_step(step, recipe, folder, parameters)
    manifest = read_json(folder / "manifest.json")
    return {
        "name": name,
        **{key: manifest["estimate"][key] for key in ("cycles", "weights_kb", "internal_kb")},
        "parameters": manifest["training"]["parameters"],
        "accuracy": manifest["accuracy"]["rknn"] if pictures >= MEANINGFUL else None,
        "trained_on": pictures * recipe.train.epochs,
    }


if __name__ == "__main__":
    sys.exit(main())
