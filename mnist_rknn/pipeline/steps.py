"""The steps of a run: what each reads, what it writes, and whether it is up to date.

A step is a notebook. When it has run to its end it leaves a record, `steps/<step>.json`. It
is up to date when its record is newer than its inputs and all its outputs are there: the
rule of `make`, which uses the same files. What a step depends on besides files (parts of the
recipe, the code of its notebook and modules) is written to `.inputs/<step>.json`, and that
file is touched only when its content changes. So changing `rknn.quantized_algorithm` does
not retrain, and neither does saving a notebook with its outputs.
"""

import hashlib
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import recipe as recipes
from ..errors import PipelineError
from ..files import PROJECT, FolderLock, fingerprint, read_json, relative, sha256, write_json
from ..recipe import Recipe
from .environment import installed_version

PACKAGE = PROJECT / "mnist_rknn"
NOTEBOOKS = PROJECT / "notebooks"
OUTPUT = PROJECT / "output"
REDRAW = tuple(sorted(f"redraw/{path.name}" for path in (PACKAGE / "redraw").glob("*.py")))
STARTED = "MNIST_RKNN_STARTED"  # time at which the runner began the step, seconds since 1970


@dataclass(frozen=True)
class Step:
    """One notebook. Paths are relative to the run's folder; {name} is the recipe's name."""

    name: str
    title: str
    settings: tuple[str, ...]  # parts of the recipe it reads, as "section" or "section.key"
    modules: tuple[str, ...]  # files of the package that shape its outputs
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    packages: tuple[str, ...] = ()  # a new version of one makes the step stale
    extra: bool = False  # a lesson beside the way to the model; "all" leaves it out


STEPS = (
    Step(
        "00_environment",
        "check this machine",
        settings=(),
        modules=("pipeline/environment.py", "fonts.py"),
        inputs=(),
        outputs=("environment.json",),
        packages=("paddlepaddle", "paddlex", "paddle2onnx", "onnxslim", "rknn-toolkit2"),
    ),
    Step(
        "01_data",
        "fetch, verify and split the pictures",
        settings=("seed", "dataset", "image"),
        modules=(
            "data/mnist.py",
            "data/idx.py",
            "data/archives.py",
            "data/layouts.py",
            "data/pictures.py",
            "data/sources.py",
            "data/dataset.py",
            *REDRAW,
        ),
        inputs=(),
        outputs=("dataset/label.txt", "dataset/train.txt", "dataset/val.txt", "dataset/test.txt"),
    ),
    Step(
        "02_train",
        "train in PaddleX",
        settings=("seed", "image", "model", "train"),
        modules=(
            "training/engine.py",
            "training/networks.py",
            "training/optimizers.py",
            "training/progress.py",
            "training/paddleclas_launcher/additions.py",
            "training/paddleclas_launcher/launcher.py",
            "training/paddleclas_launcher/onednn.py",
            "training/paddleclas_launcher/progressive_resizing.py",
            "training/paddleclas_launcher/recording.py",
            "training/paddleclas_launcher/replacing.py",
            "training/paddleclas_launcher/wheel_engine.py",
        ),
        inputs=("dataset/test.txt",),
        outputs=(
            "train/best_model/best_model.pdparams",
            "train/best_model/inference/inference.pdiparams",
            "train/best_model/inference/inference.json",
        ),
        packages=("paddlepaddle", "paddlex", "paddleclas"),
    ),
    Step(
        "03_export",
        "export to ONNX and slim",
        settings=("image", "export"),
        modules=("conversion/onnx_graph.py",),
        inputs=("train/best_model/inference/inference.json",),
        outputs=("labels.txt", "{name}.onnx", "{name}.slim.onnx"),
        packages=("paddle2onnx", "onnx", "onnxslim"),
    ),
    Step(
        "04_calibration",
        "choose the calibration pictures",
        settings=("seed", "image", "calibration"),
        modules=("conversion/calibration.py", "conversion/preflight.py"),
        inputs=("dataset/test.txt",),
        outputs=("calibration.txt",),
    ),
    Step(
        "05_convert",
        "convert to INT8 for the NPU",
        settings=("image", "rknn"),
        modules=(
            "conversion/preflight.py",
            "conversion/gates.py",
            "conversion/rknn_toolkit.py",
            "conversion/rknn_file.py",
            "verification/layer_error.py",
            "conversion/maker.py",
            "verification/golden.py",
            "records.py",
        ),
        inputs=("{name}.slim.onnx", "calibration.txt"),
        outputs=(
            "{name}.lockzhiner.yaml",
            "layers.json",
            "layer_error.json",
            "golden.npz",
            "{name}.rknn",
        ),
        packages=("rknn-toolkit2",),
    ),
    Step(
        "06_verify",
        "measure every stage on the test images",
        settings=("image", "rknn", "verify", "budget"),
        modules=(
            "conversion/inference.py",
            "verification/metrics.py",
            "verification/manifest.py",
            "records.py",
        ),
        inputs=("dataset/test.txt", "{name}.rknn"),
        outputs=("verify.json", "manifest.json"),
        packages=("rknn-toolkit2", "onnxruntime"),
    ),
    Step(
        "07_camera",
        "see why plain MNIST fails in front of a camera",
        settings=("seed", "dataset", "image", "model", "train"),
        modules=REDRAW,
        inputs=("dataset/test.txt", "{name}.slim.onnx"),
        outputs=("camera.json",),
        extra=True,
    ),
    Step(
        "08_quantization",
        "study the quantization, with a second opinion",
        settings=("seed", "image", "rknn", "calibration", "verify.max_quantizer_gap"),
        modules=(
            "verification/quantstudy.py",
            "conversion/inference.py",
            "verification/metrics.py",
            "records.py",
        ),
        inputs=("dataset/test.txt", "{name}.slim.onnx", "calibration.txt", "layer_error.json"),
        outputs=("{name}.qdq.onnx", "second_opinion.json", "quantstudy.json"),
        packages=("rknn-toolkit2", "onnxruntime"),
        extra=True,
    ),
    Step(
        "09_own_data",
        "import pictures of your own, and train on them",
        settings=("seed",),
        modules=(
            "data/shapes.py",
            "data/importing.py",
            "data/archives.py",
            "data/layouts.py",
            "data/pictures.py",
            "data/sources.py",
        ),
        inputs=(),
        outputs=("own_data.json",),
        packages=("pillow",),
        extra=True,
    ),
)


