"""The outputs that the notebooks in `notebooks/` are committed with, so that they can be read.

`make notebooks` takes them from the executed copies of a finished run of the default recipe. A
notebook's metadata hold two hashes: of the code that made the outputs (`reached.digest`), and of
the outputs themselves. So `problems` can say that the code changed since, or that somebody ran the
notebook by hand.

The lab's notebooks train and convert many networks. They may stand without outputs: then their
first cell says so, by `quotes.not_run`.
"""

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import recipe_file
from ..errors import PipelineError
from ..files import PROJECT, relative, write_text
from . import reached, runner, runs
from .reached import KEY
from .steps import NOTEBOOKS, STEPS, Step, notebook_file

RECIPE = "mnist"  # whose run the outputs are taken from
LARGEST = 600_000  # bytes of a notebook
COLOURS, FEW = 128, 64  # of a picture, and of one that would still be LARGE
LARGE = 50_000  # bytes of a picture, in base64
QUALITY = 80  # of one that is kept as JPEG

Cell = dict[str, Any]
Notebook = dict[str, Any]

# A path from the root of a machine: not an address, a share such as 1/2, or the end of a tag.
_PATH = re.compile(r"(?<![\w.:/<~*-])/[A-Za-z][\w.@-]*/[\w.@-]+")
_WARNING = re.compile(r"\b\w*Warning:|\bWARNING\b|\bTraceback \(most recent call last\)")


def of(step: Step) -> Path:
    """The notebook of a step."""
    return notebook_file(step.name, NOTEBOOKS)


def executed_copy(step: Step, run: Path) -> Path:
    """The copy of a step's notebook that a run executed."""
    return run / "notebooks" / f"{step.name}.ipynb"


def read(path: Path) -> Notebook:
    """A notebook, as the file has it.

    Raises:
        PipelineError: it is none.
    """
    try:
        content: Notebook = json.loads(path.read_text(encoding="utf-8"))
        content["cells"], content["metadata"]
    except (OSError, ValueError, KeyError, TypeError):
        raise PipelineError(f"{relative(path)} is not a notebook: get it back with git") from None
    return content


