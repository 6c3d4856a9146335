"""What a step was made from, and whether that still holds: the one dependency graph of a run.

A step that has run to its end leaves a record, `steps/<step>.json`: hashes of the settings, the
code, the packages and the input files it was made from, and of the files it wrote. A step is up
to date when its files are those it wrote, everything it was made from is as it was, and the steps
that make its inputs are up to date themselves. Times do not count, so a run can be copied or
moved; neither do comments, docstrings and the layout of code.
"""

import ast
import hashlib
import json
import platform
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .. import recipe_file
from ..errors import PipelineError
from ..files import PROJECT, fingerprint, read_json, relative, sha256, write_json
from ..language import _
from ..recipe import Recipe
from .environment import installed_version
from .steps import PACKAGE, STEPS, Step, notebook_file


class Code(BaseModel):
    """A file of the package: hashes of its bytes, and of what it says to Python."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: str
    code: str


class OwnData(BaseModel):
    """A data set at a path of the user's: hashes of its names, sizes and times, and its content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quick: str
    content: str


class MadeFrom(BaseModel):
    """All that decides a step's outputs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: dict[str, Any]  # parts of the recipe, by their key
    data: OwnData | None
    notebook: str  # hash of its code cells but for the parameters
    modules: dict[str, Code]  # by their path in the package
    packages: dict[str, str]  # versions
    python: str
    inputs: dict[str, str]  # SHA-256 by path in the run's folder


class Record(BaseModel):
    """What a step leaves when it has run to its end."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(1, alias="schema")
    step: str
    made_from: MadeFrom
    outputs: dict[str, str]  # SHA-256 by path in the run's folder
    finished: str  # date and time, UTC
    seconds: float
    results: dict[str, Any]  # plain data for the manifest


# --- what a step would be made from now -----------------------------------------------


def settings_of(step: Step, recipe: Recipe) -> dict[str, Any]:
    """The parts of a recipe that a step reads, by their key."""
    content = recipe_file.dump(recipe)
    settings = {}
    for key in step.settings:
        value: Any = content
        for part in key.split("."):
            value = value[part]
        settings[key] = value
    return settings


def made_from(step: Step, recipe: Recipe, folder: Path, known: MadeFrom | None = None) -> MadeFrom:
    """What the step would be made from if it ran now.

    Args:
        known: of an earlier record; what takes long is taken from there where nothing suggests
            that it changed.

    Raises:
        PipelineError: an input is missing.
    """
    own = recipe.dataset.path if "dataset" in step.settings else None
    return MadeFrom(
        settings=settings_of(step, recipe),
        data=own_data(PROJECT / Path(own).expanduser(), known.data if known else None)
        if own
        else None,
        notebook=notebook_digest(notebook_file(step.name)),
        modules={
            name: code_of(PACKAGE / name, known.modules.get(name) if known else None)
            for name in step.modules
        },
        packages={name: installed_version(name) for name in step.packages},
        python=platform.python_version(),
        inputs={
            str(path.relative_to(folder)): sha256(path)
            for path in expand(step.inputs, recipe, folder)
        },
    )


def code_of(path: Path, known: Code | None = None) -> Code:
    """Hashes of a file of the package.

    In Python, comments, docstrings and layout do not count in `code`.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if known and known.bytes == digest:
        return known
    if path.suffix != ".py":
        return Code(bytes=digest, code=digest)
    tree = without_docstrings(ast.parse(content))
    return Code(bytes=digest, code=hashlib.sha256(ast.dump(tree).encode()).hexdigest())


def without_docstrings(tree: ast.Module) -> ast.Module:
    """A module's tree, its docstrings taken out in place."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


PARAMETERS = frozenset({"parameters"})
NO_RESULT = PARAMETERS | {"exercise"}  # tags of cells that shape no file of a step


def code_cells(path: Path, left_out: frozenset[str] = PARAMETERS) -> list[str]:
    """The code cells of a notebook but for those with certain tags, such as its parameters.

    Raises:
        PipelineError: it is not there, or is none.
    """
    if not path.is_file():
        raise PipelineError(
            _("{path} is missing: get it back with git").format(path=relative(path))
        )
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [
            "".join(cell["source"])
            for cell in cells
            if cell["cell_type"] == "code" and not left_out & set(cell["metadata"].get("tags", []))
        ]
    except (ValueError, KeyError, TypeError):
        raise PipelineError(
            _("{path} is not a notebook: get it back with git").format(path=relative(path))
        ) from None


def notebook_digest(path: Path) -> str:
    """Hash of the code cells of a notebook.

    Text, outputs and metadata do not count, nor do the parameters: a change there is a try. Neither
    do exercises, which come when the step is done: a student's answer makes nothing stale.
    """
    return hashlib.sha256(json.dumps(code_cells(path, NO_RESULT)).encode()).hexdigest()


def own_data(path: Path, known: OwnData | None = None) -> OwnData | None:
    """Hashes of a data set of the user's; its files are read only if names, sizes or times changed.

    None if there is nothing at `path`: the step will say so.
    """
    quick = fingerprint(path)
    if quick is None:
        return None
    if known and known.quick == quick:
        return known
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            name = file.relative_to(path).as_posix().encode("utf-8", "surrogateescape")
            digest.update(name + b"\0" + sha256(file).encode())
    return OwnData(quick=quick, content=digest.hexdigest())