def find(name: str) -> Step:
    """The step called `name`, in full or by its number ("02")."""
    for step in STEPS:
        if name in (step.name, step.name.partition("_")[0], step.name.partition("_")[2]):
            return step
    raise PipelineError(f"unknown step {name!r}: the steps are {', '.join(s.name for s in STEPS)}")


def select(text: str) -> list[Step]:
    """Steps of "all", one name, or a range such as "02-05", which holds both its ends.

    "all" and a range without an end leave the extra lessons out.
    """
    if text == "all":
        text = "-"
    first, separator, last = text.partition("-")
    if not separator:
        return [find(text)]
    start = STEPS.index(find(first)) if first else 0
    last_needed = max(number for number, step in enumerate(STEPS) if not step.extra)
    stop = STEPS.index(find(last)) if last else max(start, last_needed)
    if stop < start:
        raise PipelineError(f"the range {text} runs backwards: write {last}-{first}")
    return list(STEPS[start : stop + 1])


def run_folder(recipe: Recipe, output: str | Path | None = None) -> Path:
    """Folder of a run's results: `output/<recipe>` unless another is named."""
    return Path(output).resolve() if output else OUTPUT / recipe.name


def expand(paths: tuple[str, ...], recipe: Recipe, folder: Path) -> list[Path]:
    """Paths of a step's inputs or outputs in a run's folder."""
    return [folder / path.format(name=recipe.name) for path in paths]


def inputs_file(step: Step, folder: Path) -> Path:
    """The file that holds what the step depends on besides files."""
    return folder / ".inputs" / f"{step.name}.json"


def record_file(step: Step, folder: Path) -> Path:
    """The file that a step leaves when it has run to its end."""
    return folder / "steps" / f"{step.name}.json"


def dependencies(step: Step, recipe: Recipe) -> dict[str, Any]:
    """What the step depends on besides files: parts of the recipe, code, versions."""
    content = recipes.dump(recipe)
    settings = {}
    for key in step.settings:
        value: Any = content
        for part in key.split("."):
            value = value[part]
        settings[key] = value
    own = recipe.dataset.path if "dataset" in step.settings else None
    return {
        "settings": settings,
        "data": own and fingerprint(PROJECT / Path(own).expanduser()),
        "notebook": notebook_digest(NOTEBOOKS / f"{step.name}.ipynb"),
        "modules": {name: sha256(PACKAGE / name) for name in step.modules},
        "packages": {name: installed_version(name) for name in step.packages},
        "python": platform.python_version(),
    }


def notebook_digest(path: Path) -> str:
    """Hash of the code cells of a notebook; text, outputs and metadata do not count."""
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is missing: get it back with git")
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError):
        raise PipelineError(f"{relative(path)} is not a notebook: get it back with git") from None
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def refresh(step: Step, recipe: Recipe, folder: Path) -> None:
    """Bring `.inputs/<step>.json` up to date, leaving its time alone if nothing changed.

    A missing output counts as a change, because make looks at a step's record only.
    """
    path = inputs_file(step, folder)
    wanted = dependencies(step, recipe)
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        recorded = {}
    change = _change(recorded, wanted)
    outputs = expand(step.outputs, recipe, folder)
    if change:
        write_json(path, {**wanted, "last_change": change})
    elif record_file(step, folder).exists() and not all(output.exists() for output in outputs):
        path.touch()


def stale_reason(step: Step, recipe: Recipe, folder: Path) -> str | None:
    """Why the step has to run, or None if it is up to date."""
    outputs = expand(step.outputs, recipe, folder)
    for output in outputs:
        if not output.exists():
            return f"{output.relative_to(folder)} is missing"
    path, record = inputs_file(step, folder), record_file(step, folder)
    if not record.exists() or not path.exists():
        return "it has not run to its end"
    recorded = read_json(path)
    if change := _change(recorded, dependencies(step, recipe)):
        return f"its {change} changed"
    if path.stat().st_mtime_ns > record.stat().st_mtime_ns:
        return f"its {recorded.get('last_change')} changed"
    return _newer_input(expand(step.inputs, recipe, folder), record, folder)


