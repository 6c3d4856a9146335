#!/usr/bin/env python
"""Commit the notebooks with what they show, so that they can be read before they are run.

Runs the steps of the default recipe that are not up to date, the extra lessons too, without a
browser, and writes the outputs of the executed copies into notebooks/. The lab's notebooks, which
take long, are among them once they have outputs, or if they are named. --check runs nothing: it
ends with 1 where outputs are missing or older than their code, show an error, a warning or a path
of a machine, or say other figures than the text. --strip takes the outputs away.

\b
python scripts/notebooks.py
python scripts/notebooks.py 00-06
python scripts/notebooks.py --check
"""

import sys

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click

from mnist_rknn import command


@click.command("notebooks", help=__doc__)
@click.argument("steps", default="")
@click.option("--check", is_flag=True, help="Change nothing.")
@click.option("--strip", is_flag=True, help="Take the outputs away.")
@command.answers
def notebooks(steps: str, check: bool, strip: bool):
    from mnist_rknn.pipeline import outputs
    from mnist_rknn.pipeline.steps import STEPS, select
    from mnist_rknn.verification import quotes

    if strip:
        for step in select(steps) if steps else STEPS:
            outputs.strip(outputs.of(step))
        return command.Answer(None)
    wanted = select(steps) if steps else outputs.kept()
    if not check:
        written = list(outputs.make(wanted))
        quotes.refresh(write=True)  # texts say which notebooks have no outputs
        lines = [f"written    {name}" for name in written] or ["nothing is behind"]
        return command.Answer(written, "\n".join(lines))
    return looked_at(wanted)


def looked_at(wanted) -> command.Answer:
    """What is wrong with the outputs; that all are still to be made is no fault."""
    from mnist_rknn.pipeline import outputs
    from mnist_rknn.pipeline.steps import STEPS
    from mnist_rknn.verification import quotes

    lines = [line for step in wanted for line in outputs.problems(step)]
    lines += [line for step in wanted for line in quotes.contradicted(step)]
    lines += [line for step in STEPS for line in quotes.silent(step)]
    if lacking := outputs.missing():
        lines.append(f"no outputs: {', '.join(step.name for step in lacking)}: make notebooks")
    note = [f"no outputs yet: {len(outputs.unmade())} notebooks (make notebooks)"]
    said = lines or note * (len(outputs.unmade()) == len(STEPS))
    return command.Answer(lines, "\n".join(said), ok=not lines)


if __name__ == "__main__":
    sys.exit(command.start(notebooks, name="scripts/notebooks.py"))
