#!/usr/bin/env python
"""Measure time and memory of every step of a recipe, each in a process of its own.

Prints a table. The folder of the results gets .benchmark behind its name; benchmark.json in it
holds the table too. The machine may be busy: compare figures of one run with each other, not
with those of another day.

\b
python scripts/benchmark.py --recipe smoke --repeat 3
"""

import sys

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click

from mnist_rknn import cli


@click.command("benchmark", help=__doc__)
@cli.of_a_run
@click.option("--repeat", default=1, show_default=True, help="Runs; the median is shown.")
@cli.answers
def benchmark(chosen: cli.Chosen, repeat: int):
    from mnist_rknn.pipeline import benchmark as measured

    folder = chosen.folder.with_name(f"{chosen.folder.name}.benchmark")
    found = measured.run(chosen.name, chosen.overrides, folder, repeat)
    return cli.Answer(found, measured.text(found))


if __name__ == "__main__":
    sys.exit(cli.main(command=benchmark, name="scripts/benchmark.py"))
