#!/usr/bin/env python
"""Study the quantization: algorithm, method, number of calibration pictures; 129 builds.

    python scripts/quantstudy.py --recipe mnist
    python scripts/quantstudy.py --sizes 20 100 --seeds 1 2
    python scripts/quantstudy.py --write            put the winner into the recipe

Cells are scored on validation pictures in the RKNN simulator. Finished ones are kept in
output/<recipe>/quantstudy/, so a repeat costs nothing.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import relative
from mnist_rknn.pipeline import runner, steps
from mnist_rknn.verification import quantstudy


def main() -> int:
    arguments = parse()
    try:
        recipe = recipe_file.load(arguments.recipe, arguments.set)
        folder = steps.run_folder(recipe, arguments.output)
        with runner.lock(folder, "scripts/quantstudy.py"):
            cells = quantstudy.grid(arguments.sizes, arguments.seeds)
            rows = quantstudy.run(recipe, folder, cells, arguments.pictures, arguments.workers)
            found = quantstudy.conclude(recipe, folder, rows)
        show(found)
        if arguments.write:
            path = quantstudy.write_winner(arguments.recipe, found["winner"])
            print(f"written  {relative(path)}")
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; finished cells are kept, run again to go on", file=sys.stderr)
        return 130
    return 0


def show(found: dict) -> None:
    print(quantstudy.table(found["settings"][:12]).to_string(index=False))
    print("\nbad on purpose:")
    for row in found["rows"]:
        if row["calibration"] != "balanced":
            print(
                f"  {row['calibration']:<20} top-1 {100 * row['accuracy']:.2f} %, agreement "
                f"{100 * row['agreement']:.2f} %, cosine {row['cosine']:.5f}"
            )
    print()
    for name in ("present", "winner"):
        setting, tested = found[name], found["test"][name]
        print(
            f"{name:<8} {setting['algorithm']}, {setting['method']}, {setting['images']} pictures: "
            f"{100 * tested['accuracy']:.2f} % of {tested['pictures']:,} test images "
            f"(float {100 * tested['float_accuracy']:.2f} %), cosine {tested['cosine']:.5f}, "
            "measured in the RKNN simulator"
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="mnist")
    parser.add_argument("--output", help="folder of the run (default: output/<recipe>)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(quantstudy.SIZES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(quantstudy.SEEDS))
    parser.add_argument(
        "--pictures", type=int, default=quantstudy.PICTURES, help="to score a cell on"
    )
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    parser.add_argument("--write", action="store_true", help="write the winner into the recipe")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