def write(path: Path, notebook: Notebook) -> None:
    """Write a notebook in the form that all of them have."""
    write_text(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def code_digest(step: Step) -> str:
    """Hash of what decides a notebook's outputs."""
    return reached.digest(step, recipe_file.load(RECIPE))


def outputs_digest(notebook: Notebook) -> str:
    """Hash of all outputs of a notebook."""
    found = [[cell["id"], cell["outputs"]] for cell in _code(notebook)]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _code(notebook: Notebook) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _source(cell: Cell) -> str:
    return "".join(cell["source"])


# --- making them ---------------------------------------------------------------------------


def make(wanted: Sequence[Step]) -> Iterator[str]:
    """Run the steps that are not up to date, and write what the notebooks showed into them.

    Yields:
        Name of each notebook that was written.

    Raises:
        PipelineError: a step failed, or a run of the recipe is there that was made with changes.
    """
    recipe = recipe_file.load(RECIPE)
    folder = runs.run_folder(recipe)
    if not folder.is_relative_to(PROJECT):
        raise PipelineError(
            f"the notebooks would show the path {folder}: set MNIST_RKNN_OUTPUT to a folder in "
            "output/, or leave it out"
        )
    if overrides := runs.own_overrides(RECIPE, folder):
        raise PipelineError(
            f"{relative(folder)} was made with {', '.join(overrides)}, and the notebooks show the "
            f"recipe as it is: make clean RECIPE={RECIPE}, or MNIST_RKNN_OUTPUT=output/other"
        )
    if not any(is_behind(step) for step in wanted):
        return
    with runner.lock(folder, "make notebooks"):
        source = runs.MadeWith(RECIPE, [])
        for step in wanted:
            runner.run_steps([step], recipe, folder, source)
            if not is_executed(step, folder):
                runner.run_steps([step], recipe, folder, source, force=True, only=True)
            if take_over(step, folder):
                yield step.name


def is_executed(step: Step, run: Path) -> bool:
    """Whether a run's copy of a notebook was executed to its end, with the code of today."""
    copy = executed_copy(step, run)
    return copy.is_file() and read(copy)["metadata"].get(KEY) == {"code": code_digest(step)}


def take_over(step: Step, run: Path) -> bool:
    """Write the outputs of a run's executed copy into the notebook.

    Returns:
        Whether that changed it.
    """
    path = of(step)
    before = path.read_text(encoding="utf-8")
    notebook = read(path)
    made = {cell["id"]: cell["outputs"] for cell in _code(read(executed_copy(step, run)))}
    for number, cell in enumerate(_code(notebook), 1):
        cell["outputs"] = list(_cleaned(made[cell["id"]], number))
        cell["execution_count"] = number
    notebook["metadata"][KEY] = {
        "recipe": RECIPE,
        "code": code_digest(step),
        "outputs": outputs_digest(notebook),
    }
    write(path, notebook)
    return path.read_text(encoding="utf-8") != before


def strip(path: Path) -> None:
    """Take a notebook's outputs away, and what they said of themselves."""
    notebook = read(path)
    for cell in _code(notebook):
        cell["outputs"], cell["execution_count"] = [], None
        cell["metadata"] = {key: cell["metadata"][key] for key in cell["metadata"] if key == "tags"}
    notebook["metadata"].pop(KEY, None)
    notebook["metadata"].pop("widgets", None)
    write(path, notebook)


def _cleaned(outputs: Sequence[dict[str, Any]], number: int) -> Iterator[dict[str, Any]]:
    """Outputs of a cell: a stream as a screen shows it at its end, smaller pictures."""
    for output in _joined(outputs):
        if output["output_type"] == "stream":
            text = _on_screen("".join(output["text"]))
            if text.strip():
                yield {**output, "text": text.splitlines(keepends=True)}
            continue
        if "execution_count" in output:
            output = {**output, "execution_count": number}
        data = output.get("data", {})
        if "image/png" in data:
            others = {kind: value for kind, value in data.items() if kind != "image/png"}
            output = {**output, "data": {**_smaller("".join(data["image/png"])), **others}}
        yield output


def _joined(outputs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Outputs with the pieces of one stream put together."""
    found: list[dict[str, Any]] = []
    for output in outputs:
        if found and output.get("name") == found[-1].get("name", ""):
            found[-1] = {**found[-1], "text": [*found[-1]["text"], *output["text"]]}
        else:
            found.append(output)
    return found


def _on_screen(text: str) -> str:
    """What a terminal shows in the end: what follows a carriage return is written over the line."""
    lines = []
    for line in text.split("\n"):
        screen = ""
        for piece in line.split("\r"):
            screen = piece + screen[len(piece) :]
        lines.append(screen.rstrip() if "\r" in line else line)
    return "\n".join(lines)


def _smaller(picture: str) -> dict[str, str]:
    """A PNG in base64 as one of few colours, or as a JPEG if that is less than half of it.

    A drawing stays sharp as a PNG; a photograph, whose noise no palette makes smaller, does not
    suffer from being a JPEG.

    Returns:
        The picture by its kind, such as "image/jpeg".
    """
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    drawn, fewer = (
        _packed(flat.quantize(colours, kmeans=2, dither=Image.Dither.NONE), "PNG")
        for colours in (COLOURS, FEW)
    )
    photographed = _packed(flat, "JPEG", quality=QUALITY)
    if len(photographed) < 0.5 * min(len(drawn), len(picture)):
        return {"image/jpeg": photographed}
    return {"image/png": min(fewer if len(drawn) > LARGE else drawn, picture, key=len)}


def _packed(image: Any, kind: str, **how: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True, **how)
    return base64.b64encode(buffer.getvalue()).decode()


# --- looking at what is committed ----------------------------------------------------------


def is_made(notebook: Notebook) -> bool:
    """Whether a notebook says that it has its outputs."""
    return "outputs" in notebook["metadata"].get(KEY, {})


def unmade() -> list[Step]:
    """The steps whose notebooks have no outputs yet."""
    return [step for step in STEPS if not is_made(read(of(step)))]


def missing() -> list[Step]:
    """Those of them that must have outputs: once one notebook has, all but the lab's have."""
    found = unmade()
    return [step for step in found if not step.lab] if len(found) < len(STEPS) else []


def kept() -> list[Step]:
    """The steps whose outputs are kept true: all but the lab's, and those of it that have any."""
    absent = unmade()
    return [step for step in STEPS if not step.lab or step not in absent]


def is_behind(step: Step) -> bool:
    """Whether a notebook has no outputs, or others than those of its code."""
    notebook = read(of(step))
    stated = {"code": code_digest(step), "outputs": outputs_digest(notebook)}
    return not is_made(notebook) or not stated.items() <= notebook["metadata"][KEY].items()


def problems(step: Step) -> list[str]:
    """What is wrong with the outputs of a notebook, a line each; nothing if it has none."""
    path = of(step)
    notebook = read(path)
    if not is_made(notebook):
        ran = any(cell["outputs"] or cell["execution_count"] for cell in _code(notebook))
        cure = "run `make notebooks`, or take them away with `git restore`"
        return [f"{relative(path)} has outputs of a session: {cure}"] if ran else []
    stated = notebook["metadata"][KEY]
    found = []
    if stated["code"] != code_digest(step):
        found.append("its code, or that of its modules, changed after its outputs were made")
    elif stated["outputs"] != outputs_digest(notebook):
        found.append("its outputs are not those that `make notebooks` wrote")
    if path.stat().st_size > LARGEST:
        found.append(f"it has {path.stat().st_size:,} bytes, more than {LARGEST:,}")
    if "widgets" in notebook["metadata"]:
        found.append("it has metadata of widgets, with which GitHub does not show it")
    for cell in _code(notebook):
        found += [f"cell {cell['id']} {fault}" for fault in _faults(cell)]
    return [f"{relative(path)}: {line}: make notebooks" for line in found]


def _faults(cell: Cell) -> Iterator[str]:
    if cell["execution_count"] is None:
        yield "was not executed"
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            yield f"shows an error, {output['ename']}"
        if output.get("name") == "stderr":
            yield "prints on stderr"
        text = as_text(output)
        if warning := _WARNING.search(text):
            yield f"shows a warning, {warning[0]}"
        if path := _PATH.search(text):
            yield f"shows a path of a machine, {path[0]}"


def as_text(output: dict[str, Any]) -> str:
    """What an output says in words: of a stream, or of text and HTML that a value is shown as."""
    data = output.get("data", {})
    parts = [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return "\n".join("".join(part) for part in parts)


def shown(path: Path) -> str:
    """All that a notebook's outputs say in words."""
    return "\n".join(as_text(output) for cell in _code(read(path)) for output in cell["outputs"])