def _newer_input(inputs: list[Path], record: Path, folder: Path) -> str | None:
    for source in inputs:
        if not source.exists():
            return f"{source.relative_to(folder)} is missing"
        if source.stat().st_mtime_ns > record.stat().st_mtime_ns:
            return f"{source.relative_to(folder)} is newer"
    return None


def _change(recorded: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """Name what differs between two `dependencies`, down to the key of the recipe."""
    for kind, new in wanted.items():
        old = recorded.get(kind)
        if old == new:
            continue
        if not (isinstance(old, dict) and isinstance(new, dict)):
            return kind
        keys = [
            f"{key}.{inner}" if inner else key
            for key in {**old, **new}
            for inner in _differing_keys(old.get(key), new.get(key))
        ]
        return f"{kind} ({', '.join(sorted(keys))})"
    return None


def _differing_keys(old: Any, new: Any) -> list[str]:
    """Keys in which two dictionaries differ; [""] for other values that differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [] if old == new else [""]


class Run:
    """A step being run: its recipe, its folder, and the record of what it did.

    Every notebook makes one from its parameters and ends with `finish`.

    Args:
        step: the notebook's name, such as "02_train".
        recipe: name of a recipe, or path of a YAML file.
        output: folder for the results; None is `output/<recipe>`.
        overrides: changes to the recipe, "section.key=value".

    Raises:
        PipelineError: the recipe cannot work, an input is missing, or the folder is locked.
    """

    _locks: dict[Path, FolderLock] = {}  # by folder, of the last runs of this process

    def __init__(
        self,
        step: str,
        recipe: str,
        output: str | None = None,
        overrides: list[str] | tuple[str, ...] = (),
    ):
        self.step = find(step)
        self.recipe = recipes.load(recipe, overrides)
        self.folder = run_folder(self.recipe, output)
        for source in expand(self.step.inputs, self.recipe, self.folder):
            if not source.exists():
                writer = next(
                    s for s in STEPS if source in expand(s.outputs, self.recipe, self.folder)
                )
                raise PipelineError(f"{relative(source)} is missing: run {writer.name} first")
        self.folder.mkdir(parents=True, exist_ok=True)
        # A notebook that failed and is run again in the same kernel does not wait for itself.
        if unfinished := self._locks.pop(self.folder, None):
            unfinished.release()
        self._lock = FolderLock(self.folder, self.step.name).acquire()
        self._locks[self.folder] = self._lock
        refresh(self.step, self.recipe, self.folder)
        record_file(self.step, self.folder).unlink(missing_ok=True)
        # A script counts from before the kernel's start; by hand it is from here.
        self._started = float(os.environ.get(STARTED) or time.time())

    def __repr__(self) -> str:
        return f"{self.step.name}: recipe {self.recipe.name}, results in {relative(self.folder)}"

    @property
    def image_shape(self) -> list[int]:
        """Shape of the network's input, [1, 3, H, W]."""
        return [1, 3, self.recipe.image.height, self.recipe.image.width]

    def artifact(self, suffix: str) -> Path:
        """Path of `<recipe><suffix>` in the run's folder, such as ".slim.onnx"."""
        return self.folder / f"{self.recipe.name}{suffix}"

    def depends_on(self) -> dict[str, Any]:
        """What this step and those that made its inputs depend on, besides files."""
        sources = set(expand(self.step.inputs, self.recipe, self.folder))
        writers = [s for s in STEPS if sources & set(expand(s.outputs, self.recipe, self.folder))]
        return {
            step.name: json.loads(json.dumps(dependencies(step, self.recipe)))
            for step in (*writers, self.step)
        }

    def finish(self, **results: Any) -> str:
        """Check that every output is there and fresh, and record duration and results.

        Args:
            results: plain data for the manifest.

        Returns:
            The files produced, a line each with its size.
        """
        outputs = expand(self.step.outputs, self.recipe, self.folder)
        for output in outputs:
            if not output.exists():
                raise PipelineError(f"{self.step.name} did not write {relative(output)}")
            if output.stat().st_mtime < self._started - 1:
                raise PipelineError(
                    f"{relative(output)} is from an earlier run: {self.step.name} did not write it"
                )
        write_json(
            record_file(self.step, self.folder),
            {"seconds": round(time.time() - self._started, 1), "results": results},
        )
        self._lock.release()
        return "\n".join(
            f"{relative(output)}  ({output.stat().st_size / 1024:,.1f} KB)" for output in outputs
        )


def results(step: str, folder: Path) -> dict[str, Any]:
    """What a finished step recorded: {"seconds": ..., "results": {...}}."""
    return read_json(record_file(find(step), folder))


def versions(*packages: str) -> str:
    """Installed versions, a line a package."""
    return "\n".join(f"{package} {installed_version(package)}" for package in packages)
