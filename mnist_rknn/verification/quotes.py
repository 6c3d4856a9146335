"""Figures in README, docs and notebooks: Markdown made of `docs/figures.json` by cog.

A text holds the call in a comment, which a reader never sees, and below it what the call printed.
`refresh` makes all of it anew, so a figure cannot be older than `docs/figures.json`. The functions
whose names stand in `__all__` are what a text may call.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cogapp import Cog
from cogapp.cogapp import CogError

from .. import language, recipe_file
from ..errors import PipelineError
from ..files import OUTPUT, PROJECT, relative, replacing, write_text
from ..language import _
from ..pipeline import outputs
from ..pipeline.steps import Step
from ..records import Doubt
from ..redraw.worlds import HARD_CASES
from . import figures
from .figures import Entry, Share

__all__ = [
    "cost_table",
    "frame_table",
    "hard_table",
    "input_size",
    "not_run",
    "note",
    "recipe_table",
    "say",
    "seed_table",
    "size_table",
    "stage_table",
    "step_table",
    "thresholds",
    "without_outputs",
]


def stages() -> dict[str, str]:
    """What each stage is called in a table."""
    return {
        "paddle": _("Paddle, float, on this PC"),
        "onnx": _("ONNX, float, on this PC"),
        "slim": _("slim ONNX, float, on this PC"),
        "rknn": _("**INT8, in the RKNN simulator**"),
    }


PHOTOGRAPHS = "real-digits-dev"  # folder of the development photographs
TRIALS = PROJECT / "docs" / "trials"


def texts() -> Iterator[Path]:
    """Every text that may quote figures."""
    yield from sorted(PROJECT.glob("README*.md"))
    yield PROJECT / "data" / "README.md"
    yield from sorted((PROJECT / "docs").rglob("*.md"))
    yield from sorted((PROJECT / "notebooks").rglob("*.ipynb"))


def update(runs: Path | None = None) -> list[str]:
    """Take the figures of finished runs, draw the pictures of the docs, and refresh the texts.

    Args:
        runs: folder of the runs; None is `output/`.

    Returns:
        What was done, a line each.
    """
    runs = runs or OUTPUT
    entries, lines = figures.take(runs, figures.read())
    figures.write(entries)
    _entries.cache_clear()
    if (runs / "mnist" / "manifest.json").is_file():
        from . import strips  # loads the converter's libraries

        drawn = strips.draw(runs / "mnist", PROJECT / "docs")
        lines += [f"drawn      {relative(path)}" for path in drawn]
    lines.append(f"drawn      {relative(_draw_doubt(PROJECT / 'docs' / 'doubt.png'))}")
    return lines + [f"written    {relative(path)}" for path in refresh(write=True)]


def _draw_doubt(path: Path) -> Path:
    """The trade-off of doubtful answers, from the trial that chose the programs' threshold."""
    from .. import plots
    from . import frame_plots, frames  # OpenCV and matplotlib, which no text needs

    plots.use_style()
    rows = [
        Doubt(**{key: json.loads(row[key]) for key in Doubt.model_fields}) for row in _rows("doubt")
    ]
    with replacing(path) as temporary:
        frame_plots.doubt(rows, frames.deployed_reader().DOUBT).savefig(temporary)
    return path


def contradicted(step: Step) -> list[str]:
    """Figures of a notebook's text that its outputs do not show, a line each.

    Only figures of the run that the outputs are from; nothing if it has none.
    """
    path = outputs.of(step)
    notebook = outputs.read(path)
    if not outputs.is_made(notebook):
        return []
    numbers = [float(n.replace(",", "")) for n in _NUMBER.findall(outputs.shown(path))]
    cells = (cell for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    calls = re.findall(
        r"\[\[\[cog (.*?)\]\]\]", "\n".join("".join(c["source"]) for c in cells), re.S
    )
    quoted = re.findall(rf"\{{({outputs.RECIPE} [^{{}}]+)\}}", "\n".join(calls))
    return [
        f"{relative(path)}: its text says {_said(wanted)} ({wanted}), its outputs do not: "
        "make figures, then make notebooks"
        for wanted in quoted
        if not _is_among(_NUMBER.findall(_said(wanted))[0], numbers)
    ]


_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e-?\d+)?")


def _is_among(quoted: str, numbers: Sequence[float]) -> bool:
    """Whether one of some numbers, or of shares in percent, is the quoted one when rounded."""
    value = float(quoted.replace(",", ""))
    half = 0.5 * 10.0 ** -len(quoted.partition(".")[2]) + 1e-9
    return any(abs(factor * number - value) <= half for number in numbers for factor in (1, 100))


