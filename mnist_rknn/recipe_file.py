"""Recipes as files: found by name or path, read, overridden, and refused in one line.

A recipe is a YAML file in `configs/`. What it may say stands in `recipe`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from . import text
from .errors import PipelineError
from .files import PROJECT
from .language import _
from .recipe import Recipe

CONFIGS = PROJECT / "configs"
MADE_WITH = "made_with"  # in a run's own recipe, where it came from
LARGEST = 100_000  # bytes of a recipe's file


def names() -> list[str]:
    """Names of the recipes in `configs/`, sorted."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def load(recipe: str = "mnist", overrides: Sequence[str] = ()) -> Recipe:
    """Read, override and check a recipe.

    Args:
        recipe: a name in `configs/`, or the path of a YAML file.
        overrides: changes as "section.key=value"; the value is read as YAML.

    Raises:
        PipelineError: no such recipe, not YAML, or a key or value that cannot work.
    """
    path = find(recipe)
    content = parse_yaml(path)
    if not isinstance(content, dict):
        raise PipelineError(
            _("recipe {name} is empty: start from configs/mnist.yaml").format(name=path.name)
        )
    content.pop(MADE_WITH, None)
    content = {"name": path.stem, **content}
    for override in overrides:
        _set(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise PipelineError(_one_line(path.name, error)) from None


def parse_yaml(path: Path, every_value_as_text: bool = False) -> Any:
    """The content of a YAML file of ours or the maker's, in any common encoding.

    Args:
        every_value_as_text: give values as they stand there, `on` and `21` as texts.

    Raises:
        PipelineError: not YAML, with references, a key twice, or far too long.
    """
    if path.stat().st_size > LARGEST:
        raise PipelineError(
            _("recipe {name} has more than {largest:,} bytes: it is no recipe").format(
                name=path.name, largest=LARGEST
            )
        )
    content = text.read(path).text
    try:
        return _parse(content, yaml.BaseLoader if every_value_as_text else yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}" if place else ""
        if isinstance(error, _NotTaken):
            raise PipelineError(
                _("recipe {name}: {problem}{where}: {note}").format(
                    name=path.name, problem=error.problem, where=where, note=error.note
                )
            ) from None
        if place and "\t" in content.split("\n")[place.line][: place.column + 1]:
            raise PipelineError(
                _(
                    "recipe {name} has a tab{where}, and YAML is indented with blanks: write blanks"
                ).format(name=path.name, where=where)
            ) from None
        raise PipelineError(
            _("recipe {name} is not valid YAML{where}").format(name=path.name, where=where)
        ) from None


class _NotTaken(yaml.MarkedYAMLError):
    """What YAML would take, and we do not; the note is the cure."""


def _parse(content: str, loader: type = yaml.SafeLoader) -> Any:
    """YAML without references, whose expansion has no limit, and without a key twice.

    Raises:
        yaml.YAMLError: not YAML, with a reference or a key twice.
        ValueError: a date or number that does not exist.
        RecursionError: nested too deeply.
    """
    for token in yaml.scan(content):
        if isinstance(token, yaml.AliasToken):
            raise _NotTaken(
                problem=f"the reference *{token.value}",
                problem_mark=token.start_mark,
                note="write the value itself",
            )
    _require_single_keys(yaml.compose(content, Loader=yaml.SafeLoader))
    return yaml.load(content, Loader=loader)


def _require_single_keys(node: yaml.Node | None, above: str = "") -> None:
    if isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            _require_single_keys(inner, above)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        name = f"{above}{key.value}"
        line = key.start_mark.line + 1
        if name in lines:
            raise _NotTaken(
                problem=f"{name} stands twice, at line {lines[name]} and",
                problem_mark=key.start_mark,
                note="keep one",
            )
        lines[name] = line
        _require_single_keys(value, f"{name}.")


def find(recipe: str) -> Path:
    """Path of a recipe given by name or by path."""
    if recipe.endswith((".yaml", ".yml")):
        if Path(recipe).is_file():
            return Path(recipe)
        raise PipelineError(_("recipe file {recipe} does not exist").format(recipe=recipe))
    path = CONFIGS / f"{recipe}.yaml"
    if "/" in recipe or not path.is_file():
        raise PipelineError(
            _("unknown recipe {recipe!r}: choose one of {names}").format(
                recipe=recipe, names=", ".join(names())
            )
        )
    return path


def _set(content: dict, override: str) -> None:
    """Apply one "a.b=value" to nested dictionaries, in place."""
    key, separator, written = override.partition("=")
    if not separator or not key:
        raise PipelineError(
            _("override {override!r}: write it as section.key=value").format(override=override)
        )
    try:
        value = _parse(written)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise PipelineError(
            _("override {override!r}: the value is not valid YAML").format(override=override)
        ) from None
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            value = float(value)
        except ValueError:
            pass
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise PipelineError(
                _("override {override!r}: {section} is not a section").format(
                    override=override, section=section
                )
            )
    content[last] = value


def split(changes: str) -> list[str]:
    """Overrides in one text, as make's SET has them: "train.epochs=2 model.arguments={stem: 24}".

    One begins with `key=` behind a blank, unless that would leave a bracket or a quote before it
    open: so lists, maps and quoted texts may hold anything.
    """
    overrides: list[str] = []
    for part in re.split(r"(?<=\s)(?=[A-Za-z_][\w.]*=)", changes.strip()):
        if overrides and not _is_whole(overrides[-1]):
            overrides[-1] += part
        else:
            overrides.append(part)
    return [override.strip() for override in overrides if override]


def _is_whole(override: str) -> bool:
    try:
        _parse(override.partition("=")[2].strip())
    except yaml.YAMLError:
        return False
    except (ValueError, RecursionError):  # `_set` says so
        pass
    return True


def _one_line(name: str, error: ValidationError) -> str:
    """The first problem pydantic found, as one line: key, value, cure."""
    problem, others = error.errors()[0], error.error_count() - 1
    key = ".".join(str(part) for part in problem["loc"] if part != "function-before")
    more = _(" (and {count} more)").format(count=others) if others else ""
    if problem["type"] == "extra_forbidden":
        fields = _section_fields(problem["loc"][:-1])
        said = _("recipe {name}: unknown key {key}: the keys here are {fields}{more}")
        return said.format(name=name, key=key, fields=", ".join(fields), more=more)
    message = problem["msg"].removeprefix("Value error, ")
    if not message[:4].isupper():  # keep RKNN as it is
        message = message[:1].lower() + message[1:]
    if problem["type"] == "value_error" and isinstance(problem["input"], dict) and ": " in message:
        said = _("recipe {name}: {message}{more}")  # a check across keys names its key itself
        return said.format(name=name, message=message, more=more)
    if problem["type"] == "missing":
        return _("recipe {name}: {key} is missing{more}").format(name=name, key=key, more=more)
    value = repr(problem["input"])
    value = value if len(value) <= 80 else f"{value[:77]}..."
    said = _("recipe {name}: {key}: {value} cannot work: {message}{more}")
    return said.format(name=name, key=key, value=value, message=message, more=more)


def _section_fields(location: tuple) -> list[str]:
    section: Any = Recipe
    for part in location:
        section = section.model_fields[part].annotation
        section = next((a for a in get_args(section) if a is not type(None)), section)
    return list(section.model_fields)


def dump(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data, as it goes into the manifest."""
    return recipe.model_dump(mode="json")


def as_text(content: dict[str, Any]) -> str:
    """YAML of a resolved recipe in the order of its keys, a range or an array on one line."""
    return yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with keys such as "train.epochs"."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}.{key}" if prefix else key)
    return found
