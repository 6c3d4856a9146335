"""What is translated, where its catalogue is, and what is made of it."""

from pathlib import Path

from ..files import PROJECT
from ..language import LOCALE, NAMES, SOURCE

CODES = [code for code in NAMES if code != SOURCE]

# Pages that are in English only, and why. Every other page of README, docs and notebooks is
# translated; one that is added is so from its first day.
FOR_MAINTAINERS = ("docs/choices.md", "docs/contributing.md", "docs/design.md", "docs/glossary.md")
# Learner's pages whose translation is still to be made.
NOT_YET: tuple[str, ...] = ()

# Files and wings of the package whose words do not go through `_()` yet, and what is missing. In
# all others the tests want it of every message that is raised and of every label of a plot; what is
# put into such a message may still be English.
NOT_WRAPPED = {
    "compression/": "messages, tables",
    "conversion/integer_network.py": "messages",
    "data/": "messages, what `import` says",
    "deployment/": "messages; README.zh.md of the bundle is written by hand",
    "pipeline/aistudio.py": "what it prints",
    "pipeline/aistudio_bundle.py": "messages for maintainers",
    "pipeline/graph.py": "why a step is to run",
    "pipeline/outputs.py": "messages for maintainers",
    "recipe.py": "why a value cannot work",
    "redraw/": "why a strength cannot work",
    "text.py": "messages",
    "training/progress.py": "the line of an epoch",
    "translation/": "messages for maintainers",
    "verification/comparison.py": "what `compare` says",
    "verification/figures.py": "messages for maintainers",
    "verification/frame_evaluation.py": "what `evaluate` says",
    "verification/frame_folders.py": "messages",
    "verification/frame_plots.py": "labels",
    "verification/metrics.py": "misses of thresholds",
    "verification/pen.py": "what `evaluate` says",
    "verification/pen_files.py": "messages",
    "verification/quotes.py": "messages for maintainers",
    "verification/report.html.j2": "the report",
    "verification/try_page.py": "messages",
    "verification/web/": "the page to try the model on",
    "../notebooks/": "words in code cells, such as the labels that they give to plots",
    "../scripts/": "set-up",
}


def documents(project: Path = PROJECT) -> list[str]:
    """Names of the translated pages, from the project's folder."""
    pages = [
        project / "README.md",
        *sorted((project / "docs").glob("*.md")),
        *sorted((project / "notebooks").glob("*.ipynb")),
        project / "mnist_rknn" / "pipeline" / "main.template.ipynb",
    ]
    names = [page.relative_to(project).as_posix() for page in pages if page.is_file()]
    return [name for name in names if name not in (*FOR_MAINTAINERS, *NOT_YET)]


def catalogue(name: str, code: str) -> Path:
    """The PO file of a page."""
    return LOCALE / code / "documents" / Path(name).with_suffix(".po")


def edition(name: str, code: str) -> str:
    """Name of a page in another language, as the site and GitHub have it."""
    path = Path(name)
    if path.parent == Path():
        return f"{path.stem}.{code}{path.suffix}"
    return (path.parent / code / path.name).as_posix()
