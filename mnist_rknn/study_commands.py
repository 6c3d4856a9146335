"""The commands of `mnist-rknn` that study many builds or networks.

As in `cli`, what a command does is imported when it is asked for.
"""

from collections.abc import Sequence
from pathlib import Path

import click

from .command import (
    Answer,
    Chosen,
    Headings,
    PoolOptions,
    answers,
    locked,
    numbers_option,
    of_a_run,
    output_option,
    pool_options,
)
from .files import relative
from .language import _


@of_a_run
@numbers_option("--sizes", "Numbers of calibration pictures.  [default: from 1 to 500]")
@numbers_option("--seeds", "Seeds for choosing these.  [default: three of them]")
@click.option("--pictures", type=int, help="Validation pictures to score each build on.")
@pool_options
@click.option("--write", is_flag=True, help="Write the winner into the recipe.")
@answers
def quantstudy(
    chosen: Chosen,
    sizes: list[int],
    seeds: list[int],
    pictures: int | None,
    pool: PoolOptions,
    write: bool,
) -> Answer:
    """Study the quantization: algorithm, method, calibration pictures; 129 builds.

    Builds are scored on validation pictures in the RKNN simulator. Finished ones are kept in
    output/<recipe>/quantstudy/, so a repeat costs nothing.

    \b
    mnist-rknn quantstudy --run mnist
    mnist-rknn quantstudy --sizes 20,100 --seeds 1,2
    mnist-rknn quantstudy --scheduler tcp://HOST:8786     over machines, see `make cluster`
    """
    from .verification import quantstudy as study

    recipe, folder = chosen.recipe, chosen.folder
    where, count = pool.pool(study.PACKAGES), pictures or study.PICTURES
    grid = study.grid(sizes or study.SIZES, seeds or study.SEEDS)
    with locked(folder, "quantstudy", _("finished cells are kept, run again to go on")):
        rows = study.run(recipe, folder, grid, count, where, pool.twice)
        found = study.conclude(recipe, folder, rows)
    text, written = study.text(found), None
    if write:
        written = relative(study.write_winner(chosen.made_with.recipe, found["winner"]))
        text += _("\nwritten  {path}").format(path=written)
    return Answer(found | {"written": written}, text)


@click.option("--pictures", default=3000, show_default=True, help="Training pictures of each.")
@output_option("Folder of the results.", "output/costs")
@answers
def costs(pictures: int, output: Path | None) -> Answer:
    """Show what other networks would cost on this NPU, and how well they read.

    Every network goes through steps 01 to 06 in a folder of its own; what is up to date is not run
    again. Cycles and memory are the compiler's estimates and do not depend on the training. `make
    report` then shows them.

    \b
    mnist-rknn costs
    mnist-rknn costs --pictures 60      their cost only, some minutes each
    """
    from .verification import costs as networks

    return Answer(networks.study(pictures, output))


@click.option("--target", "targets", multiple=True, metavar="PERCENT", help="99.0, 99.5 or 99.7.")
@numbers_option("--seeds", "Seeds of the trainings.  [default: 1,2,3]")
@output_option("Folder of the results.", "output/smallest")
@pool_options
@answers
def smallest(
    targets: tuple[str, ...], seeds: Sequence[int], output: Path | None, pool: PoolOptions
) -> Answer:
    """Train the smallest networks that read 99.0, 99.5 or 99.7 % of MNIST, and pack them.

    Their designs are chosen on validation pictures, the test images are read once, by the network
    that comes out of the file. Finished trainings are kept.

    \b
    mnist-rknn smallest --target 99.5 --seeds 1
    mnist-rknn smallest --scheduler tcp://HOST:8786
    """
    from . import recipe_file
    from .compression import small_networks
    from .compression import smallest as networks
    from .data import sources
    from .files import OUTPUT

    recipe, folder = recipe_file.load("mnist"), output or OUTPUT / "smallest"
    where, source = pool.pool(small_networks.PACKAGES), sources.load_source(recipe)
    wanted, seeds = targets or small_networks.DESIGNS, seeds or networks.SEEDS
    with locked(folder, "smallest", _("finished trainings are kept, run again to go on")):
        rows = networks.study(recipe, source, folder, wanted, seeds, where, pool.twice)
    data = [networks.to_json(row) for row in rows]
    return Answer(data, networks.table(rows).to_string(index=False))


def add_to(group: Headings) -> None:
    """Declare the commands."""
    for command in (quantstudy, costs, smallest):
        group.under("What was measured", command.__name__)(command)
