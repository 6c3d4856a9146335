"""`docs/figures.json`: the figures that README, docs and notebooks quote, from finished runs.

`make figures` reads the manifest of every finished run below `output/` and brings the entries of
these runs up to date; the others stay as they are. So a figure in a text is one that a run gave,
with its recipe, seed, date, machine and commit. An entry that was written by hand says so in
`source`, until a run of that name replaces it.
"""

import math
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from .. import recipe_file
from ..errors import PipelineError
from ..files import PROJECT, read_json, write_json
from ..language import _
from ..pipeline.steps import STEPS
from ..recipe import REFUSED, Recipe

FILE = PROJECT / "docs" / "figures.json"
ENOUGH = 100  # digits of a site; of fewer, one digit would be the figure
CODE = ("mnist_rknn", "notebooks", "configs", "requirements.txt")
WAY = {step.name for step in STEPS if not step.extra}  # the way to a model, without the lessons


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Share(_Part):
    """A share of pictures read rightly, 0 to 1, with its 95 % interval where that is known."""

    top1: float
    images: int
    low: float | None = None
    high: float | None = None


class Ratio(_Part):
    """A count over another with its 95 % interval; `edits` is a number a digit, not a share."""

    share: float
    low: float
    high: float


class Photographs(_Part):
    """What `make evaluate` found on a folder of photographs."""

    rknn: Share
    slim: Share | None = None
    worst_class: float | None = None  # share of the class that INT8 reads worst


class Frames(_Part):
    """What `make evaluate FRAMES=...` found on a folder of whole frames, of all of them."""

    frames: int
    digits: int
    slim: dict[str, Ratio]  # recall, precision, read, right and edits; the first three need boxes
    rknn: dict[str, Ratio]


class PenDigits(_Part):
    """What `make evaluate PEN=...` found on digits drawn in one way."""

    rknn: Share
    slim: Share
    worst_site: float  # share at the site of enough digits that INT8 reads worst


class Figures(_Part):
    """What was measured on the PC or in the simulator, and what the compiler estimates."""

    test: dict[str, Share] = {}  # by stage; "rknn" is INT8 in the simulator
    camera: dict[str, Share] = {}  # the simulated camera
    hard: dict[str, dict[str, Share]] = {}  # its hard cases, by stage and case
    photographs: dict[str, Photographs] = {}  # by name of the folder
    frames: dict[str, Frames] = {}  # by name of the folder
    pen: dict[str, dict[str, PenDigits]] = {}  # by name of the set and by how it was drawn
    cosine: float | None = None  # mean cosine of the INT8 logits and the float ones
    validation: float | None = None  # top-1 after the training
    cycles: int | None = None  # this and the next two: the compiler's estimate
    weights_kb: float | None = None
    internal_kb: float | None = None
    values: int | None = None  # in Paddle's checkpoint
    int8_weights: int | None = None  # that are left when batch norm is melted in
    file_bytes: int | None = None  # of the .rknn file
    pictures: dict[str, int] = {}  # by split
    seconds: dict[str, float] = {}  # by step


class Entry(_Part):
    """A run and its figures."""

    recipe: str
    seed: int
    date: str  # of the run, year-month-day
    machine: str
    commit: str | None  # None: not known
    uncommitted: bool = False  # there were changes beside the commit
    changes: list[str] = []  # keys that differ from the recipe's file, the seed left out
    source: str
    note: str | None = None
    model: str | None = None  # first digits of the .rknn file's SHA-256; differs in every build
    figures: Figures


_ENTRIES = TypeAdapter(dict[str, Entry])


def read(path: Path = FILE) -> dict[str, Entry]:
    """Entries by name of their run.

    Raises:
        PipelineError: the file is missing or not of this form.
    """
    try:
        return _ENTRIES.validate_python(read_json(path))
    except ValueError as error:
        raise PipelineError(
            _("{name} is not as figures.py writes it: {error}").format(name=path.name, error=error)
        ) from None


