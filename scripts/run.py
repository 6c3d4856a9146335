#!/usr/bin/env python
"""Run the notebooks headless: one step, a range, or all that is not up to date.

python scripts/run.py                          every step of recipe mnist
python scripts/run.py 02 --recipe smoke        one step
python scripts/run.py 03-06 --set rknn.quantized_algorithm=mmse
python scripts/run.py --list                   what is up to date, and why not
"""

import argparse
import contextlib
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import relative
from mnist_rknn.pipeline import steps
from mnist_rknn.recipe import Recipe


def main() -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `run.py --list | head` ends quietly
    arguments = parse()
    try:
        recipe = recipe_file.load(arguments.recipe, arguments.set)
        folder = steps.run_folder(recipe, arguments.output)
        chosen = steps.select(arguments.steps)
        if arguments.list:
            for step in chosen:
                reason = steps.stale_reason(step, recipe, folder)
                print(f"{step.name:<16} {'up to date' if reason is None else 'to run: ' + reason}")
            return 0
        if arguments.refresh:
            for step in chosen:
                steps.refresh(step, recipe, folder)
            return 0
        if arguments.summary:
            from mnist_rknn.verification import manifest

            print(manifest.summary(folder))
            return 0
        from mnist_rknn.pipeline import runner

        parameters = {
            "recipe": arguments.recipe,
            "output": arguments.output,
            "overrides": arguments.set,
        }
        parameters |= extra_parameters(arguments.parameter)
        if recipe_file.find(arguments.recipe).parent != recipe_file.CONFIGS:
            parameters["recipe"] = str(recipe_file.find(arguments.recipe).resolve())
        if arguments.output:
            parameters["output"] = str(folder)
        with runner.lock(folder, f"scripts/run.py {arguments.steps}"):
            for step in chosen:
                try:
                    runner.run_step(step, recipe, folder, parameters, arguments.force)
                except PipelineError:
                    show_report(recipe, folder)  # it says why, beside what there is
                    raise
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run again to go on", file=sys.stderr)
        return 130
    return 0


def show_report(recipe: Recipe, folder: Path) -> None:
    """Write the report of a run that stopped, as far as its results can be read."""
    from mnist_rknn.verification import report

    with contextlib.suppress(PipelineError):
        print(f"report: {relative(report.build(recipe, folder))}")


def extra_parameters(assignments: list[str]) -> dict[str, object]:
    """Values of `--parameter NAME=VALUE`, read as YAML."""
    import yaml

    values = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise PipelineError(f"--parameter {assignment}: write it as NAME=VALUE")
        values[name] = yaml.safe_load(value)
    return values


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "steps", nargs="?", default="all", help='"all", a step ("02"), or a range ("03-06")'
    )
    parser.add_argument(
        "--recipe", default="mnist", help="name in configs/, or path of a YAML file"
    )
    parser.add_argument("--output", help="folder for the results (default: output/<recipe>)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one key of the recipe",
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set another notebook parameter",
    )
    parser.add_argument("--force", action="store_true", help="run steps that are up to date too")
    parser.add_argument("--list", action="store_true", help="show the steps and what is up to date")
    parser.add_argument("--refresh", action="store_true", help="bring .inputs/ up to date for make")
    parser.add_argument(
        "--summary", action="store_true", help="print the results of a finished run"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
