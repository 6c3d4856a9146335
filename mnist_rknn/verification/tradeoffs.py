"""The table of the compression lab: what each network costs, and how well it reads.

Every lesson leaves the rows it measured in `table.json` of its own folder. The table of all is put
together from those files and from nothing else, so a row cannot outlive what it was measured on.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from .. import plots, recipe_file
from ..errors import PipelineError
from ..files import OUTPUT, relative, sha256
from ..language import _
from ..pipeline import steps
from ..pipeline.environment import installed_version
from ..pipeline.runs import RECIPE
from ..recipe import Recipe
from ..records import SIMULATED, Accuracy, Artifact, CompressionRow, CompressionTable

FOLDER = "compression"
LESSONS = tuple(
    output.removesuffix(f"/{CompressionTable.FILE}")
    for step in steps.STEPS
    for output in step.outputs
    if output.endswith(f"/{CompressionTable.FILE}")
)
"""Folders of a run in which a lesson leaves its rows."""
COSTS: dict[str, str] = {
    "cycles": "NPU cycles (compiler estimate)",
    "weights": "weights that are not zero",
    "bytes": "bytes of the file",
}
Pictures = Literal["test", "camera"]
ON_PC = "INT8 in another runtime, on this PC"
_MEASURED = {SIMULATED: "INT8, simulator", ON_PC: "INT8, this PC"}


def row(
    step: str,
    name: str,
    recipe: Recipe,
    folder: Path,
    files: list[Path],
    *,
    weights: int,
    test: list[Accuracy],
    camera: list[Accuracy],
    seconds: float,
    seeds: list[int],
    cycles: int | None = None,
    measured: str = SIMULATED,
) -> CompressionRow:
    """A row of the table about files that are there.

    Args:
        step: the lesson's name.
        folder: of the run; the files lie in it.
        files: one for each seed, or one for all.

    Raises:
        PipelineError: a file is missing.
    """
    for file in files:
        if not file.is_file():
            raise PipelineError(
                _("{file} is missing: run {step} again").format(file=relative(file), step=step)
            )
    return CompressionRow(
        lesson=step,
        name=name,
        recipe=recipe.name,
        recipe_sha256=recipe_hash(recipe),
        measured=measured,
        seeds=seeds,
        test=test,
        camera=camera,
        cycles=cycles,
        weights=weights,
        files=[
            Artifact(
                path=str(file.relative_to(folder)), bytes=file.stat().st_size, sha256=sha256(file)
            )
            for file in files
        ],
        seconds=round(seconds, 1),
        packages={name: installed_version(name) or "-" for name in steps.find(step).packages},
    )


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of a recipe's keys; its description does not count."""
    content = recipe_file.dump(recipe)
    content.pop("description", None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def place(folder: Path) -> Path:
    """Where the table of all lies that a run's rows go into.

    Runs in `output/` share one. A try, or a run elsewhere, has one of its own.
    """
    return OUTPUT / FOLDER if folder.parent == OUTPUT else folder / FOLDER


def gather(folder: Path) -> CompressionTable:
    """`collect`, and write it to `place`."""
    found = collect(folder)
    found.write(place(folder))
    return found


def collect(folder: Path) -> CompressionTable:
    """Put the table of all together: rows whose files are still those that were measured.

    Args:
        folder: of a run; see `place`.

    Raises:
        PipelineError: the rows of a lesson are damaged or of another version.
    """
    together = [path.parent for path in OUTPUT.glob(f"*/{RECIPE}")]
    return CompressionTable(
        rows=[
            row
            for run in sorted(together if folder.parent == OUTPUT else [folder])
            for lesson in LESSONS
            if (run / lesson / CompressionTable.FILE).is_file()
            for row in CompressionTable.read(run / lesson).rows
            if all(_is_there(run / file.path, file) for file in row.files)
        ]
    )


def _is_there(path: Path, file: Artifact) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and sha256(path) == file.sha256


def of_recipe(found: CompressionTable, recipe: Recipe) -> list[CompressionRow]:
    """The rows that were made with this very recipe: others saw other pictures."""
    return [row for row in found.rows if row.recipe_sha256 == recipe_hash(recipe)]


def cost(row: CompressionRow, name: str) -> float | None:
    """One of `COSTS`; None where it is not known."""
    if name == "bytes":  # mean over the seeds
        return sum(file.bytes for file in row.files) / len(row.files)
    found: float | None = getattr(row, name)
    return found


def top1(row: CompressionRow, of: Pictures) -> float | None:
    """Mean accuracy over the seeds, from 0 to 1; None where it was not measured."""
    found = row.test if of == "test" else row.camera
    return sum(share.top1 for share in found) / len(found) if found else None


def front(rows: list[CompressionRow], name: str, of: Pictures) -> list[CompressionRow]:
    """The Pareto front: rows than which no other costs less and reads as well, cheapest first.

    Only what the NPU can run in INT8 can stand on it.

    Args:
        name: one of `COSTS`.
        of: pictures that the accuracy is taken on.
    """
    points = [
        (price, -share, number)
        for number, row in enumerate(rows)
        if row.measured == SIMULATED
        and (price := cost(row, name)) is not None
        and (share := top1(row, of)) is not None
    ]
    found, best = [], 1.0
    for _cost, error, number in sorted(points):
        if error < best:
            found.append(rows[number])
            best = error
    return found


class Panel(NamedTuple):
    """One of the drawings: a cost against an accuracy."""

    title: str
    label: str
    points: list[plots.Point]


def panels(rows: list[CompressionRow]) -> list[Panel]:
    """What `plots.tradeoffs` draws of the rows: each kind of pictures against each cost."""
    kinds: tuple[tuple[Pictures, str], ...] = (
        ("test", "test images"),
        ("camera", "simulated camera"),
    )
    return [
        Panel(title, label, _points(rows, name, of))
        for of, title in kinds
        if any(top1(row, of) is not None for row in rows)
        for name, label in COSTS.items()
    ]


def _points(rows: list[CompressionRow], name: str, of: Pictures) -> list[plots.Point]:
    best = front(rows, name, of)
    found = []
    for number, entry in enumerate(rows, 1):
        price, share = cost(entry, name), top1(entry, of)
        if price is None or share is None:
            continue
        shares = entry.test if of == "test" else entry.camera
        found.append(
            plots.Point(
                number=number,
                cost=price,
                top1=share,
                low=min(share.low for share in shares),
                high=max(share.high for share in shares),
                int8=entry.measured == SIMULATED,
                best=entry in best,
            )
        )
    return found


def table(rows: list[CompressionRow]) -> pd.DataFrame:
    """The rows for people; a star marks the Pareto front of a cost, on either kind of pictures."""
    stars = {name: [*front(rows, name, "test"), *front(rows, name, "camera")] for name in COSTS}

    def priced(entry: CompressionRow, name: str) -> str:
        price = cost(entry, name)
        return "-" if price is None else f"{price:,.0f}{' *' if entry in stars[name] else ''}"

    return pd.DataFrame(
        [
            {
                "network": entry.name,
                "test %": share_text(entry.test),
                "camera %": share_text(entry.camera),
                **{name: priced(entry, name) for name in COSTS},
                "seeds": len(entry.seeds),
                "measured": _MEASURED.get(entry.measured, "float, this PC"),
            }
            for entry in rows
        ],
        index=range(1, len(rows) + 1),
    )


def share_text(shares: list[Accuracy]) -> str:
    """Mean over seeds, and from the lowest to the highest end of their 95 % intervals."""
    if not shares:
        return "-"
    mean = sum(share.top1 for share in shares) / len(shares)
    low, high = min(share.low for share in shares), max(share.high for share in shares)
    return f"{100 * mean:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