def write(entries: Mapping[str, Entry], path: Path = FILE) -> None:
    """Write entries, sorted by name, without what is not known."""
    content = {
        name: entries[name].model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        | {"commit": entries[name].commit}
        for name in sorted(entries)
    }
    write_json(path, content)


def take(runs: Path, known: Mapping[str, Entry]) -> tuple[dict[str, Entry], list[str]]:
    """Entries brought up to date with the finished runs below a folder.

    Args:
        runs: usually `output/`.
        known: entries so far; those without a run below `runs` stay.

    Returns:
        The entries, and a line for every run: taken, or left out and why.
    """
    entries, lines = dict(known), []
    for folder in _finished(runs):
        name = folder.relative_to(runs).as_posix()
        entry = _entry(folder, name)
        plain = re.fullmatch(rf"{re.escape(entry.recipe)}(-seed\d+)?", name)
        if plain and entry.changes:
            keys = ", ".join(entry.changes)
            lines.append(f"left out   {name}: not as the recipe's file says: {keys}")
            continue
        before = known.get(name)
        if before and before.model == entry.model:  # the same run, seen again
            same = {"commit": before.commit, "uncommitted": before.uncommitted}
            entry = entry.model_copy(update={**same, "date": before.date})
            entry.figures.photographs = before.figures.photographs | entry.figures.photographs
            entry.figures.frames = before.figures.frames | entry.figures.frames
            entry.figures.pen = before.figures.pen | entry.figures.pen
        entries[name] = entry
        lines.append(f"taken      {name}")
    return entries, lines


def _finished(runs: Path) -> Iterator[Path]:
    """Folders of finished runs, at most two levels down: pictures are never walked through."""
    for path in sorted([*runs.glob("*/manifest.json"), *runs.glob("*/*/manifest.json")]):
        if (path.parent / "verify.json").is_file():  # the bundle's manifest has none beside it
            yield path.parent


def _entry(folder: Path, name: str) -> Entry:
    manifest = read_json(folder / "manifest.json")
    recipe = manifest["recipe"]
    commit, uncommitted = _commit(folder)
    model = f"{recipe['name']}.rknn"
    return Entry(
        recipe=recipe["name"],
        seed=recipe["seed"],
        date=time.strftime("%Y-%m-%d", time.gmtime((folder / "manifest.json").stat().st_mtime)),
        machine=_machine(folder),
        commit=manifest.get("commit", commit),
        uncommitted=uncommitted and "commit" not in manifest,
        changes=_changes(recipe),
        source=f"output/{name}/manifest.json",
        model=manifest["artifacts"][model]["sha256"][:16],
        figures=_figures(folder, manifest),
    )


def _figures(folder: Path, manifest: dict[str, Any]) -> Figures:
    verify = read_json(folder / "verify.json")
    stages, camera = verify["stages"], verify["camera"] or {}
    data = folder / "steps" / "01_data.json"
    estimate, training = manifest["estimate"], manifest["training"]
    return Figures(
        test={stage: _share(row["accuracy"]) for stage, row in stages.items()},
        camera={stage: _share(row["accuracy"]) for stage, row in camera.items()},
        hard={
            stage: {case: _share(share) for case, share in cases.items()}
            for stage, cases in (verify["hard_cases"] or {}).items()
        },
        photographs=_photographs(folder),
        frames=_frames(folder),
        pen=_pen(folder),
        cosine=stages["rknn"]["cosine"]["mean"],
        validation=training.get("val_top1"),
        cycles=estimate["cycles"],
        weights_kb=estimate["weights_kb"],
        internal_kb=estimate["internal_kb"],
        values=training.get("parameters"),
        int8_weights=_int8_weights(read_json(folder / "layers.json")["layers"]),
        file_bytes=manifest["artifacts"][f"{manifest['recipe']['name']}.rknn"]["bytes"],
        pictures=read_json(data)["results"]["images"] if data.is_file() else {},
        seconds={name: s for name, s in manifest["durations"].items() if name in WAY},
    )


def _share(accuracy: Mapping[str, Any]) -> Share:
    return Share(
        top1=accuracy["top1"],
        images=accuracy["images"],
        low=round(accuracy["low"], 6),
        high=round(accuracy["high"], 6),
    )


