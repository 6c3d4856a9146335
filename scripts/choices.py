#!/usr/bin/env python
"""Try variations of a recipe through the real pipeline and print a table.

    python scripts/choices.py --recipe mnist \\
        --try "train.epochs=2" --try "model.arguments.stages=[[32], [48, 64], [64, 96]]"

Each --try is one trial; several changes of a trial are separated by ";". A trial that is up to
date is not run again. Only validation and simulated camera decide: the table leaves the test
images out. Results also go to output/choices/choices.json.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn import recipe as recipes
from mnist_rknn import runner, steps
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import read_json, write_json

COLUMNS = ("validation", "simulated", "parameters", "cycles", "weights_kb", "train_seconds")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="mnist")
    parser.add_argument("--try", dest="trials", action="append", default=[], metavar="CHANGES")
    arguments = parser.parse_args()
    rows = {}
    try:
        for number, trial in enumerate(["", *arguments.trials]):
            changes = [change.strip() for change in trial.split(";") if change.strip()]
            folder = steps.OUTPUT / "choices" / f"{arguments.recipe}-{number}"
            rows[trial or "as it is"] = run_trial(arguments.recipe, changes, folder)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("| trial | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[column]:,}" for column in COLUMNS) + " |")
    write_json(steps.OUTPUT / "choices" / "choices.json", rows)
    return 0


def run_trial(name: str, changes: list[str], folder: Path) -> dict[str, float]:
    """Train, convert and measure one variation; thresholds are left out of it."""
    open_thresholds = ("min_accuracy=0", "max_drop=1", "min_cosine=-1", "min_camera_accuracy=0")
    overrides = [*changes, *(f"verify.{threshold}" for threshold in open_thresholds)]
    recipe = recipes.load(name, overrides)
    parameters = {"recipe": name, "output": str(folder), "overrides": overrides}
    with runner.lock(folder, "scripts/choices.py"):
        for step in steps.select("01-06"):
            runner.run_step(step, recipe, folder, parameters)
    manifest = read_json(folder / "manifest.json")
    return {
        "validation": round(100 * manifest["training"]["val_top1"], 2),
        "simulated": round(100 * manifest["camera_accuracy"].get("rknn", float("nan")), 2),
        "parameters": manifest["training"]["parameters"],
        "cycles": manifest["estimate"]["cycles"],
        "weights_kb": manifest["estimate"]["weights_kb"],
        "train_seconds": manifest["durations"]["02_train"],
    }


if __name__ == "__main__":
    sys.exit(main())
