#!/usr/bin/env python
"""Measure a finished model on a folder of real pictures with an `index.csv`.

    python scripts/evaluate.py path/to/pictures --recipe mnist

`index.csv` has the columns file,label and, if wanted, group. Whole pictures are squeezed to the
input size, nothing is cropped. Prints a table; details go to output/<recipe>/evaluate/.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn import recipe as recipes
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import relative
from mnist_rknn.pipeline import steps
from mnist_rknn.records import Accuracy


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="folder with index.csv")
    parser.add_argument("--recipe", default="mnist")
    parser.add_argument("--output", help="folder of the run (default: output/<recipe>)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    try:
        recipe = recipes.load(arguments.recipe, arguments.set)
        run = steps.run_folder(recipe, arguments.output)
        from mnist_rknn.verification import evaluation

        results = evaluation.evaluate(recipe, run, arguments.images)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{'group':<16} {'pictures':>8}   {'float ONNX':>26}   {'INT8 simulator':>26}")
    for group in results["slim"]:
        cells = [_share(results[stage][group]) for stage in ("slim", "rknn")]
        print(f"{group:<16} {results['slim'][group].images:>8}   {cells[0]:>26}   {cells[1]:>26}")
    print(f"\nin brackets: 95 % interval; details in {relative(run / 'evaluate')}")
    return 0


def _share(accuracy: Accuracy) -> str:
    low, high = 100 * accuracy.low, 100 * accuracy.high
    return f"{100 * accuracy.top1:6.2f} % [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