def refresh(write: bool) -> list[Path]:
    """Texts whose figures are not those of `docs/figures.json`.

    Args:
        write: write them anew; otherwise nothing is changed.

    Raises:
        PipelineError: a text asks for a figure that is not there.
    """
    _entries.cache_clear()
    stale = []
    for path in texts():
        before = path.read_text(encoding="utf-8")
        after = refreshed(before, path)
        if after != before:
            stale.append(path)
            if write:
                write_text(path, after)
    return stale


def refreshed(text: str, path: Path) -> str:
    """A text with its figures made anew; `path` tells its form and its language."""
    with language.use(language.of_page(path)):
        return _refreshed(text, path)


def _refreshed(text: str, path: Path) -> str:
    if path.suffix != ".ipynb":
        return _run_cog(text, path)
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            source = _run_cog("".join(cell["source"]) + "\n", path).removesuffix("\n")
            cell["source"] = source.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _run_cog(text: str, path: Path) -> str:
    if "[[[cog" not in text:
        return text
    cog = Cog()
    cog.options.prologue = f"from {__name__} import *"
    cog.options.print_output = True
    try:
        return cog.process_string(text, str(path))
    except (CogError, PipelineError) as error:
        raise PipelineError(f"{relative(path)}: {error}") from None


@cache
def _entries() -> dict[str, Entry]:
    return figures.read()


