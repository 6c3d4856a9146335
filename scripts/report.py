#!/usr/bin/env python
"""Put all that was measured about a run on one page, output/<recipe>/report.html.

python scripts/report.py --recipe mnist
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import relative
from mnist_rknn.pipeline import steps


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="mnist")
    parser.add_argument("--output", help="folder of the run (default: output/<recipe>)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    try:
        recipe = recipe_file.load(arguments.recipe, arguments.set)
        from mnist_rknn.verification import report

        path = report.build(recipe, steps.run_folder(recipe, arguments.output))
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"report     {relative(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
