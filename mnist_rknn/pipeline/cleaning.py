"""What may be removed, and where a run may write: a run's own folder, and nothing else."""

import os
import shutil
from pathlib import Path

from ..errors import PipelineError
from ..files import OUTPUT, PROJECT, FolderLock, relative
from ..language import _
from ..recipe import is_name

MARKS = ("recipe.yaml", "manifest.json", ".lock")  # one of these tells a run's folder
VERSIONED = ("configs", "data", "deploy", "docs", "mnist_rknn", "notebooks", "scripts", "tests")


def remove(recipe: str) -> list[str]:
    """Remove the results of a recipe, and nothing else.

    Args:
        recipe: its name, or its file, as `run` takes it.

    Returns:
        What was removed, as seen from the project's folder; [] if there was nothing.

    Raises:
        PipelineError: no recipe can have this name, a run is at work there, or the folder is a
            link or holds no run.
    """
    name = Path(recipe).stem if recipe.endswith((".yaml", ".yml")) else recipe
    if not is_name(name):
        raise PipelineError(
            _(
                "clean: {recipe!r} is no recipe's name: say whose results to remove, "
                "as in make clean RECIPE=smoke"
            ).format(recipe=recipe)
        )
    folder = OUTPUT / name
    if folder.is_symlink():
        raise PipelineError(
            _(
                "{seen} is a link to {readlink}: remove the link by hand, or what it leads to"
            ).format(seen=_seen(folder), readlink=folder.readlink())
        )
    if not folder.exists():
        return []
    if not _is_run(folder):
        raise PipelineError(
            _("{seen} holds no results of a run: remove it by hand").format(seen=_seen(folder))
        )
    with FolderLock(folder, f"clean {name}"):
        shutil.rmtree(folder)
    return [_seen(folder)]


def require_results_folder(folder: Path) -> None:
    """Refuse to make a run in a folder that holds something else.

    Raises:
        PipelineError: it is a file, the project's own or above it, the home, or not empty and no
            run's.
    """
    if folder in (PROJECT, *PROJECT.parents, Path.home()):
        raise PipelineError(
            _("--output {folder}: the project itself lies there: name another folder").format(
                folder=folder
            )
        )
    if folder.exists() and not folder.is_dir():
        raise PipelineError(_("--output {folder} is a file: name a folder").format(folder=folder))
    inside = folder.relative_to(PROJECT).parts[0] if folder.is_relative_to(PROJECT) else ""
    if inside in VERSIONED or inside.startswith("."):
        raise PipelineError(
            _("--output {folder} is a folder of the project's own: name another one").format(
                folder=relative(folder)
            )
        )
    there = [entry.name for entry in os.scandir(folder)] if folder.is_dir() else []
    if there and not _is_run(folder):
        raise PipelineError(
            _("--output {folder} holds other files ({there}): name a new folder").format(
                folder=relative(folder), there=sorted(there)[0]
            )
        )


def _is_run(folder: Path) -> bool:
    return folder.is_dir() and any((folder / mark).exists() for mark in MARKS)


def _seen(folder: Path) -> str:
    """A path as it was given; `relative` would follow a link."""
    return str(folder.relative_to(PROJECT)) if folder.is_relative_to(PROJECT) else str(folder)
