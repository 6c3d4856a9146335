"""The project for Baidu AI Studio: one zip file, with one notebook for "Run All".

`main.ipynb` in it is made here, from main.template.ipynb and the numbered notebooks.
"""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from .. import language
from ..data import archives
from ..errors import PipelineError
from ..files import OUTPUT, PROJECT, relative
from ..language import _
from . import steps

TEMPLATE = Path(__file__).with_name("main.template.ipynb")
TOP = "mnist-rknn"  # the folder in the zip file
FOLDERS = ("mnist_rknn", "notebooks", "scripts", "configs", "deploy", "docs")
FILES = ("requirements.txt", "requirements.in", "LICENSE", "README.md", "data/README.md")
LEFT_OUT = re.compile(r"(^|/)(__pycache__|\..*|.*\.pyc)(/|$)")  # caches and hidden files

# What a numbered notebook says for itself, and main.ipynb once for all.
PARAMETERS = {"recipe", "output", "overrides"}
FROM_CONFIGURATION = "recipe, output, overrides = RECIPE, OUTPUT, CHANGES"


class Wording(NamedTuple):
    """Phrases of the numbered notebooks, in one language, that main.ipynb says otherwise."""

    about_parameters: str  # how a cell of 00 begins
    next: re.Pattern[str]  # the last paragraph of a notebook
    words: dict[str, str]


WORDINGS = {
    "en": Wording(
        "The next cell holds the *parameters*.",
        re.compile(r"\n\n\*\*Next:\*\* .*\Z"),
        {
            "`overrides = ": "`changes = ",
            "in the parameters cell and run from the top": "in the configuration cell and Run All",
            " here, in 05 and in 06": " in the configuration cell",
            " in 05 and 06": " in the configuration cell",
        },
    ),
    "zh": Wording(
        "下一个单元格是**参数**。",
        re.compile(r"\n\n\*\*下一步\*\*：.*\Z"),
        {
            "`overrides = ": "`changes = ",
            "在参数单元格中设置": "在配置单元格中设置",
            "，然后从头运行": "，然后全部运行",
            "在这里以及 05 和 06 中设置": "在配置单元格中设置",
            "在 05 和 06 中设置": "在配置单元格中设置",
        },
    ),
}
MAIN = {"main.ipynb": "zh", "main.en.ipynb": "en"}  # of AI Studio, so Chinese comes first
LANGUAGE = 'language = "en"'  # in the configuration cell
MARK = re.compile(r"<!-- \[\[\[.*?-->\n?", re.DOTALL)  # of cog, around what is quoted
LINK = re.compile(r"\]\((?:\.\./)?((?:solutions/)?\d\d_\w+)\.ipynb\)")


def build(path: Path | None = None) -> Path:
    """Write the zip file, by default `output/aistudio.zip`, and return its path."""
    path = path or OUTPUT / "aistudio.zip"
    archives.pack(members(), path)
    return path


def members() -> dict[str, Path | bytes]:
    """Files of the zip by their names in it; notebooks without what running them left."""
    files = [PROJECT / name for name in FILES]
    for folder in FOLDERS:
        files += [path for path in (PROJECT / folder).rglob("*") if path.is_file()]
    chosen: dict[str, Path | bytes] = {}
    for path in files:
        name = path.relative_to(PROJECT).as_posix()
        if not LEFT_OUT.search(name):
            notebook = path.suffix == ".ipynb"
            chosen[f"{TOP}/{name}"] = to_bytes(without_outputs(read(path))) if notebook else path
    for name, code in MAIN.items():
        with language.use(code):
            combined = combine(read(template()), numbered_notebooks())
        chosen[f"{TOP}/{name}"] = to_bytes(combined)
    return chosen


def template() -> Path:
    """The template of main.ipynb in the language that is spoken."""
    own = TEMPLATE.parent / language.chosen() / TEMPLATE.name
    return own if own.is_file() else TEMPLATE


def numbered_notebooks() -> dict[str, NotebookNode]:
    """The notebooks on the way to a model, by name, in the language that is spoken."""
    chosen = [step.name for step in steps.STEPS if not step.extra]
    return {name: read(steps.notebook_file(name)) for name in chosen}


