"""A student's own folder on a machine that a class shares: the project may be read-only there.

Notebooks are copied, as JupyterLab saves into them; a finished run is linked. Results go into the
folder's `output/` if `MNIST_RKNN_OUTPUT` names it, as `make lab STUDENT=folder` does.
"""

import shutil
from pathlib import Path

from ..errors import PipelineError
from ..files import PROJECT, FolderLock, relative
from ..language import NAMES, _
from . import outputs, runs, tries
from .steps import NOTEBOOKS

FOLDERS = ("notebooks", "output")


def prepare(folder: Path, run: Path | None = None, kernel: str | None = None) -> list[str]:
    """Make a student's folder, or bring along what it lacks; nothing in it is written over.

    Args:
        folder: outside the project.
        run: a finished run to start from. Its files are links, which a step that runs again
            removes before it writes: the run itself stays as it is.
        kernel: that the copied notebooks ask for, where a JupyterHub starts ours by another name.

    Returns:
        What is new, a line each.

    Raises:
        PipelineError: the folder is in the project or holds something else, or the run is none.
    """
    folder = folder.expanduser().resolve()
    if folder.is_relative_to(PROJECT) or PROJECT.is_relative_to(folder):
        raise PipelineError(
            _("{folder}: a student's folder lies outside the project: name another").format(
                folder=folder
            )
        )
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if there and not set(FOLDERS) & set(there):
        raise PipelineError(
            _("{folder} holds other things ({there}): name a new folder").format(
                folder=folder, there=there[0]
            )
        )
    if run is not None and not (run / runs.MANIFEST).is_file():
        raise PipelineError(
            _("{run} is not finished: run it to its end first").format(run=relative(run))
        )
    (folder / "output").mkdir(parents=True, exist_ok=True)
    new = _copy_notebooks(folder / "notebooks", kernel)
    if run is not None:
        new += _link_run(run, folder / "output" / run.name)
    return new


def _copy_notebooks(into: Path, kernel: str | None) -> list[str]:
    folders = ("", *sorted(path.name for path in NOTEBOOKS.iterdir() if path.name in NAMES))
    paths = [path for folder in folders for path in sorted((NOTEBOOKS / folder).glob("*.ipynb"))]
    new = []
    for name in (path.relative_to(NOTEBOOKS) for path in paths):
        if (into / name).exists():
            continue
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        if kernel is None:
            shutil.copyfile(NOTEBOOKS / name, into / name)  # not the mode: that is read-only
        else:
            notebook = outputs.read(NOTEBOOKS / name)
            notebook["metadata"]["kernelspec"].update(name=kernel, display_name=kernel)
            outputs.write(into / name, notebook)
        new.append(f"notebooks/{name}")
    return new


def _link_run(run: Path, own: Path) -> list[str]:
    if own.exists():
        return []
    recipe = runs.read_recipe(run)
    with FolderLock(own, "a student's folder"):
        tries.start(run, own, recipe, recipe)
        runs.write_recipe(own, recipe, runs.made_with(run) or runs.MadeWith(str(run), []))
        for name in (runs.MANIFEST, runs.REPORT):
            if (run / name).is_file():
                shutil.copyfile(run / name, own / name)
    return [f"output/{own.name}: links to {relative(run)}"]
