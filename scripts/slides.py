#!/usr/bin/env python
"""Make slides of notebooks, with nbconvert: one HTML page each, in output/slides/.

A heading begins a slide, a text below it one under the last (arrow down); code and what it showed
stand under their text. Outputs are those of a run's copies, where it has them. The pages load
nothing from the network: reveal.js lies beside them.

\b
python scripts/slides.py 00 04 --run output/smoke
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click

from mnist_rknn import command, files
from mnist_rknn.errors import PipelineError

REVEAL = Path(".venv/slides/sphinx_revealjs/_static/revealjs")  # see docs/requirements-slides.txt
KEPT = ("dist/reveal.js", "dist/reveal.css", "dist/theme/white.css", "plugin/notes/notes.js")
# nbconvert's own, but for the scripts that it loads from other hosts; no notebook has formulas.
TEMPLATE = """{% extends 'reveal/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block footer_js %}
<script src="reveal/plugin/notes/notes.js"></script>
<script src="reveal/dist/reveal.js"></script>
<script>
Reveal.initialize({hash: true, slideNumber: "c/t", width: 1100, height: 750, center: false,
  plugins: [RevealNotes]});
const scroll = () => {
  for (const slide of document.querySelectorAll(".reveal section:not(.stack)"))
    Object.assign(slide.style, {maxHeight: "750px", overflowY: "auto"});
};
Reveal.on("ready", scroll);
</script>
{% endblock %}"""


@click.command("slides", help=__doc__)
@click.argument("numbers", nargs=-1)
@click.option("--run", default="mnist", show_default=True, metavar="FOLDER", help="Of the outputs.")
@click.option("--into", type=command.PATH, default=files.OUTPUT / "slides", help="The folder.")
@command.answers
def slides(numbers: tuple[str, ...], run: str, into: Path):
    from mnist_rknn.pipeline import outputs, runs, steps

    reveal = files.PROJECT / REVEAL
    if not (reveal / KEPT[0]).is_file():
        raise PipelineError(f"{REVEAL} is missing: run `make slides`, which fetches it")
    try:
        folder = runs.find_run(run)
    except PipelineError:  # the notebooks as they lie there
        folder = None
    for name in KEPT:
        (into / "reveal" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(reveal / name, into / "reveal" / name)
    made = []
    for step in [steps.find(number) for number in numbers] or steps.STEPS:
        copy = outputs.executed_copy(step, folder) if folder else None
        source = copy if copy and outputs.is_executed(step, folder) else outputs.of(step)
        files.write_text(into / f"{step.name}.html", page(source))
        said = "with the outputs of the run" if source == copy else "with what the notebook shows"
        made.append(f"{files.relative(into)}/{step.name}.html, {said}")
    return command.Answer(made, "\n".join(made))


def page(notebook: Path) -> str:
    """The slides of a notebook, as HTML."""
    import nbformat
    from jinja2 import DictLoader
    from nbconvert.exporters import SlidesExporter

    exporter = SlidesExporter(
        extra_loaders=[DictLoader({"slides.html.j2": TEMPLATE})],
        template_file="slides.html.j2",
        reveal_url_prefix="reveal",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        cell.metadata["slideshow"] = {"slide_type": kind(cell)}
    html, _ = exporter.from_notebook_node(content)
    return html


def kind(cell) -> str:
    """Where a cell of a notebook stands among the slides, in nbconvert's words."""
    if cell.cell_type == "code":
        return "skip" if "parameters" in cell.metadata.get("tags", []) else "-"
    return "slide" if cell.source.startswith(("# ", "## ")) else "subslide"


if __name__ == "__main__":
    sys.exit(command.start(slides, name="scripts/slides.py"))
