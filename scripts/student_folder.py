#!/usr/bin/env python
"""Make a folder for one student, on a machine whose project a class shares.

It gets the notebooks, and a place for the results. With --run, a finished run is linked into it,
so that a student may begin at any notebook; what a step makes anew is the student's own. Said
again, it brings along what is missing and writes nothing over.

\b
python scripts/student_folder.py ~/mnist-rknn --run output/smoke
"""

import sys
from pathlib import Path

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click

from mnist_rknn import command


@click.command("student_folder", help=__doc__)
@click.argument("folder", type=command.PATH)
@click.option("--run", "made", metavar="FOLDER", help="A finished run to start from.")
@click.option("--kernel", metavar="NAME", help="Kernel of the notebooks, if not python3.")
@command.answers
def student_folder(folder: Path, made: str | None, kernel: str | None):
    from mnist_rknn.pipeline import runs
    from mnist_rknn.pipeline import student_folder as own

    new = own.prepare(folder, runs.find_run(made) if made else None, kernel)
    return command.Answer(new, "\n".join(new) or "nothing is missing")


if __name__ == "__main__":
    sys.exit(command.start(student_folder, name="scripts/student_folder.py"))
