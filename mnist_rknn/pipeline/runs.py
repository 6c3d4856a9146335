"""A run: its folder, the recipe it holds, and what a notebook does with it.

A run's folder is its own: `recipe.yaml` in it says every setting, whatever `configs/` says by now.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import language, recipe_file
from ..errors import PipelineError
from ..files import OUTPUT, PROJECT, FolderLock, read_json, relative, write_text
from ..language import _
from ..recipe import Recipe
from ..training.architectures import require_known
from . import graph, tries
from .environment import installed_version
from .steps import NOTEBOOKS, PACKAGE, find

RECIPE = "recipe.yaml"
MANIFEST = "manifest.json"
REPORT = "report.html"
TRY_PAGE = "try.html"  # of 06_verify: the INT8 network in a browser
TRY_GRAPH = ".rknn.qdq.onnx"  # behind the recipe's name: what that page computes; see `try_page`
STARTED = "MNIST_RKNN_STARTED"  # time at which the runner began the step, seconds since 1970


class MadeWith(NamedTuple):
    """Where a run's recipe came from."""

    recipe: str  # name in `configs/`, or path of a YAML file
    overrides: list[str]  # "section.key=value"


def write_recipe(folder: Path, recipe: Recipe, made_with: MadeWith) -> None:
    """Write a run's own recipe: every key, and what it was made with."""
    content = {recipe_file.MADE_WITH: made_with._asdict(), **recipe_file.dump(recipe)}
    head = "# What this run was made with, key by key. It is written anew when a step runs here.\n"
    write_text(folder / RECIPE, head + recipe_file.as_text(content))


def read_recipe(folder: Path) -> Recipe:
    """The recipe that a run's folder holds.

    Raises:
        PipelineError: the folder is no run, or its recipe was damaged.
    """
    if not (folder / RECIPE).is_file():
        raise PipelineError(
            _("{folder} is no run: it has no {recipe}; make one with `mnist-rknn run`").format(
                folder=relative(folder), recipe=RECIPE
            )
        )
    return recipe_file.load(str(folder / RECIPE))


def names() -> list[str]:
    """Names of the runs in `output/`, sorted."""
    return sorted(path.parent.name for path in OUTPUT.glob(f"*/{RECIPE}"))


def made_with(folder: Path) -> MadeWith | None:
    """Where the recipe of a run came from; None where there is no run yet."""
    if not (folder / RECIPE).is_file():
        return None
    content = recipe_file.parse_yaml(folder / RECIPE)
    try:
        recipe, overrides = (content[recipe_file.MADE_WITH][key] for key in MadeWith._fields)
        return MadeWith(str(recipe), [str(override) for override in overrides])
    except (KeyError, TypeError):  # a recipe that was put there by hand
        return MadeWith(str(folder / RECIPE), [])


def require_recipe(source: str, recipe: Recipe, folder: Path) -> None:
    """Refuse to build one recipe's run over another's, whose files would lie about unused.

    Args:
        source: where the recipe comes from: its name, or the path of its file.

    Raises:
        PipelineError: the folder holds a run of another recipe, or the recipe is the own one of
            a run in another folder.
    """
    path = recipe_file.find(source).resolve()
    owned = path.name == RECIPE and recipe_file.MADE_WITH in recipe_file.parse_yaml(path)
    if owned and path.parent != folder and folder == OUTPUT / recipe.name:
        raise PipelineError(
            _(
                "{path} is the own recipe of that run: say --output FOLDER for another "
                "run of it, or --recipe {name} --output {parent} for that one"
            ).format(path=relative(path), name=recipe.name, parent=relative(path.parent))
        )
    if (folder / RECIPE).is_file() and (held := read_recipe(folder).name) != recipe.name:
        raise PipelineError(
            _(
                "{folder} holds a run of recipe {held}, not of {name}: name another "
                "--output folder, or remove that run first"
            ).format(folder=relative(folder), held=held, name=recipe.name)
        )