def _entry(name: str) -> Entry:
    if name not in _entries():
        raise PipelineError(f"docs/figures.json has no run {name}: {', '.join(_entries())}")
    return _entries()[name]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)) -> str:
    """A Markdown table; figures stand to the right, but for the columns that hold words."""
    rule = ["---" if column in words else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def _percent(share: Share | None) -> str:
    """A share in percent; two decimals where there are pictures enough for that."""
    if share is None:
        return ""
    return f"{100 * share.top1:.{2 if share.images >= 5000 else 1}f}"


def _interval(share: Share) -> str:
    if share.low is None or share.high is None:
        return ""
    digits = 2 if share.images >= 5000 else 1
    low, high = (f"{100 * edge:.{digits}f}" for edge in (share.low, share.high))
    return _("{low} to {high}").format(low=low, high=high)


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return _("{seconds} s").format(seconds=f"{seconds:.0f}")
    return _("{minutes} min").format(minutes=f"{seconds / 60:.0f}")


def _machine(name: str) -> str:
    """A machine in words, such as "2 cores, x86_64, no GPU"."""
    cores, kind, rest = name.split(", ", 2)
    rest = _("no GPU") if rest == "no GPU" else rest
    words = _("{count} cores, {kind}, {rest}")
    return words.format(count=cores.split()[0], kind=kind, rest=rest)


def _of_hundred(share: float, digits: int) -> str:
    return _("{figure} %").format(figure=f"{100 * share:.{digits}f}")


def say(template: str) -> str:
    """A sentence with figures in it.

    Args:
        template: names a figure as `{run key ...}`, such as `{mnist test rknn}`, in the words of
            `docs/figures.json`; after `:` comes what is to be said of it (`interval`, `images`,
            `minutes`, `kb`, or a number of decimals).
    """
    return re.sub(r"\{([^{}]+)\}", lambda match: _said(match[1]), template)


def _said(wanted: str) -> str:
    path, _, form = wanted.partition(":")
    name, *keys = path.split()
    value: Any = _entry(name)
    if keys == ["seconds"]:
        value = sum(value.figures.seconds.values())
    elif hasattr(value, keys[0]):
        value = getattr(value, keys[0])
    else:
        value = value.figures
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else getattr(value, key, None)
    if keys == ["machine"]:
        return _machine(value)
    if value is None:
        cure = "run its recipe"
        if "photographs" in keys or "pen" in keys:
            cure = f"run `mnist-rknn evaluate` with `--run {name}` on the set of that name"
        raise PipelineError(f"docs/figures.json has no {wanted}: {cure}, then `make figures`")
    return _formed(value, form)


# How a figure is written, by what a text asks for behind the colon.
SHARES: dict[str, Callable[[Share], str]] = {
    "": lambda share: _("{figure} %").format(figure=_percent(share)),
    "images": lambda share: f"{share.images:,}",
    "interval": lambda share: _interval(share),
}
NUMBERS: dict[str, Callable[[Any], str]] = {
    "": lambda value: f"{value:,.0f}" if isinstance(value, float) else f"{value:,}",
    "kb": lambda value: f"{value / 1024:,.0f} KB",
    "minutes": lambda value: _minutes(value),
    "percent": lambda value: _of_hundred(value, 2),
}


def _formed(value: Any, form: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Share):
        return SHARES[form](value) if form in SHARES else _of_hundred(value.top1, int(form))
    return NUMBERS[form](value) if form in NUMBERS else f"{value:,.{form}f}"


def input_size(recipe: str) -> str:
    """Height and width of a recipe's pictures."""
    image = recipe_file.load(recipe).image
    return f"{image.height}x{image.width}"


def note(*names: str) -> str:
    """What a reader should know of some figures; nothing, once a new run replaced them."""
    noted = [(name, _entry(name)) for name in names if _entry(name).note]
    return "\n".join(f"- `{name}`: {entry.note} ({_source(entry)})." for name, entry in noted)


def not_run(notebook: str) -> str:
    """That one of the lab's notebooks stands here without outputs; nothing, once it has some."""
    if notebook not in (step.name for step in outputs.unmade() if step.lab):
        return ""
    said = _(
        "*This notebook takes long. It was not run for this page, so nothing stands below its "
        "cells; `make {number}` runs it.*"
    )
    return said.format(number=notebook[:2])


def without_outputs() -> str:
    """Names of all notebooks that stand without outputs."""
    return ", ".join(f"`{step.name}`" for step in outputs.unmade()) or _("none")


def silent(step: Step) -> list[str]:
    """Whether a notebook without outputs that may be so does not say it: a line, or none."""
    path, said = outputs.of(step), not_run(step.name)
    if said in "".join(outputs.read(path)["cells"][0]["source"]):
        return []
    return [
        f"{relative(path)} has no outputs and does not say so: put "
        f"<!-- [[[cog print(not_run('{step.name}')) ]]] --> and <!-- [[[end]]] --> into its first "
        "cell, then make figures"
    ]


def thresholds(recipe: str) -> str:
    """What a recipe asks of its INT8 model, in words."""
    wanted = recipe_file.load(recipe).verify
    if wanted.min_camera_accuracy:
        text = _(
            "{test} % of the test images and {camera} % of the simulated camera in INT8, at most "
            "{drop} points below Paddle, and a mean cosine of {cosine}"
        )
    else:
        text = _(
            "{test} % of the test images in INT8, at most {drop} points below Paddle, and a mean "
            "cosine of {cosine}"
        )
    return text.format(
        test=f"{100 * wanted.min_accuracy:g}", camera=f"{100 * wanted.min_camera_accuracy or 0:g}",
        drop=f"{100 * wanted.max_drop:g}", cosine=f"{wanted.min_cosine:g}",
    )  # fmt: skip


def stage_table(name: str) -> str:
    """Every stage of a run on the test images and on the simulated camera, in percent."""
    found = _entry(name).figures
    rows = []
    for stage, text in stages().items():
        row = [text]
        for kind in (found.test, found.camera):
            if kind:
                row += [_percent(kind[stage]), _interval(kind[stage])]
        rows.append(row)
    images = found.test["rknn"].images
    interval = _("95 % interval")
    head = [_("top-1, %"), _("{count} test images").format(count=f"{images:,}"), interval]
    if found.camera:
        camera = found.camera["rknn"].images
        text = _("{count} pictures of the simulated camera")
        head += [text.format(count=f"{camera:,}"), interval]
    return _table(head, rows)


def case_name(case: str) -> str:
    """What a hard case of the simulated camera is called in a table."""
    names = {
        "small": _("small"),
        "shadow": _("shadow"),
        "security": _("security"),
        "thin": _("thin"),
        "ways": _("ways"),
        "all": _("all"),
    }
    return names[case]


def hard_table(*names: str) -> str:
    """INT8 on the hard cases of the simulated camera, in percent."""
    cases = [*HARD_CASES, "all"]
    rows = []
    for name in names:
        found = _entry(name).figures.hard["rknn"]
        rows.append([f"`{name}`", *(_percent(found.get(case)) for case in cases)])
    return _table([_("INT8, simulator, %"), *(case_name(case) for case in cases)], rows)


def frame_table(name: str, folder: str) -> str:
    """How many digits of a folder's whole frames a run finds and reads, in percent."""
    found = _entry(name).figures.frames.get(folder)
    if found is None:
        raise PipelineError(
            f"docs/figures.json has no frames {folder} of {name}: run `make evaluate RECIPE={name} "
            "FRAMES=...` on the folder of that name, then `make figures`"
        )
    names = {
        "recall": _("digits found"),
        "precision": _("boxes that are digits"),
        "read": _("found and read"),
        "right": _("whole frames right"),
    }
    rows = []
    for stage, row in (("slim", found.slim), ("rknn", found.rknn)):
        percents = [[100 * part for part in row[key].model_dump().values()] for key in names]
        words = _("{share} ({low} to {high})")
        shares = [
            words.format(share=f"{share:.1f}", low=f"{low:.1f}", high=f"{high:.1f}")
            for share, low, high in percents
        ]
        rows.append([stages()[stage], *shares, f"{row['edits'].share:.3f}"])
    counted = _("{frames} frames, {digits} digits; %")
    head = counted.format(frames=f"{found.frames:,}", digits=f"{found.digits:,}")
    return _table([head, *names.values(), _("edit distance a digit")], rows)


def seed_table(*names: str) -> str:
    """INT8 of runs that differ in nothing but the seed."""
    rows = []
    for name in names:
        entry = _entry(name)
        found = entry.figures
        hard = found.hard.get("rknn", {})
        photographs = found.photographs.get(PHOTOGRAPHS)
        rows.append(
            [
                str(entry.seed),
                _percent(found.test["rknn"]),
                _percent(found.camera["rknn"]),
                *(_percent(hard.get(case)) for case in HARD_CASES),
                "" if photographs is None else f"{100 * photographs.rknn.top1:.2f}",
                "" if photographs is None else _worst(photographs),
                _source(entry),
            ]
        )
    head = [_("seed"), "MNIST", _("simulated camera"), *(case_name(case) for case in HARD_CASES)]
    head += [_("279 photographs"), _("worst class of them"), _("from")]
    return _table(head, rows, words=(0, len(head) - 1))


def _worst(found: figures.Photographs) -> str:
    return "" if found.worst_class is None else f"{100 * found.worst_class:.1f}"


def _source(entry: Entry) -> str:
    if not entry.source.startswith("output/"):
        return f"{entry.date}, {entry.source}"
    commit = entry.commit[:7] if entry.commit else _("not known")
    text = (
        _("{date}, commit {commit} and changes")
        if entry.uncommitted
        else _("{date}, commit {commit}")
    )
    return text.format(date=entry.date, commit=commit)


def recipe_table(*names: str) -> str:
    """Input, size, cost and accuracy of recipes that have a finished run."""
    rows = []
    for name in names:
        entry = _entry(name)
        found = entry.figures
        cycles = f"{found.cycles:,}" if found.cycles else ""
        weights = f"{found.weights_kb:.0f} KB" if found.weights_kb else ""
        seconds = _minutes(sum(found.seconds.values())) if found.seconds else ""
        test = found.test.get("rknn")
        rows.append(
            [f"`{name}`", input_size(entry.recipe), _percent(test), cycles, weights, seconds]
        )
    head = [_("recipe"), _("input"), _("INT8 on its test images, %"), _("cycles"), _("weights")]
    head.append(_("all seven steps"))
    return _table(head, rows)


def size_table(name: str) -> str:
    """What each of the sizes that are told of one model counts."""
    found = _entry(name).figures
    assert found.values and found.int8_weights and found.weights_kb and found.file_bytes
    rows = [
        [
            _("Paddle's checkpoint, one byte a value"),
            f"{found.values / 1024:.0f} KB",
            _("notebook 02"),
        ],
        [_("INT8 weights alone"), f"{found.int8_weights / 1024:.0f} KB", "`layers.json`"],
        [
            _("the compiler's weight memory"),
            f"{found.weights_kb:.0f} KB",
            _("`layers.json`, manifest"),
        ],
        [_("the `.rknn` file"), f"{found.file_bytes / 1024:.0f} KB", _("manifest")],
    ]
    return _table([_("what is counted"), _("size"), _("where it stands")], rows, words=(0, 2))


def step_table(*names: str) -> str:
    """Seconds of every step of runs."""
    runs = {name: _entry(name).figures.seconds for name in names}
    steps = [step for step in runs[names[0]] if step[:2] < "07"]
    rows = [[step, *(f"{runs[name].get(step, 0):.0f} s" for name in names)] for step in steps]
    totals = [_minutes(sum(runs[name][step] for step in steps)) for name in names]
    return _table([_("step"), *(f"`{name}`" for name in names)], [*rows, [_("together"), *totals]])


def cost_table() -> str:
    """The compiler's estimates of `docs/trials/costs.csv`, or of a run that replaces a row."""
    rows = []
    for row in _rows("costs"):
        entry = _entries().get(row["run"])
        found = entry.figures.model_dump() if entry else row
        cycles, weights, internal = (
            float(found[key]) for key in ("cycles", "weights_kb", "internal_kb")
        )
        rows.append([row["network"], f"{cycles:,.0f}", f"{weights:,.0f} KB", f"{internal:,.0f} KB"])
    return _table([_("network and input"), _("cycles"), _("weights"), _("internal memory")], rows)


def _rows(name: str) -> list[dict[str, str]]:
    with (TRIALS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
