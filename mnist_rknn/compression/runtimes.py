"""Runtimes side by side: which are there, how far from Paddle they answer, and how quickly.

How a runtime is called stands in notebook 16. Here is what is done with all of them alike.
"""

import contextlib
import importlib.util
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import PipelineError
from ..files import relative
from ..language import _
from ..pipeline.environment import installed_version

REQUIREMENTS = "docs/requirements-16.txt"
NEEDED = {
    "MNN": ("mnn",),
    "ncnn": ("ncnn", "pnnx"),
    "LiteRT": ("ai-edge-litert",),
    "TFLite Micro": ("tflite-micro", "ai-edge-litert"),  # the latter has the file's schema
}
"""Packages of each runtime that is optional."""
ALLOWED_LOGITS = 1e-3  # between two float runtimes
ALLOWED_POINTS = 0.3  # of accuracy, between two INT8 runtimes

Answer = Callable[[np.ndarray], np.ndarray]
"""Logits [1, classes] of one picture: float32 [1, 3, H, W], normalised, or its pixels."""


class Engine(NamedTuple):
    """A network in a runtime."""

    files: Sequence[Path]  # what it is loaded from
    load: Callable[[], Answer]
    int8: bool = False
    pixels: bool = False  # takes uint8 [1, H, W, 3] and normalises itself
    most: int | None = None  # a slow one answers no more pictures than this


class Measured(NamedTuple):
    """What an engine did."""

    bytes: int
    loading: float  # seconds
    seconds: float  # for one picture: the median
    ratio: float  # of that, to the engine that all are held against
    logits: np.ndarray  # float32 [pictures, classes]


def there() -> set[str]:
    """The optional runtimes that are installed."""
    return {name for name in NEEDED if not _missing(name)}


def packages() -> list[str]:
    """Those of the optional runtimes that are there."""
    return sorted({package for name in there() for package in NEEDED[name]})


def absences() -> list[str]:
    """For each optional runtime that is not installed: what is missing, and the cure."""
    return [
        _(
            "{name} is left out, as {packages} is not installed: "
            "`.venv/bin/python -m pip install --no-deps --require-hashes -r {requirements}`, "
            "then `.venv/bin/mnist-rknn run 16 --force`"
        ).format(name=name, packages=", ".join(_missing(name)), requirements=REQUIREMENTS)
        for name in NEEDED
        if _missing(name)
    ]


def _missing(name: str) -> list[str]:
    return [package for package in NEEDED[name] if not _is_there(package)]


def _is_there(package: str) -> bool:
    try:
        return bool(installed_version(package))
    except PackageNotFoundError:
        return False


def require_count(name: str, value: int) -> None:
    """Check a number of pictures or rounds.

    Raises:
        PipelineError: it is not a whole number above 0.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PipelineError(
            _("{name} {value}: choose a whole number above 0").format(name=name, value=value)
        )


def program(package: str) -> Path:
    """The program that lies in a package's folder under the package's name.

    The package itself need not be imported.

    Raises:
        PipelineError: the package is not installed, or holds no such program.
    """
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / package if found and found.origin else None
    if path is None or not path.is_file():
        raise PipelineError(
            _("there is no program {package}: install {requirements} again").format(
                package=package, requirements=REQUIREMENTS
            )
        )
    return path


def convert(command: Sequence[str | Path], made: Path, log: Path) -> None:
    """Run a converter in a process of its own, where it may print and stop as it likes.

    Args:
        made: the file that it is to write; an old one is removed before.
        log: file for its output; it stays only if something fails.

    Raises:
        PipelineError: it failed, or wrote nothing.
    """
    made.unlink(missing_ok=True)
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(
            [str(word) for word in command],
            stdout=file, stderr=subprocess.STDOUT, cwd=made.parent, check=False,
        ).returncode  # fmt: skip
    if code or not made.is_file():
        raise PipelineError(
            _("the converter wrote no {made} (it ended with {code}): read {log}").format(
                made=made.name, code=code, log=relative(log)
            )
        )
    log.unlink()


# --- answers and times ------------------------------------------------------------------


@contextlib.contextmanager
def on_one_core() -> Iterator[None]:
    """Keep this thread, and those that it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def answers(answer: Answer, inputs: np.ndarray, most: int | None = None) -> np.ndarray:
    """Logits float32 [N, classes] of the first `most` inputs, given one by one."""
    found = [answer(inputs[i : i + 1]).reshape(1, -1) for i in range(len(inputs[:most]))]
    return np.concatenate(found).astype(np.float32)


