"""A user's own data set: what it is, what is wrong with it, and a recipe to begin with."""

import math
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import recipe_file
from ..errors import PipelineError
from ..files import PROJECT, relative, replacing
from ..recipe import FEWEST_CALIBRATION_IMAGES, is_name
from ..text import shown
from . import checks, pictures, sources
from .listing import Answers, Finding, Listing, named

HELD_OUT = 0.15  # share for validation, and for testing, where the set has none
LARGEST_SIDE = 96  # pixels of the network's input; a 2-core CPU trains larger ones slowly
SHOWN = 30  # classes in the text
OPTIONS = {"kind": "--as", "take": "--take", "split": "--split", "turn": "--turn"}


class Found(NamedTuple):
    """What `examine` found."""

    kind: str
    path: str  # as the recipe names it
    said: Answers  # with what the set was read
    listing: Listing  # of the pictures that stay
    images: np.ndarray | None  # of a set in MNIST's format, uint8 [N, h, w]
    sizes: np.ndarray  # int64 [N, 2], height and width of the pictures that stay
    input_size: tuple[int, int]  # height and width for the network
    gray: int  # how many pictures are gray
    counts: dict[str, np.ndarray]  # of every class: "train", "val", "test"
    notes: list[str]
    findings: list[Finding]  # for which no recipe is written

    @property
    def problems(self) -> list[str]:
        """The findings, without their answers."""
        return [finding.text for finding in self.findings]


def examine(path: str, said: Answers | None = None) -> Found:
    """Recognise a data set and look at every picture of it, as step 01 will.

    Args:
        path: folder or archive, absolute or from the project's folder.
        said: answers to what was asked before.

    Raises:
        PipelineError: nothing there, an archive that is refused, or no known layout; also where
            only an answer tells which of several sets is meant.
    """
    said = said or Answers()
    kind, listing, images = sources.read(sources.open_path(path), said)
    measured = pictures.sizes(listing.files) if images is None else _sizes_of(images)
    size = _input_size(measured)
    looks = sources.looked_at(listing, images, size)
    found = checks.examine(listing, looks)
    kept = checks.only(listing, found)
    seen = [looks[index] for index in found.kept]
    counts = sources.planned_counts(kept, HELD_OUT, HELD_OUT)
    findings = found.problems
    if not findings:
        findings = checks.missing(kept, counts) or _too_few(kept, counts)
    return Found(
        kind,
        relative(PROJECT / Path(path).expanduser()),
        said,
        kept,
        None if images is None else images[found.kept],
        np.array([(look.height, look.width) for look in seen], np.int64).reshape(-1, 2),
        size,
        sum(look.gray for look in seen),
        counts,
        kept.notes,
        findings,
    )


def _sizes_of(images: np.ndarray) -> np.ndarray:
    return np.array([sources.size_of(images)], np.int64)


def _input_size(sizes: np.ndarray) -> tuple[int, int]:
    """Height and width for the network: shape of the median picture, in steps of 16 pixels."""
    if not len(sizes):
        return 32, 32  # there is no picture that can be read, which is said elsewhere
    median = np.median(sizes, axis=0)
    scale = min(1.0, LARGEST_SIDE / median.max())
    height, width = (max(32, 16 * math.ceil(side * scale / 16 - 0.5)) for side in median)
    return min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)


def _too_few(listing: Listing, counts: dict[str, np.ndarray]) -> list[Finding]:
    """Classes with fewer training pictures than calibration needs: 20 in all, two of each."""
    fewest = max(2, math.ceil(FEWEST_CALIBRATION_IMAGES / max(1, len(listing.labels))))
    few = [
        f"{shown(label)} ({train} of {fewest})"
        for label, train in zip(listing.labels, counts["train"], strict=True)
        if train < fewest
    ]
    if not few:
        return []
    needed = math.ceil(fewest / (1 - HELD_OUT) ** 2) + 1
    return [
        Finding(
            f"{len(few):,} classes with too few pictures to train on: {named(few)}; with about "
            f"{needed} pictures a class {fewest} remain for training; a folder that is no class "
            "is to be moved away"
        )
    ]


# --- what is said ---------------------------------------------------------------------