def change(old: MadeFrom, new: MadeFrom) -> str | None:
    """Name what decides differently now, down to the key of the recipe; None if nothing does."""
    if (old.data and old.data.content) != (new.data and new.data.content):
        return "data"
    if old.notebook != new.notebook:
        return "notebook"
    if old.python != new.python:
        return f"Python ({old.python}, now {new.python})"
    parts = {
        "settings": (recipe_file.flat(old.settings), recipe_file.flat(new.settings)),
        "code": (_codes(old), _codes(new)),
        "packages": (old.packages, new.packages),
        "inputs": (old.inputs, new.inputs),
    }
    for kind, (before, now) in parts.items():
        differing = sorted(k for k in {**before, **now} if before.get(k) != now.get(k))
        if differing:
            return f"{kind} ({', '.join(differing[:3])}{', ...' if differing[3:] else ''})"
    return None


def _codes(made: MadeFrom) -> dict[str, str]:
    return {name: code.code for name, code in made.modules.items()}


# --- records --------------------------------------------------------------------------


def expand(paths: Iterable[str], recipe: Recipe, folder: Path) -> list[Path]:
    """Paths of a step's inputs or outputs in a run's folder; {name} is the recipe's."""
    return [folder / path.format(name=recipe.name) for path in paths]


def record_file(step: Step, folder: Path) -> Path:
    """The file that a step leaves when it has run to its end."""
    return folder / "steps" / f"{step.name}.json"


def read_record(step: Step, folder: Path) -> Record | None:
    """The record of a finished step; None where there is none, or one of another version."""
    path = record_file(step, folder)
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        return Record.model_validate(content)
    except ValidationError:
        return None


def write_record(
    step: Step, recipe: Recipe, folder: Path, made: MadeFrom, seconds: float, results: dict
) -> Record:
    """Record that a step has run to its end.

    Args:
        made: taken when the step began: code that was edited meanwhile did not make its outputs.
        results: plain data for the manifest.
    """
    record = Record(
        step=step.name,
        made_from=made,
        outputs={
            str(path.relative_to(folder)): sha256(path)
            for path in expand(step.outputs, recipe, folder)
        },
        finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        seconds=seconds,
        results=results,
    )
    write_json(record_file(step, folder), record.model_dump(mode="json", by_alias=True))
    return record


# --- the graph ------------------------------------------------------------------------


def makers(step: Step) -> list[Step]:
    """The steps whose outputs a step reads, in their order."""
    return [other for other in STEPS if set(other.outputs) & set(step.inputs)]


def ancestors(step: Step) -> list[Step]:
    """The steps that make what a step reads, directly or through others, in their order."""
    names = {maker.name for maker in makers(step)}
    names |= {other.name for maker in makers(step) for other in ancestors(maker)}
    return [other for other in STEPS if other.name in names]


def needed(step: Step) -> list[Step]:
    """A step and all that has to have run before it, in their order."""
    chain = [*ancestors(step), step]
    names = {name for other in chain for name in (other.name, *other.after)}
    return [other for other in STEPS if other.name in names]


class Graph:
    """The steps of one run, each looked at once."""

    def __init__(self, recipe: Recipe, folder: Path):
        self.recipe, self.folder = recipe, folder
        self._reasons: dict[str, str | None] = {}

    def stale_reason(self, step: Step) -> str | None:
        """Why the step has to run, or None if it is up to date."""
        if step.name not in self._reasons:
            self._reasons[step.name] = self._own_reason(step) or self._inherited_reason(step)
        return self._reasons[step.name]

    def look_again(self) -> None:
        """Forget what was found: a step has run."""
        self._reasons.clear()

    def _own_reason(self, step: Step) -> str | None:
        record = read_record(step, self.folder)
        for output in expand(step.outputs, self.recipe, self.folder):
            name = str(output.relative_to(self.folder))
            if not output.is_file():
                return f"{name} is missing"
            if record and record.outputs.get(name) != sha256(output):
                return f"{name} is not the file that {step.name} wrote"
        if record is None:
            return "it has not run to its end"
        for source in expand(step.inputs, self.recipe, self.folder):
            if not source.is_file():
                return f"{source.relative_to(self.folder)} is missing"
        now = made_from(step, self.recipe, self.folder, record.made_from)
        changed = change(record.made_from, now)
        return f"its {changed} changed" if changed else None

    def _inherited_reason(self, step: Step) -> str | None:
        for maker in makers(step):
            if self.stale_reason(maker):
                return f"{maker.name} has to run"
        return None

    def require_ancestors(self, step: Step) -> None:
        """Refuse to build a step on files that other settings, code or versions made.

        Raises:
            PipelineError: which step has to run first, and why.
        """
        for ancestor in ancestors(step):
            if reason := self.stale_reason(ancestor):
                raise PipelineError(
                    _(
                        "{name} needs {name2}, which is not up to date ({reason}): run {name2} "
                        "first"
                    ).format(name=step.name, name2=ancestor.name, reason=reason)
                )
