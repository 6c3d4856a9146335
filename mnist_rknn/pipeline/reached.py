"""The part of the code that decides what a step's notebook shows.

A module that many notebooks use changes often, and mostly in what a given one never calls. So not
the files count but the definitions in them that the notebook reaches: those whose names its cells
or its recipe hold, those whose names stand in these, and so on. Names alone decide, whatever they
belong to, and words in quotes are names too: rather one definition too many than one too few.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..files import write_text
from ..recipe import Recipe
from .graph import code_cells, needed, settings_of, without_docstrings
from .steps import PACKAGE, Step, notebook_file

# What draws for the reader: no part of a step's results, but of what is seen of them.
DRAWN = ("fonts.py", "lesson.py", "plots.py")
# Decorators that do nothing with a definition but change it.
_PLAIN = {"cache", "cached_property", "classmethod", "contextmanager", "dataclass", "property"}
KEY = "mnist_rknn"  # of a notebook's metadata, in which the hash stands
_Definition = ast.FunctionDef | ast.ClassDef


def digest(step: Step, recipe: Recipe) -> str:
    """Hash of what decides the outputs of a step's notebook.

    These are its code cells; the settings of the recipe that it or a step before it reads; and of
    the modules that the step declares, and of those that draw, the definitions it reaches. What is
    no Python counts for a step, but is not shown by a notebook.
    """
    cells = code_cells(notebook_file(step.name))
    settings = {one.name: settings_of(one, recipe) for one in needed(step)}
    names = names_in(ast.parse("\n".join(cells))) | set(_words(json.dumps(settings)))
    files = [PACKAGE / name for name in dict.fromkeys((*step.modules, *DRAWN))]
    modules = [file.read_text(encoding="utf-8") for file in files if file.suffix == ".py"]
    content = [cells, settings, reached(names, modules)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def stamp(executed: Path, code: str) -> None:
    """Note in an executed copy of a notebook which code it is of: a `digest`."""
    notebook = json.loads(executed.read_text(encoding="utf-8"))
    notebook["metadata"][KEY] = {"code": code}
    write_text(executed, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def reached(names: Iterable[str], modules: Iterable[str]) -> list[str]:
    """The statements of modules that code with these names reaches, each as a dump of its tree.

    A statement that defines nothing counts always: it runs with the import. So does a definition
    whose decorator may put it into a list.

    Args:
        modules: the text of each.
    """
    known, waiting = set(names), []
    for statement in (one for text in modules for one in without_docstrings(ast.parse(text)).body):
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            known |= {alias.name for alias in statement.names if alias.asname}
        elif not isinstance(statement, ast.Pass):
            waiting.append((_defined(statement), statement))
    found: list[str] = []
    while now := [one for defined, one in waiting if defined is None or defined & known]:
        waiting = [(defined, one) for defined, one in waiting if one not in now]
        found += [ast.dump(one) for one in now]
        known |= {name for one in now for name in names_in(one)}
    return sorted(found)


def _defined(statement: ast.stmt) -> set[str] | None:
    """What a statement gives a name to; None if it counts whether it is named or not."""
    if isinstance(statement, _Definition):
        plain = {name for one in statement.decorator_list for name in _decorator(one)} <= _PLAIN
        return {statement.name} if plain else None
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        parts = (part for target in targets for part in ast.walk(target))
        return {part.id for part in parts if isinstance(part, ast.Name)}
    return None


def _decorator(decorator: ast.expr) -> Iterator[str]:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    yield called.attr if isinstance(called, ast.Attribute) else ast.unparse(called)


def names_in(tree: ast.AST) -> set[str]:
    """All names that stand in some code, and the words of its texts that could be names."""
    return {name for node in ast.walk(tree) for name in _names(node)}


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield from _words(node.name)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _words(node.value)


def _words(text: str) -> Iterator[str]:
    yield from re.findall(r"[^\W\d]\w*", text)
