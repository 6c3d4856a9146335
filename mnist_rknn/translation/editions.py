"""The pages in another language, made of their sources and catalogues."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import language
from ..files import PROJECT, write_text
from ..verification import quotes
from . import catalogues, links, markdown, scope
from .catalogues import Message

Notebook = dict[str, Any]


def messages(name: str) -> list[Message]:
    """What is to be translated of a page."""
    text = (PROJECT / name).read_text(encoding="utf-8")
    if not name.endswith(".ipynb"):
        return [Message(block) for block in markdown.messages(text)]
    return [
        Message(source, cell["id"])
        for cell in json.loads(text)["cells"]
        if cell["cell_type"] == "markdown" and markdown.has_words(source := cell_text(cell))
    ]


def cell_text(cell: dict[str, Any]) -> str:
    """Source of a Markdown cell, without what cog made."""
    return markdown.without_made("".join(cell["source"]))


class Edition:
    """All pages in one language."""

    def __init__(self, code: str):
        self.code = code
        self.names = {name: scope.edition(name, code) for name in scope.documents()}
        self._anchors: dict[str, dict[str, str]] = {}

    def update_catalogues(self) -> Iterator[Path]:
        """Bring the catalogues in step with the sources; yields those that changed."""
        for name in self.names:
            path = scope.catalogue(name, self.code)
            new = catalogues.updated(catalogues.read(path), messages(name), self.code)
            if not path.is_file() or path.read_text("utf-8") != catalogues.as_text(new):
                catalogues.write(path, new)
                yield path

    def stale(self) -> list[catalogues.Stale]:
        """What is not translated, or changed since."""
        return [
            line
            for name in self.names
            for line in catalogues.stale(scope.catalogue(name, self.code), messages(name))
        ]

    def pages(self) -> dict[Path, str]:
        """What the pages should hold, by their files."""
        with language.use(self.code):
            return {PROJECT / made: self._page(name) for name, made in self.names.items()}

    def _page(self, name: str) -> str:
        text = (PROJECT / name).read_text(encoding="utf-8")
        path = PROJECT / self.names[name]
        if not name.endswith(".ipynb"):
            led = self._led(name, markdown.translated(text, self._translations(name)))
            return quotes.refreshed(led, path)
        notebook = json.loads(text)
        translate = self._translations(name)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                led = self._led(name, translate(cell_text(cell)))
                cell["source"] = led.splitlines(keepends=True)
        _keep_outputs(notebook, path)
        return quotes.refreshed(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", path)

    def _translations(self, name: str) -> Any:
        known = {
            entry.msgid: entry.msgstr
            for entry in catalogues.read(scope.catalogue(name, self.code))
            if catalogues.is_done(entry)
        }
        return lambda block: known.get(block, block)

    def _led(self, name: str, text: str) -> str:
        return links.rewritten(text, name, self.names[name], self.names, self._anchor)

    def _anchor(self, name: str, anchor: str) -> str:
        """The anchor of a heading in this language."""
        if name not in self._anchors:
            text = _text(PROJECT / name)
            own = markdown.translated(text, self._translations(name))
            if name.endswith(".ipynb"):
                translate = self._translations(name)
                own = "\n\n".join(translate(cell) for cell in _cells(PROJECT / name))
            pairs = zip(links.headings(text), links.headings(own), strict=True)
            self._anchors[name] = dict(pairs)
        return self._anchors[name].get(anchor, anchor)


def _cells(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell_text(cell) for cell in cells if cell["cell_type"] == "markdown"]


def _text(path: Path) -> str:
    """A page's Markdown."""
    if path.suffix == ".ipynb":
        return "\n\n".join(_cells(path))
    return path.read_text(encoding="utf-8")


def _keep_outputs(notebook: Notebook, path: Path) -> None:
    """Give a notebook the outputs that its edition has, of cells whose code is still the same."""
    made: Notebook = {"cells": [], "metadata": {}}
    if path.is_file():
        made = json.loads(path.read_text(encoding="utf-8"))
    known = {cell["id"]: cell for cell in made["cells"]}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            before = known.get(cell["id"], {})
            same = before.get("source") == cell["source"]
            cell["outputs"] = before["outputs"] if same else []
            cell["execution_count"] = before["execution_count"] if same else None
    notebook["metadata"].pop("mnist_rknn", None)
    if "mnist_rknn" in made["metadata"]:
        notebook["metadata"]["mnist_rknn"] = made["metadata"]["mnist_rknn"]


def write(pages: dict[Path, str]) -> list[Path]:
    """Write the pages that are not so yet, and return their paths."""
    changed = behind(pages)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, pages[path])
    return changed


def behind(pages: dict[Path, str]) -> list[Path]:
    """The pages whose files hold something else."""
    return [
        path
        for path, text in pages.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
