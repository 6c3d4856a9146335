#!/usr/bin/env python
"""Pack what goes onto the module: output/<recipe>/deploy/ and output/<recipe>/deploy.zip.

python scripts/deploy.py --recipe mnist
python scripts/deploy.py --codegen          with Rockchip's own C++ demo
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import relative
from mnist_rknn.pipeline import runner, steps


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="mnist")
    parser.add_argument("--output", help="folder of the run (default: output/<recipe>)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--codegen", action="store_true", help="add the demo of rknn.codegen")
    arguments = parser.parse_args()
    try:
        recipe = recipe_file.load(arguments.recipe, arguments.set)
        folder = steps.run_folder(recipe, arguments.output)
        from mnist_rknn.deployment import deploy

        with runner.lock(folder, "scripts/deploy.py"):
            path = deploy.build(recipe, folder, arguments.codegen)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"bundle     {relative(folder / 'deploy')}/")
    print(f"zip        {relative(path)}, {path.stat().st_size / 1024:,.0f} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
