#!/usr/bin/env python
"""Bring the figures and pictures in README, docs and notebooks up to date. For maintainers.

    python scripts/figures.py             figures of finished runs, pictures, texts
    python scripts/figures.py --check     only: do the texts say what docs/figures.json says?

Reads every finished run below output/ into docs/figures.json; entries without a run stay. Draws
the pictures of the docs from the run of recipe mnist, if it is there. Then makes every figure in
the texts anew. `--check` needs no run and writes nothing; it ends with 1 where a text is behind.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mnist_rknn.errors import PipelineError
from mnist_rknn.files import PROJECT, relative
from mnist_rknn.verification import figures, quotes


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--runs", type=Path, default=PROJECT / "output", help="folder of the runs")
    arguments = parser.parse_args()
    try:
        return check() if arguments.check else update(arguments.runs.resolve())
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def check() -> int:
    stale = quotes.refresh(write=False)
    for path in stale:
        print(f"error: {relative(path)} has other figures than docs/figures.json: make figures")
    return 1 if stale else 0


def update(runs: Path) -> int:
    entries, lines = figures.take(runs, figures.read())
    figures.write(entries)
    print(*lines, sep="\n")
    if (runs / "mnist" / "manifest.json").is_file():
        from mnist_rknn.verification import strips  # loads the converter's libraries

        for path in strips.draw(runs / "mnist", PROJECT / "docs"):
            print(f"drawn      {relative(path)}")
    for path in quotes.refresh(write=True):
        print(f"written    {relative(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
