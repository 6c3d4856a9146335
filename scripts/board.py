#!/usr/bin/env python
"""Copy the bundle of `make deploy` to the module over ssh, run it there and fetch the figures.

    python scripts/board.py 10.1.1.144 --recipe mnist

Keys, agent and known hosts are OpenSSH's own; no password is asked for or taken.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import runner, steps


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("host", help="address of the module, or user@address")
    parser.add_argument("--recipe", default="mnist")
    parser.add_argument("--output", help="folder of the run (default: output/<recipe>)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--ssh-config", type=Path, help="instead of ~/.ssh/config")
    arguments = parser.parse_args()
    try:
        recipe = recipe_file.load(arguments.recipe, arguments.set)
        folder = steps.run_folder(recipe, arguments.output)
        from mnist_rknn.deployment import board
        from mnist_rknn.verification import report

        with runner.lock(folder, "scripts/board.py"):
            content = board.measure(recipe, folder, arguments.host, arguments.ssh_config)
            report.build(recipe, folder)
        print(board.text(content, folder))
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; nothing half-written is left, run again", file=sys.stderr)
        return 130
    return 0 if content["golden"]["match"] else 1


if __name__ == "__main__":
    sys.exit(main())