def _photographs(folder: Path) -> dict[str, Photographs]:
    found = {}
    for path in sorted(folder.glob("evaluate/*/results.json")):
        results = read_json(path)
        classes = [v for v in results["class_accuracy"]["rknn"].values() if v is not None]
        found[path.parent.name] = Photographs(
            slim=_share(results["accuracy"]["slim"]["all"]),
            rknn=_share(results["accuracy"]["rknn"]["all"]),
            worst_class=min(classes),
        )
    return found


def _frames(folder: Path) -> dict[str, Frames]:
    found = {}
    for path in sorted(folder.glob("evaluate/*/frames/results.json")):
        by_stage = {stage: groups["all"] for stage, groups in read_json(path)["figures"].items()}
        ratios = {
            stage: {
                name: Ratio(**{key: round(value[key], 6) for key in ("share", "low", "high")})
                for name, value in row.items()
                if isinstance(value, dict)
            }
            for stage, row in by_stage.items()
        }
        counted = {key: by_stage["rknn"][key] for key in ("frames", "digits")}
        found[path.parent.parent.name] = Frames(**counted, **ratios)
    return found


def _pen(folder: Path) -> dict[str, dict[str, PenDigits]]:
    found: dict[str, dict[str, PenDigits]] = {}
    for path in sorted(folder.glob("evaluate/*/pen/results.json")):
        found[path.parent.parent.name] = {
            drawing: PenDigits(
                slim=_share(figures["sites"]["slim"]["all"]),
                rknn=_share(figures["sites"]["rknn"]["all"]),
                worst_site=min(
                    row["top1"]
                    for row in figures["sites"]["rknn"].values()
                    if row["images"] >= min(ENOUGH, figures["sites"]["rknn"]["all"]["images"])
                ),
            )
            for drawing, figures in read_json(path)["figures"].items()
        }
    return found


def _int8_weights(layers: list[dict[str, Any]]) -> int:
    """Weights of all layers, without biases: the second shape that the compiler's table names."""
    count = 0
    for layer in layers:
        shapes = re.findall(r"\(([\d,]+)\)", layer["input_shape"])
        if layer["operator"].startswith("Conv") and len(shapes) > 1:
            count += math.prod(int(size) for size in shapes[1].split(","))
    return count


def _changes(recipe: dict[str, Any]) -> list[str]:
    """Keys of a run's recipe with other values than the file in `configs/` has today."""
    if recipe["name"] not in recipe_file.names():
        return []
    # As today's code reads it: what left no choice was a key once, and defaults were left out.
    rknn = {key: value for key, value in recipe["rknn"].items() if key not in REFUSED}
    try:
        read = Recipe.model_validate({**recipe, "rknn": rknn})
    except ValidationError as error:
        return sorted({".".join(map(str, problem["loc"])) for problem in error.errors()})
    wanted = recipe_file.flat(recipe_file.dump(recipe_file.load(recipe["name"])))
    given = recipe_file.flat(recipe_file.dump(read))
    apart = ("seed", "description")
    return sorted(key for key in given if key not in apart and given[key] != wanted.get(key))


def _machine(folder: Path) -> str:
    """Cores, architecture and GPU, as step 00 saw them; no names."""
    path = folder / "environment.json"
    found = {check["name"]: check["detail"] for check in read_json(path)} if path.is_file() else {}
    cores = found.get("processor", "cores not known").split(",")[0]
    device = found.get("device", "CPU")
    return f"{cores}, x86_64, {'no GPU' if device.startswith('CPU') else device}"


def _commit(folder: Path) -> tuple[str | None, bool]:
    """Commit of the checkout that holds a run, and whether its code had been changed since."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(folder), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    top = git("rev-parse", "--show-toplevel")
    if not top:
        return None, False
    status = ("status", "--porcelain", "--untracked-files=no", "--")
    return git("rev-parse", "HEAD"), bool(git(*status, *(f"{top}/{name}" for name in CODE)))