def measure(
    engines: Mapping[str, Engine],
    images: np.ndarray,
    prepare: Callable[[np.ndarray], np.ndarray],
    against: str,
    rounds: int,
) -> dict[str, Measured]:
    """Load every engine, let it answer, and measure all of them in turns on one core.

    In each round each engine answers one picture, so that whatever else the machine does slows
    all of them alike. The ratio is the median over the rounds.

    Args:
        images: uint8 [N, H, W, 3].
        prepare: makes float32 [n, 3, H, W] of them.
        against: the engine to which the ratios are.
    """
    prepared = prepare(images)
    with on_one_core():
        loaded, loading = {}, {}
        for name, engine in engines.items():
            engine.load()  # the first time imports the runtime
            start = time.perf_counter()
            loaded[name] = engine.load()
            loading[name] = time.perf_counter() - start
        inputs = {name: images if one.pixels else prepared for name, one in engines.items()}
        logits = {
            name: answers(loaded[name], inputs[name], engine.most)
            for name, engine in engines.items()
        }
        seconds = pd.DataFrame(
            [
                {
                    name: _seconds(loaded[name], inputs[name][[turn % len(images)]])
                    for name in engines
                }
                for turn in range(rounds)
            ]
        )
    ratios = seconds.div(seconds[against], axis=0).median()
    return {
        name: Measured(
            sum(path.stat().st_size for path in engine.files),
            loading[name],
            float(seconds[name].median()),
            float(ratios[name]),
            logits[name],
        )
        for name, engine in engines.items()
    }


def _seconds(answer: Answer, one: np.ndarray) -> float:
    start = time.perf_counter()
    answer(one)
    return time.perf_counter() - start


def difference(logits: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How far logits [n, classes] are from those of the same pictures, absolute."""
    return np.abs(logits.astype(np.float64) - reference[: len(logits)])


def agreement(logits: np.ndarray, reference: np.ndarray) -> float:
    """Share of the pictures that get the same class, from 0 to 1."""
    return float((logits.argmax(axis=1) == reference[: len(logits)].argmax(axis=1)).mean())


def table(
    engines: Mapping[str, Engine], measured: Mapping[str, Measured], reference: str
) -> pd.DataFrame:
    """What was measured, for people."""
    truth = measured[reference].logits
    return pd.DataFrame(
        {
            name: {
                _("numbers"): "INT8" if engines[name].int8 else "float",
                _("bytes"): f"{found.bytes:,}",
                _("load, ms"): f"{1000 * found.loading:.1f}",
                _("a picture, ms"): f"{1000 * found.seconds:.2f}",
                _("ratio"): f"{found.ratio:.2f}",
                _("largest difference"): f"{difference(found.logits, truth).max():.1e}",
                _("mean difference"): f"{difference(found.logits, truth).mean():.1e}",
                _("same answer, %"): f"{100 * agreement(found.logits, truth):.2f}",
                _("pictures"): f"{len(found.logits):,}",
            }
            for name, found in measured.items()
        }
    ).T


def float_verdicts(
    engines: Mapping[str, Engine], measured: Mapping[str, Measured], reference: str
) -> list[str]:
    """A line for each float engine that is farther from the reference than allowed, or one."""
    truth = measured[reference].logits
    apart = {
        name: float(difference(found.logits, truth).max())
        for name, found in measured.items()
        if not engines[name].int8
    }
    return [
        _("{name}: its float logits are {apart:.1e} from Paddle's, more than {allowed:g}").format(
            name=name, apart=found, allowed=ALLOWED_LOGITS
        )
        for name, found in apart.items()
        if not found <= ALLOWED_LOGITS
    ] or [
        _("every float runtime is within {allowed:g} of Paddle's logits").format(
            allowed=ALLOWED_LOGITS
        )
    ]
