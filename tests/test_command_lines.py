"""Every command line that a reader is told to type is one that exists.

Lines of README, docs, notebooks, the bundle's READMEs, helps, scripts and messages are parsed by
the command's own parser or asked of `make -n`; those that are quick and change nothing are run.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.runs import COMMAND, PROJECT, run_script

from mnist_rknn import cli, command

FEWEST = 60  # lines that were found when this was written were more
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
TEXTS = (
    PROJECT / "README.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
    *sorted((PROJECT / "data").glob("*.md")),
    *sorted((PROJECT / "deploy").glob("*.j2")),
)
SOURCES = (
    *sorted((PROJECT / "mnist_rknn").rglob("*.py")),
    *sorted((PROJECT / "mnist_rknn").rglob("*.j2")),
    *sorted((PROJECT / "scripts").glob("*.py")),
)
PROGRAM = re.compile(
    r"make (?=\S)|(\.venv/bin/)?(mnist-rknn |python (scripts/|-m mnist_rknn ))|scripts/\w+\.py"
)
UNFILLED = re.compile(r"\{\{.*?\}\}|\{[^{}]*\}")  # what a template or an f-string puts there


def found() -> Iterator[tuple[str, str]]:
    """Command lines, each with where it stands."""
    for path in TEXTS:
        yield from of_markdown(path.name, path.read_text(encoding="utf-8"))
    for path in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                yield from of_markdown(path.name, "".join(cell["source"]))
    for path in SOURCES:
        yield from of_source(path.name, path.read_text(encoding="utf-8"))


def of_markdown(place: str, text: str) -> Iterator[tuple[str, str]]:
    """Command lines in fenced blocks and in inline code."""
    fenced = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    for block in fenced.findall(text):
        yield from of_lines(place, block)
    for code in re.findall(r"`([^`\n]+)`", fenced.sub("", text)):
        yield from of_line(place, code)


def of_source(place: str, text: str) -> Iterator[tuple[str, str]]:
    """Command lines in inline code of messages, and those that are a line of a help."""
    for code in re.findall(r"`([^`\n\"]+)`", text):
        yield from of_line(place, re.sub(r"^make \{number\}", "make 01", code))
    lines = re.compile(rf"^ *(?:{command.NAME}|python scripts)[ /](?:.*\\\n)*.*$", re.MULTILINE)
    for line in lines.findall(text):
        yield from of_lines(place, line)


def of_lines(place: str, text: str) -> Iterator[tuple[str, str]]:
    for line in re.sub(r"\\+\n\s*", "", text).splitlines():
        yield from of_line(place, line)


def of_line(place: str, line: str) -> Iterator[tuple[str, str]]:
    if PROGRAM.match(line.strip()):
        yield place, UNFILLED.sub("x", line.strip()).partition("   ")[0]


LINES = sorted(set(found()))


def check(line: str) -> None:
    """Raise unless the line's program, options and arguments exist."""
    words = shlex.split(line, comments=True)
    words[0] = words[0].removeprefix(".venv/bin/")
    if words[:3] == ["python", "-m", "mnist_rknn"]:
        words[:3] = [command.NAME]
    if words[0] == "python":
        del words[0]
    if words[0] == "make":
        check_make(words[1:])
    elif words[0] == command.NAME:
        check_command(cli.cli, words[0], words[1:])
    else:
        check_script(PROJECT / words[0], words[1:])


def check_make(words: list[str]) -> None:
    for name in [word.partition("=")[0] for word in words if "=" in word]:
        used = re.search(
            rf"\$[({{]{name}[)}}]|^{name}\s*\?=|\(value {name}\)", MAKEFILE, re.MULTILINE
        )
        assert used, f"the Makefile has no variable {name}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    result = subprocess.run(
        ["make", "-n", *words], cwd=PROJECT, env=inherited, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def check_command(command: click.Command, name: str, words: list[str]) -> None:
    """Parse a command line, those of a group's commands too, and run nothing."""
    if not words and isinstance(command, click.Group):
        return
    try:
        if isinstance(command, click.Group) and not words[0].startswith("-"):
            context = click.Context(command, info_name=name)
            name, chosen, rest = command.resolve_command(context, words)
            chosen.make_context(name, rest, parent=context)
        else:
            command.make_context(name, list(words))
    except click.exceptions.Exit:  # --help and --version end here
        pass
    except click.MissingParameter:  # `mnist-rknn export` in a sentence names the command
        if any(not word.startswith("-") for word in words[1:]):
            raise


def check_script(path: Path, words: list[str]) -> None:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    script = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(path.parent))  # as Python does that runs it
    try:
        specification.loader.exec_module(script)
    finally:
        sys.path.remove(str(path.parent))
    if path.stem == "check":
        assert set(words) <= {"--platform"}
        return
    if path.stem == "install":
        assert not words or (words[0] in ("packages", "command", "same") and words[1] == ".venv")
        return
    own = [value for value in vars(script).values() if isinstance(value, click.Command)]
    [asked] = [cli.run] if path.stem == "run" else own
    check_command(asked, path.name, words)


def test_lines_are_found_wherever_they_are_looked_for():
    places = {place for place, _ in LINES}
    assert {"README.md", "README.md.j2", "README.zh.md.j2", "09_own_data.ipynb", "cli.py"} <= places
    assert len(LINES) >= FEWEST
    for program in ("make ", ".venv/bin/mnist-rknn ", "mnist-rknn ", "python scripts/"):
        assert any(line.startswith(program) for _, line in LINES), program


@pytest.mark.parametrize(
    ("place", "line"), LINES, ids=[f"{place}: {line[:60]}" for place, line in LINES]
)
def test_command_line_exists(place, line):
    check(line)


@pytest.mark.parametrize(
    "line",
    [
        "make nosuch",
        "make rknn RECIP=smoke",
        "mnist-rknn nosuch",
        "mnist-rknn run --forse",
        ".venv/bin/mnist-rknn golden one",
        ".venv/bin/python -m mnist_rknn costs 3",
        "python scripts/run.py --summry",
        "python scripts/check.py --nosuch",
        "python scripts/nosuch.py",
    ],
)
def test_command_line_that_does_not_exist_is_caught(line):
    [(_, seen)] = of_markdown("here", f"Run `{line}` now.")
    with pytest.raises((AssertionError, click.UsageError, OSError)):
        check(seen)


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["list"], ["list", "03-06", "--recipe", "smoke"]]
)
def test_quick_commands_run(words):
    result = subprocess.run(
        [*COMMAND, *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0 and result.stdout, result.stderr


@pytest.mark.parametrize("script", ["run.py", "benchmark.py", "choices.py"])
def test_scripts_explain_themselves(script):
    result = run_script(script, "--help")
    assert result.returncode == 0 and f"Usage: scripts/{script}" in result.stdout
