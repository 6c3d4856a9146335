#!/usr/bin/env python
"""Bring the figures and pictures in README, docs and notebooks up to date. For maintainers.

Reads every finished run below output/ into docs/figures.json; entries without a run stay. Draws
the pictures of the docs from the run of recipe mnist, if it is there. Then makes every figure in
the texts anew. --check needs no run and writes nothing; it ends with 1 where a text is behind.

\b
python scripts/figures.py
python scripts/figures.py --check
"""

import sys
from pathlib import Path

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click

from mnist_rknn import command
from mnist_rknn.files import relative


@click.command("figures", help=__doc__)
@click.option("--check", is_flag=True, help="Change nothing.")
@click.option("--runs", type=command.PATH, metavar="FOLDER", help="Folder of the runs.")
@command.answers
def figures(check: bool, runs: Path | None):
    from mnist_rknn.verification import quotes

    if not check:
        return command.Answer(None, "\n".join(quotes.update(runs)))
    stale = [relative(path) for path in quotes.refresh(write=False)]
    lines = [f"{path} has other figures than docs/figures.json: make figures" for path in stale]
    return command.Answer(stale, "\n".join(lines), ok=not stale)


if __name__ == "__main__":
    sys.exit(command.start(figures, name="scripts/figures.py"))