def own_overrides(recipe: str, folder: Path) -> list[str]:
    """The changes that a run was made with, so that nobody has to say them again.

    Args:
        recipe: name of a recipe, or path of its file.
        folder: of the run; one that is not there yet has no changes.

    Raises:
        PipelineError: the run was made with another recipe.
    """
    before = made_with(folder)
    if before is None:
        return []
    if not _is_same(before.recipe, recipe) and Path(before.recipe) != folder / RECIPE:
        raise PipelineError(
            _(
                "{folder} was made with recipe {recipe}, not with {recipe2}: name that "
                "one, or another output folder"
            ).format(folder=relative(folder), recipe=before.recipe, recipe2=recipe)
        )
    return before.overrides


def _is_same(first: str, second: str) -> bool:
    try:
        return recipe_file.find(first).resolve() == recipe_file.find(second).resolve()
    except PipelineError:  # a file that is gone
        return first == second


class Try(NamedTuple):
    """Changed settings, with the finished run that they change."""

    folder: Path
    recipe: Recipe
    made_with: MadeWith


def plan_try(run: Path, overrides: Sequence[str]) -> Try:
    """A try of a run: its folder, and the run's own recipe with the changes.

    Raises:
        PipelineError: there is no run, or a change cannot work.
    """
    before = made_with(run)
    if before is None:
        raise PipelineError(
            _("{run} is no run: run it without a try first").format(run=relative(run))
        )
    return Try(
        tries.folder(run, overrides),
        recipe_file.load(str(run / RECIPE), overrides),
        MadeWith(before.recipe, [*before.overrides, *overrides]),
    )


def find_run(run: str) -> Path:
    """The folder of a run, given as a path, or as the name of a recipe for its last run.

    Raises:
        PipelineError: it is no run.
    """
    folder = Path(run).expanduser()
    if not (folder / RECIPE).is_file() and "/" not in run:
        folder = OUTPUT / run
    if not (folder / RECIPE).is_file():
        known = f"; the runs here are {', '.join(names())}" if names() else ""
        raise PipelineError(
            _(
                "{run} is no finished run: make it with `mnist-rknn run --recipe NAME`{known}"
            ).format(run=run, known=known)
        )
    return folder.resolve()


def run_folder(recipe: Recipe, output: str | Path | None = None) -> Path:
    """Folder of a run's results: `output/<recipe>` unless another is named."""
    return (Path(output) if output else OUTPUT / recipe.name).resolve()


def _require_own_notebooks() -> None:
    """Refuse a notebook of a project folder that was copied or moved after its set-up."""
    here = Path.cwd()
    if here.name in language.NAMES:  # notebooks/zh
        here = here.parent
    if here.name == NOTEBOOKS.name and (here.parent / PACKAGE.name).is_dir() and here != NOTEBOOKS:
        raise PipelineError(
            _(
                "this notebook is in {parent}, its kernel was set up in {project}: run "
                "`make setup` in {parent} and open it from there"
            ).format(parent=here.parent, project=PROJECT)
        )