def read(path: Path) -> NotebookNode:
    """A notebook of the project."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise PipelineError(f"{relative(path)} cannot be read ({error}): get it back") from None


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """The notebook as if it had never been run."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def to_bytes(notebook: NotebookNode) -> bytes:
    return (nbformat.writes(notebook) + "\n").encode()


def combine(template: NotebookNode, notebooks: dict[str, NotebookNode]) -> NotebookNode:
    """The notebook for "Run All".

    Args:
        template: with a cell `<!-- steps -->`, where the notebooks go, and the marks `first`,
            `last` and `extras` in its text.
        notebooks: by name, in their order.

    Raises:
        PipelineError: a text that is to be replaced is not there.
    """
    names = list(notebooks)
    wording = WORDINGS[language.chosen()]
    for text in (wording.about_parameters, *wording.words):
        if not any(text in cell.source for book in notebooks.values() for cell in book.cells):
            raise PipelineError(f"no notebook has the text {text!r} any more, which is replaced")
    extras = "\n".join(
        f"- `{step.name}`: {_(step.title)} ([notebook]({_seen(step.name)}))"
        for step in steps.STEPS
        if step.extra
    )
    marks = {"first": names[0][:2], "last": names[-1][:2], "steps": "", "extras": extras}
    combined = nbformat.v4.new_notebook(metadata=template.metadata)
    for cell in template.cells:
        if cell.source == "<!-- steps -->":
            del marks["steps"]
            for name, notebook in notebooks.items():
                combined.cells += adapted(name, notebook, last=name == names[-1])
            continue
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = cell.source.replace(LANGUAGE, f'language = "{language.chosen()}"')
        for mark in [mark for mark in marks if f"<!-- {mark} -->" in cell.source]:
            cell.source = cell.source.replace(f"<!-- {mark} -->", marks.pop(mark))
        combined.cells.append(cell)
    if marks:
        raise PipelineError(f"{TEMPLATE.name} has lost its mark <!-- {next(iter(marks))} -->")
    nbformat.validate(combined)
    return combined


def _seen(name: str) -> str:
    """A notebook as main.ipynb sees it."""
    if name.startswith("solutions/"):
        return f"notebooks/{name}.ipynb"
    return steps.notebook_file(name).relative_to(PROJECT).as_posix()


def adapted(name: str, notebook: NotebookNode, last: bool) -> list[NotebookNode]:
    """Cells of a numbered notebook as a part of main.ipynb, a heading level lower."""
    wording = WORDINGS[language.chosen()]
    cells = [
        cell
        for cell in without_outputs(notebook).cells
        if cell.cell_type == "code" or not cell.source.startswith(wording.about_parameters)
    ]
    parameters = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(parameters) != 1:
        raise PipelineError(f"{name}: one cell must be tagged `parameters`, not {len(parameters)}")
    if assigned(parameters[0].source) != PARAMETERS:
        raise PipelineError(f"{name}: its parameters must be {', '.join(sorted(PARAMETERS))}")
    parameters[0].source = FROM_CONFIGURATION
    del parameters[0].metadata["tags"]

    text = [cell for cell in cells if cell.cell_type == "markdown"]
    if not last:
        text[-1].source, found = wording.next.subn("", text[-1].source)
        if not found:
            raise PipelineError(f"{name}: its last text must end with a paragraph **Next:**")
    for cell in text:
        cell.source = re.sub(r"^(#+ )", r"#\1", cell.source, flags=re.MULTILINE)
        cell.source = MARK.sub("", cell.source)
        cell.source = LINK.sub(lambda found: f"]({_seen(found[1])})", cell.source)
        for old, new in wording.words.items():
            cell.source = cell.source.replace(old, new)
    for cell in cells:
        cell.id = f"{name[:2]}-{cell.id}"
    return cells


def assigned(source: str) -> set[str]:
    """Names that the plain assignments of some code give values to."""
    return {
        target.id
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
