#!/usr/bin/env python
"""Build the site: README, docs, notebooks and the pages of a run as static pages.

Each language has a folder of its own, <site>/<code>/, with the same names of pages in it, so that
every page links to itself in the others. English is README.md, docs/ and notebooks/; another
language joins where README.<code>.md is there, with docs/<code>/ and notebooks/<code>/. Nothing is
loaded from the network, neither now nor by the pages. Needs docs/requirements-site.txt.

\b
python docs/site/build.py
python docs/site/build.py --run output/mnist --into output/site
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))  # the project's folder

import click

from mnist_rknn import command
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import OUTPUT, PROJECT, relative, replacing_folder


class Language(NamedTuple):
    """A language of the site."""

    name: str  # in itself
    sphinx: str  # as Sphinx calls it
    notebooks: str  # headings of the menu
    docs: str
    results: str


LANGUAGES = {
    "en": Language("English", "en", "Notebooks", "Docs", "Results of a run"),
    "zh": Language("中文", "zh_CN", "教程", "文档", "运行结果"),
}
# Pages that a run has, and what they are called.
# In an output of a notebook, which is JSON: quotes have a backslash before them.
FRAME = re.compile(r'<iframe src=\\"(\.\./output/[^"]*/)([^"/]+)\\"[^>]*></iframe>')
PAGES_OF_A_RUN = {"report.html": "All that was measured", "try.html": "Try the model"}
PAGE_LINK = re.compile(r"""\[([^\]\n]*)\]\(([^)\s#"\\]+)(#[^)\s]*)?\)""")
LINK = re.compile(r"""(\]\(|src=\\?")([^)\s#"\\]+)(#[^)\s"]*)?""")


def available(project: Path) -> list[str]:
    """Codes of the languages that a project has a README in, English first."""
    return [code for code in LANGUAGES if code == "en" or (project / f"README.{code}.md").is_file()]


def stage(project: Path, code: str, run: Path | None, source: Path) -> list[str]:
    """Lay out the pages of a language as Sphinx reads them.

    Args:
        project: with README, docs and notebooks.
        run: whose pages are shown too, if it has them.
        source: an empty folder.

    Returns:
        Names of the pages, without their suffix.
    """
    project, own = project.resolve(), code == "en"
    readme = project / ("README.md" if own else f"README.{code}.md")
    docs, notebooks = (project / name / ("" if own else code) for name in ("docs", "notebooks"))
    places = {readme: Path("README.md")}
    solutions = notebooks / "solutions"
    for folder, name, pattern in (
        (docs, "docs", "*.md"),
        (notebooks, "notebooks", "*.ipynb"),
        (solutions, "notebooks/solutions", "*.ipynb"),
    ):
        places |= {path: Path(name) / path.name for path in sorted(folder.glob(pattern))}
    if own:
        for page in (docs / "trials" / "README.md", project / "data" / "README.md"):
            if page.is_file():
                places[page] = page.relative_to(project)
    for path, place in places.items():
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        text = _led(path, place, places, source, project)
        text = _framed(text, place, run, LANGUAGES[code].results)
        (source / place).write_text(text, encoding="utf-8")
    _write_results(source, run, LANGUAGES[code].results)
    pages = [place.with_suffix("").as_posix() for place in places.values()] + ["results"]
    _write_menu(source / "README.md", pages, LANGUAGES[code])
    return pages


def _led(path: Path, place: Path, places: dict[Path, Path], source: Path, project: Path) -> str:
    """A page's text, its links as they must be where it lies on the site.

    Files that are no pages (pictures, tables) are brought along. A page that is not there in
    this language is led to in the one that it has.
    """

    def lead(match: re.Match) -> str:
        before, link, anchor = match.groups()
        original = (path.parent / link).resolve()
        if re.match(r"[a-z]+:", link) or not original.is_file():
            return match[0]
        goal = places.get(original)
        if goal is None:
            goal = original.relative_to(project)
            if goal.suffix in (".md", ".ipynb"):
                return match[0]
            (source / goal).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(original, source / goal)
        return f"{before}{os.path.relpath(goal, place.parent)}{anchor or ''}"

    def lead_to_another_language(match: re.Match) -> str:
        words, link, anchor = match.groups()
        original = (path.parent / link).resolve()
        page = original.is_file() and original.suffix in (".md", ".ipynb")
        if not page or original in places:
            return match[0]
        up = "../" * len(place.parts)  # Markdown's own links would have to be of this language
        return f"<a href='{up}{_page_of(original.relative_to(project))}{anchor or ''}'>{words}</a>"

    text = PAGE_LINK.sub(lead_to_another_language, path.read_text(encoding="utf-8"))
    return LINK.sub(lead, text)


def _framed(text: str, place: Path, run: Path | None, results: str) -> str:
    """A notebook's text, the page of the run that it frames being that of this site, if there."""

    def frame(match: re.Match) -> str:
        up = "../" * (len(place.parts) - 1)
        if run and (run / match[2]).is_file():
            return match[0].replace(match[1] + match[2], up + match[2])
        return f"<a href='{up}results.html'>{results}</a>"

    return FRAME.sub(frame, text)


def _page_of(name: Path) -> str:
    """A page of the project as it is called on the site, with its language in front."""
    for code in LANGUAGES:
        if name.parent.name == code:
            return f"{code}/{(name.parents[1] / name.name).with_suffix('.html').as_posix()}"
        if name.name.endswith(f".{code}.md"):
            return f"{code}/{name.name.removesuffix(f'.{code}.md')}.html"
    return f"en/{name.with_suffix('.html').as_posix()}"


def _write_results(source: Path, run: Path | None, heading: str) -> None:
    """A page that leads to the pages of a run, which are copied beside it."""
    lines = [f"# {heading}", ""]
    for name, title in PAGES_OF_A_RUN.items():
        if run and (run / name).is_file():
            (source / "extra").mkdir(exist_ok=True)
            shutil.copyfile(run / name, source / "extra" / name)
            lines.append(f'- <a href="{name}">{title}</a>')
    if len(lines) == 2:
        lines.append("`make rknn`, then `make site`: the report of the run is then shown here.")
    (source / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_menu(readme: Path, pages: list[str], language: Language) -> None:
    """Add the table of contents, which README.md does not have on GitHub."""
    groups = {language.notebooks: "notebooks/", language.docs: "docs/", language.results: "results"}
    menu = []
    for caption, begins in groups.items():
        listed = [page for page in pages if page.startswith(begins)]
        menu += ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *listed, "```"]
    orphans = [page for page in pages if not page.startswith(tuple(groups.values()))]
    menu += ["", "```{toctree}", ":hidden:", "", *(p for p in orphans if p != "README"), "```"]
    readme.write_text(readme.read_text(encoding="utf-8") + "\n".join(menu) + "\n", "utf-8")


def build(project: Path, run: Path | None, site: Path) -> list[str]:
    """Build all languages that a project has.

    Returns:
        Their codes.

    Raises:
        PipelineError: Sphinx is missing, or finds fault with a page.
    """
    codes = available(project)
    with replacing_folder(site) as partial:
        sources = {code: partial / ".source" / code for code in codes}
        known = {}
        for code, source in sources.items():
            source.mkdir(parents=True)
            pages = stage(project, code, run, source)
            known[code] = {**LANGUAGES[code]._asdict(), "pages": pages}
        for code, source in sources.items():
            _sphinx(source, partial / code, code, known)
        shutil.rmtree(partial / ".source")
        for place, target in (
            (partial, "en/README.html"),
            *((partial / c, "README.html") for c in codes),
        ):
            (place / "index.html").write_text(_forward(target), encoding="utf-8")
        (partial / ".nojekyll").touch()  # or GitHub Pages leaves out folders that begin with _
    return codes


def _sphinx(source: Path, target: Path, code: str, known: dict) -> None:
    environment = os.environ | {"SITE_CODE": code, "SITE_LANGUAGES": json.dumps(known)}
    extra = ["-D", f"html_extra_path={source / 'extra'}"] if (source / "extra").is_dir() else []
    arguments = ["-q", "-W", "--keep-going", "-b", "html", "-c", str(HERE), "-d", f"{source}.cache"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *arguments, *extra, str(source), str(target)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No module named" in done.stderr:
        raise PipelineError(f"{done.stderr.strip().splitlines()[-1]}: run `make site`")
    if done.returncode:
        message = done.stderr.strip().replace(f"{source}/", "")
        raise PipelineError(f"Sphinx finds fault with the pages:\n{message}")


def _forward(target: str) -> str:
    """A page that leads to another at once."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>mnist-rknn</title>'
        f'<meta http-equiv="refresh" content="0; url={target}"></head>'
        f'<body><a href="{target}">mnist-rknn</a></body></html>\n'
    )


@click.command("site", help=__doc__)
@click.option("--run", type=command.PATH, help="Folder of a run whose pages are shown.")
@click.option("--into", type=command.PATH, help="Folder of the site; output/site.")
@command.answers
def site(run: Path | None, into: Path | None):
    run, into = run or OUTPUT / "mnist", into or OUTPUT / "site"
    codes = build(PROJECT, run if run.is_dir() else None, into.resolve())
    return command.Answer(codes, f"site       {relative(into)}/index.html ({', '.join(codes)})")


if __name__ == "__main__":
    sys.exit(command.start(site, name="docs/site/build.py"))
