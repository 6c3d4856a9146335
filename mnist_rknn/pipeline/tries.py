"""Tries: changed settings in a folder of their own, which starts from a finished run's files.

The files are links, so a try of the quantization takes no space and trains nothing; and the
finished run is never written into.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import PipelineError
from ..files import FolderLock, relative
from ..language import _
from ..recipe import Recipe
from . import graph
from .steps import STEPS, Step

FOLDER = "tries"
LONGEST = 80  # characters of a name; a hash follows where it was cut or had others than these
# rknn-toolkit2 splits paths at blanks, and PaddleClas its options at "=".
PLAIN = re.compile(r"[^A-Za-z0-9_.,+-]+")


def folder(run: Path, overrides: Sequence[str]) -> Path:
    """Folder of a try, named after what it changes: `<run>/tries/train.epochs-3`."""
    said = "+".join(override.replace("=", "-", 1) for override in overrides)
    name = PLAIN.sub("-", said)[:LONGEST].strip("-.")
    if name != said:
        name += f"-{hashlib.sha256(said.encode()).hexdigest()[:6]}"
    return run / FOLDER / name


def start(run: Path, try_: Path, before: Recipe, recipe: Recipe) -> None:
    """Link into a try what the run has and the try's recipe does not change.

    What an earlier attempt of the same try made itself, and is up to date, stays.

    Args:
        run: folder of the finished run.
        try_: folder of the try.
        before: the run's own recipe.
        recipe: the try's.

    Raises:
        PipelineError: a step of the run was made with other settings than its recipe has now: it
            is half rebuilt, and no try could be held against it.
    """
    _require_of_one_piece(run, before)
    linked: set[str] = set()
    now = graph.Graph(recipe, try_)
    for step in STEPS:
        if step.extra or any(maker.name not in linked for maker in graph.makers(step)):
            continue
        record = graph.read_record(step, run)
        if record is None or record.made_from.settings != graph.settings_of(step, recipe):
            continue
        linked.add(step.name)
        if now.stale_reason(step) is None:
            continue
        unlink(step, recipe, try_)
        for name in owned(step, recipe):
            if (run / name).exists():
                _link(run / name, try_ / name)
        place = graph.record_file(step, try_)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(graph.record_file(step, run), place)
        now.look_again()


def _require_of_one_piece(run: Path, recipe: Recipe) -> None:
    for step in STEPS:
        record = None if step.extra else graph.read_record(step, run)
        if record and record.made_from.settings != graph.settings_of(step, recipe):
            raise PipelineError(
                _(
                    "{run} is half rebuilt: {name} was made with other settings than the "
                    "run's recipe has now; run it to its end first, then try"
                ).format(run=relative(run), name=step.name)
            )


def owned(step: Step, recipe: Recipe) -> list[str]:
    """Names at the top of a run's folder that only this step writes."""
    return [name.format(name=recipe.name) for name in step.owns]


def unlink(step: Step, recipe: Recipe, run: Path) -> None:
    """Remove the links of a step that is going to write files of its own in their place."""
    for name in owned(step, recipe):
        if (run / name).is_symlink():
            (run / name).unlink()


def _link(source: Path, place: Path) -> None:
    """A relative link, so that a run can be copied or moved with its tries."""
    if place.exists() and not place.is_symlink():
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(os.path.relpath(source, place.parent))


def names(run: Path) -> list[str]:
    """Names of a run's tries."""
    place = run / FOLDER
    return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []


def clean(run: Path, chosen: Sequence[str]) -> list[str]:
    """Remove tries by their names, or all if none is named; returns the names.

    Raises:
        PipelineError: there is no such try, or one is at work.
    """
    there = names(run)
    for name in chosen:
        if name not in there:
            known = ", ".join(there) or "none"
            raise PipelineError(
                _("{run} has no try {name!r}; its tries: {known}").format(
                    run=relative(run), name=name, known=known
                )
            )
    removed = list(chosen) or there
    for name in removed:
        with FolderLock(run / FOLDER / name, "removing a try"):
            shutil.rmtree(run / FOLDER / name)
    return removed


def table(finished: graph.Record, tried: graph.Record) -> str:
    """What a step gave in the finished run, beside what it gave in the try."""
    rows = [("", _("finished run"), _("this try"))]
    rows += [
        (key, _short(finished.results.get(key)), _short(value))
        for key, value in tried.results.items()
        if isinstance(value, (int, float, str))
    ]
    rows.append(("seconds", _short(finished.seconds), _short(tried.seconds)))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:40]