def text(found: Found, command: str = "mnist-rknn import PATH") -> str:
    """What was found, for people: a line a fact.

    Args:
        command: that was given, which the answers are added to.
    """
    labels = found.listing.labels
    total = np.sum(list(found.counts.values()), axis=0)
    lines = [f"found      a {found.kind} set in {found.path}: {len(labels)} classes"]
    names = [shown(label) for label in labels[:SHOWN]]
    width = max((len(name) for name in names), default=0)
    for index, name in enumerate(names):
        parts = ", ".join(f"{count[index]:,} {split}" for split, count in found.counts.items())
        lines.append(f"           {name:<{width}}  {total[index]:>7,}  ({parts})")
    if len(labels) > SHOWN:
        lines.append(f"           and {len(labels) - SHOWN} classes more")
    if len(found.sizes):
        low, high = found.sizes.min(axis=0), found.sizes.max(axis=0)
        middle = np.median(found.sizes, axis=0)
        lines.append(
            f"pictures   {len(found.sizes):,}, {found.gray:,} of them gray; width {low[1]} to "
            f"{high[1]}, height {low[0]} to {high[0]}, median {middle[1]:.0f}x{middle[0]:.0f}"
        )
    lines += [f"note       {note}" for note in found.notes]
    for finding in found.findings:
        lines.append(f"problem    {finding.text}")
        lines += [f"answer     {line}" for line in commands(finding, command)]
    return "\n".join(lines)


def command_of(path: Path, into: str | None, said: Answers) -> str:
    """The command line of an import, as it would be typed."""
    words = ["mnist-rknn", "import", str(path)]
    given = said._asdict()
    given["split"] = None if said.split == "own" else said.split
    if said.turn is not None:
        given["turn"] = "yes" if said.turn else "no"
    for key, option in OPTIONS.items():
        words += [option, given[key]] if given[key] is not None else []
    return shlex.join([*words, *(["--into", into] if into else [])])


def commands(finding: Finding, command: str) -> list[str]:
    """The command, once with each answer to a finding."""
    return [f"{command} {OPTIONS[key]} {shlex.quote(value)}" for key, value in finding.answers]


def asked(finding: Finding, command: str) -> str:
    """A finding in one line, with the command that answers it."""
    lines = commands(finding, command)
    if not lines:
        return finding.text
    others = [f"{OPTIONS[key]} {shlex.quote(value)}" for key, value in finding.answers[1:]]
    more = f" (or {named(others)})" if others else ""
    return f"{finding.text}{'' if finding.text.endswith('?') else ':'} {lines[0]}{more}"


def refusal(found: Found, command: str) -> str:
    """The first finding in one line, and how many more there are."""
    more = f" and {len(found.findings) - 1} more problems" if found.findings[1:] else ""
    return asked(found.findings[0], command) + more


def to_json(found: Found, command: str = "mnist-rknn import PATH") -> dict[str, Any]:
    """What was found, for programs."""
    return {
        "kind": found.kind,
        "path": found.path,
        "labels": list(found.listing.labels),
        "counts": {name: count.tolist() for name, count in found.counts.items()},
        "pictures": len(found.sizes),
        "gray": int(found.gray),
        "left_out": {
            found.listing.name(file): reason.replace("{n} ", "")
            for file, reason in found.listing.left.items()
        },
        "notes": found.notes,
        "problems": found.problems,
        "answers": [line for finding in found.findings for line in commands(finding, command)],
    }


# --- the recipe -----------------------------------------------------------------------


def new_recipe_file(name: str) -> Path:
    """Path of a recipe that does not exist yet.

    Raises:
        PipelineError: the name cannot be a recipe's, or is one's already.
    """
    path = recipe_file.CONFIGS / f"{name}.yaml"
    if not is_name(name):
        raise PipelineError(f"--into {name!r}: use letters, digits, '_', '-' and '.'")
    if path.exists():
        raise PipelineError(
            f"{relative(path)} is there already: choose another name, or delete it first"
        )
    return path


def write_recipe(found: Found, path: Path, command: str = "mnist-rknn import PATH") -> None:
    """Write a recipe for a set, in one step and only if it loads.

    Raises:
        PipelineError: the set has problems; they are mended first.
    """
    from . import recipe_draft

    if found.findings:
        raise PipelineError(f"no recipe is written: {refusal(found, command)}")
    with replacing(path) as temporary:
        temporary.write_text(recipe_draft.text(found), encoding="utf-8")
        recipe_file.load(str(temporary), [f"name={path.stem}"])