class Run:
    """A step being run: its recipe, its folder, and the record of what it did.

    Every notebook makes one from its parameters and ends with `finish`. Overrides without an
    output folder are a try: they work in a folder of their own, which starts from the files of
    the finished run, and leave that as it is.

    Args:
        step: the notebook's name, such as "02_train".
        recipe: name of a recipe, or path of a YAML file.
        output: folder for the results; None is `output/<recipe>`.
        overrides: changes to the recipe, "section.key=value".

    Raises:
        PipelineError: the recipe cannot work, a step before this one has to run first, the folder
            is locked, or the notebook belongs to another copy of the project.
    """

    _locks: dict[Path, FolderLock] = {}  # by folder, of the last runs of this process

    def __init__(
        self,
        step: str,
        recipe: str = "mnist",
        output: str | None = None,
        overrides: Sequence[str] = (),
    ):
        _require_own_notebooks()
        self.step = find(step)
        self.folder, self.base = run_folder(recipe_file.load(recipe), output), None
        if overrides and not output:
            self.base = self.folder
            self.folder, self.recipe, source = plan_try(self.base, overrides)
        else:
            own = [] if output else own_overrides(recipe, self.folder)
            source = MadeWith(recipe, [*own, *overrides])
            self.recipe = recipe_file.load(*source)
        require_known(self.recipe)
        require_recipe(recipe, self.recipe, self.folder)
        # A notebook that failed and is run again in the same kernel does not wait for itself.
        for folder in filter(None, (self.folder, self.base)):
            if unfinished := self._locks.pop(folder, None):
                unfinished.release()
        self._lock = FolderLock(self.folder, self.step.name).acquire()
        self._locks[self.folder] = self._lock
        if self.base:
            with FolderLock(self.base, f"a try of {self.step.name}"):
                tries.start(self.base, self.folder, read_recipe(self.base), self.recipe)
        now = graph.Graph(self.recipe, self.folder)
        now.require_ancestors(self.step)
        if (self.folder / RECIPE) != Path(recipe):  # a script has written it
            write_recipe(self.folder, self.recipe, source)
        tries.unlink(self.step, self.recipe, self.folder)
        self._made_from = graph.made_from(self.step, self.recipe, self.folder)
        graph.record_file(self.step, self.folder).unlink(missing_ok=True)
        if not self.step.extra:  # it spoke of what this step is about to replace
            for name in (MANIFEST, REPORT):
                (self.folder / name).unlink(missing_ok=True)
        # A script counts from before the kernel's start; by hand it is from here.
        self._started = float(os.environ.get(STARTED) or time.time())

    def __repr__(self) -> str:
        if self.base:
            said, what = _("{step}: a try of {what}, results in {folder}"), relative(self.base)
        else:
            said, what = _("{step}: recipe {what}, results in {folder}"), self.recipe.name
        return said.format(step=self.step.name, what=what, folder=relative(self.folder))

    @property
    def image_shape(self) -> list[int]:
        """Shape of the network's input, [1, 3, H, W]."""
        return [1, 3, self.recipe.image.height, self.recipe.image.width]

    def artifact(self, suffix: str) -> Path:
        """Path of `<recipe><suffix>` in the run's folder, such as ".slim.onnx"."""
        return self.folder / f"{self.recipe.name}{suffix}"

    def depends_on(self) -> dict[str, Any]:
        """What this step is made from, as plain data: settings, code, packages and inputs."""
        return self._made_from.model_dump(mode="json")

    def finish(self, **results: Any) -> str:
        """Check that every output is there and fresh, and record duration and results.

        Args:
            results: plain data for the manifest.

        Returns:
            The files produced, a line each with its size; after a try, what the finished run had.
        """
        outputs = graph.expand(self.step.outputs, self.recipe, self.folder)
        for output in outputs:
            if not output.exists():
                raise PipelineError(
                    _("{name} did not write {output}").format(
                        name=self.step.name, output=relative(output)
                    )
                )
            if output.stat().st_mtime < self._started - 1:
                raise PipelineError(
                    _("{output} is from an earlier run: {name} did not write it").format(
                        output=relative(output), name=self.step.name
                    )
                )
        seconds = round(time.time() - self._started, 1)
        record = graph.write_record(
            self.step, self.recipe, self.folder, self._made_from, seconds, results
        )
        self._locks.pop(self.folder, None)
        self._lock.release()
        lines = [f"{relative(path)}  {path.stat().st_size / 1024:,.1f} KB" for path in outputs]
        if self.base and (finished := graph.read_record(self.step, self.base)):
            lines += ["", tries.table(finished, record)]
        return "\n".join(lines)


def results(step: str, folder: Path) -> dict[str, Any]:
    """What a finished step recorded: {"seconds": ..., "results": {...}, ...}."""
    return read_json(graph.record_file(find(step), folder))


def versions(*packages: str) -> str:
    """Installed versions, a line a package."""
    return "\n".join(f"{package} {installed_version(package)}" for package in packages)
