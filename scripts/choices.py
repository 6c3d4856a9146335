#!/usr/bin/env python
"""Try variations of a recipe through the real pipeline and print a table.

Each --try is one trial; several changes of a trial are separated by ";". A trial that is up to
date is not run again. Only validation digits decide: MNIST's own, redrawn as the training
pictures are, and redrawn in the simulated camera's world. Step 06, which alone reads test
images, is not run. Accuracies are those of the slim ONNX, in float on this PC.

\b
python scripts/choices.py --try "train.epochs=2" --try "train.batch_size=64; train.epochs=3"
"""

import sys
from pathlib import Path

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click

from mnist_rknn import cli


@click.command("choices", help=__doc__)
@cli.recipe_option
@cli.output_option("Folder of the runs and choices.json.", "output/choices")
@click.option("--try", "trials", multiple=True, metavar="CHANGES", help="One trial.")
@click.option("--simulated", default=2000, show_default=True, help="Pictures of each kind.")
@cli.answers
def choices(recipe: str, output: Path | None, trials: tuple[str, ...], simulated: int):
    from mnist_rknn.verification import trials as tried

    rows = tried.run(recipe, trials, simulated, output)
    return cli.Answer(rows, tried.table(rows))


if __name__ == "__main__":
    sys.exit(cli.main(command=choices, name="scripts/choices.py"))
