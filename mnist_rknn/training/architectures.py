"""Which networks can be trained, found out before anything is trained.

PaddleX's table of models, PaddleClas's architectures and our networks are read from their sources:
importing PaddleX and Paddle takes seconds, a recipe is refused at once.
"""

import ast
import difflib
import functools
import importlib.util
from pathlib import Path

from ..errors import PipelineError
from ..language import _
from ..recipe import Recipe
from .engine import find_engine

NETWORKS = Path(__file__).with_name("networks.py")
NEAR = 3  # names in a message


def require_known(recipe: Recipe) -> None:
    """Refuse a model that PaddleX, PaddleClas and this project have not.

    Where PaddleX or PaddleClas is not installed, its names are not checked.

    Raises:
        PipelineError: names the key, what is known under a similar name, and the cure.
    """
    own, paddlex, paddleclas = ours(), of_paddlex(), of_paddleclas()
    name, architecture = recipe.model.name, recipe.model.built_as
    if paddlex and paddleclas and name not in own | paddlex | paddleclas:
        raise PipelineError(
            _(
                "recipe {name}: model.name: {name2} is no model of PaddleX and no "
                "class in training/networks.py{near}"
            ).format(name=recipe.name, name2=name, near=_near(name, own | paddlex))
        )
    if paddleclas and architecture not in own | paddleclas:
        raise PipelineError(
            _(
                "recipe {name}: model.architecture: this PaddleClas has no "
                "{architecture}: set it to the name that PaddleClas uses{near}"
            ).format(
                name=recipe.name,
                architecture=architecture,
                near=_near(architecture, own | paddleclas),
            )
        )


def _near(name: str, known: frozenset[str]) -> str:
    """Similar names for the end of a message; some names where none is similar."""
    by_lower = {other.lower(): other for other in sorted(known)}
    found = difflib.get_close_matches(name.lower(), by_lower, NEAR)
    if found:
        return f"; similar: {', '.join(by_lower[other] for other in found)}"
    return f"; known are {', '.join(sorted(ours()))} and {len(known - ours())} more"


def ours() -> frozenset[str]:
    """The classes of `networks`; `paddleclas_launcher` makes each an architecture."""
    return frozenset(node.name for node in _tree(NETWORKS).body if isinstance(node, ast.ClassDef))


def of_paddlex() -> frozenset[str]:
    """The models in PaddleX's table for image classification; none if it is not installed."""
    spec = importlib.util.find_spec("paddlex")  # finds, and does not import
    if not spec or not spec.origin:
        return frozenset()
    table = Path(spec.origin).parent / "repo_apis" / "PaddleClas_api" / "cls" / "register.py"
    return frozenset(
        value.value
        for node in ast.walk(_tree(table))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "model_name"
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    )


def of_paddleclas() -> frozenset[str]:
    """The architectures of the PaddleClas that would train; none if there is none."""
    try:
        root = find_engine().root
    except PipelineError:  # the training says so, and the other steps do without
        return frozenset()
    return frozenset(
        alias.asname or alias.name
        for node in _tree(root / "ppcls" / "arch" / "backbone" / "__init__.py").body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )


@functools.cache
def _tree(source: Path) -> ast.Module:
    """A source file, parsed; empty if it is not there."""
    return ast.parse(source.read_bytes() if source.is_file() else b"")
