"""The steps of a run, each a notebook: what it reads, what it writes, and the code it uses.

`graph` looks whether a step is up to date, `runs` holds what a notebook does with its run.
"""

from dataclasses import dataclass
from pathlib import Path

from .. import language
from ..errors import PipelineError
from ..files import PROJECT
from ..language import _
from .step_modules import DRAWING, LAB, LAB_OF_RUN, LOCATOR, SOURCES, TRAINING, together

PACKAGE = PROJECT / "mnist_rknn"
NOTEBOOKS = PROJECT / "notebooks"


def notebook_file(name: str, notebooks: Path = NOTEBOOKS) -> Path:
    """The notebook of a step, in the language that is spoken if there is one."""
    own = notebooks / language.chosen() / f"{name}.ipynb"
    return own if own.is_file() else notebooks / f"{name}.ipynb"


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
    after: tuple[str, ...] = ()  # steps that come first, though nothing of theirs is read
    tries: tuple[tuple[str, str], ...] = ()  # runs it compares with: change of the recipe, steps
    extra: bool = False  # a lesson beside the way to the model; "all" leaves it out

    @property
    def owns(self) -> tuple[str, ...]:
        """Files and folders at the top of the run's folder that only this step writes into."""
        return tuple(dict.fromkeys(output.partition("/")[0] for output in self.outputs))

    @property
    def lab(self) -> bool:
        """Whether it is a lesson of the compression lab, which takes long."""
        return any(module.startswith("compression/") for module in self.modules)


STEPS = (
    Step(
        "00_environment",
        "check this machine",
        settings=(),
        modules=(
            "fonts.py",
            "machine.py",
            "pipeline/environment.py",
            "pipeline/places.py",
        ),
        inputs=(),
        outputs=("environment.json",),
        packages=("paddlepaddle", "paddlex", "paddle2onnx", "onnxslim", "rknn-toolkit2"),
    ),
    Step(
        "01_data",
        "fetch, verify and split the pictures",
        settings=("seed", "dataset", "image"),
        modules=DRAWING,
        inputs=(),
        outputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "dataset/train.txt",
            "dataset/val.txt",
            "dataset/test.txt",
        ),
        packages=("numpy", "opencv-python-headless"),
        after=("00_environment",),
    ),
    Step(
        "02_train",
        "train in PaddleX",
        settings=("seed", "image", "model", "train"),
        modules=("data/dataset.py", *TRAINING),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "dataset/train.txt",
            "dataset/val.txt",
        ),
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
        modules=(
            "conversion/damage.py",
            "conversion/inference.py",
            "conversion/onnx_graph.py",
            "data/dataset.py",
            "file_kinds.py",
        ),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "train/best_model/inference/inference.json",
            "train/best_model/inference/inference.pdiparams",
        ),
        outputs=("labels.txt", "{name}.onnx", "{name}.slim.onnx"),
        packages=("paddle2onnx", "onnx", "onnxruntime", "onnxslim"),
    ),
    Step(
        "04_calibration",
        "choose the calibration pictures",
        settings=("seed", "image", "calibration"),
        modules=(
            "conversion/calibration.py",
            "conversion/damage.py",
            "conversion/onnx_graph.py",
            "conversion/preflight.py",
            "data/dataset.py",
            "data/pictures.py",
            "file_kinds.py",
        ),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
        ),
        outputs=("calibration.txt",),
    ),
    Step(
        "05_convert",
        "convert to INT8 for the NPU",
        settings=("image", "rknn"),
        modules=(
            "conversion/calibration.py",
            "conversion/damage.py",
            "conversion/gates.py",
            "conversion/inference.py",
            "conversion/maker_recipe.py",
            "conversion/onnx_graph.py",
            "conversion/preflight.py",
            "conversion/rknn_description.py",
            "conversion/rknn_file.py",
            "conversion/rknn_simulator.py",
            "conversion/rknn_toolkit.py",
            "conversion/torch_standin.py",
            "data/dataset.py",
            "data/pictures.py",
            "file_kinds.py",
            "records.py",
            "verification/golden.py",
            "verification/layer_error.py",
            "verification/metrics.py",
        ),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "labels.txt",
            "{name}.slim.onnx",
            "calibration.txt",
        ),
        outputs=(
            "{name}.lockzhiner.yaml",
            "layers.json",
            "layer_error.json",
            "golden.npz",
            "{name}.rknn",
        ),
        packages=("rknn-toolkit2", "onnxruntime"),
    ),
    Step(
        "06_verify",
        "measure every stage on the test images",
        settings=("image", "rknn", "verify", "budget"),
        modules=(
            "conversion/calibration.py",
            "conversion/damage.py",
            "conversion/inference.py",
            "conversion/integer_network.py",
            "conversion/onnx_graph.py",
            "conversion/preflight.py",
            "conversion/rknn_description.py",
            "conversion/rknn_file.py",
            "conversion/rknn_ranges.py",
            "conversion/rknn_simulator.py",
            "conversion/rknn_toolkit.py",
            "conversion/torch_standin.py",
            "data/dataset.py",
            "data/pictures.py",
            "file_kinds.py",
            "records.py",
            "verification/manifest.py",
            "verification/metrics.py",
            "verification/try_page.py",
            "verification/web/draw.js",
            "verification/web/network.js",
            "verification/web/page.html.j2",
            "verification/web/page.js",
            "verification/web/photo.js",
            "verification/web/picture.js",
            "verification/web/strings.json",
            "verification/web/style.css",
            "verification/web/upload.js",
        ),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "train/best_model/inference/inference.json",
            "train/best_model/inference/inference.pdiparams",
            "labels.txt",
            "{name}.onnx",
            "{name}.slim.onnx",
            "calibration.txt",
            "layers.json",
            "layer_error.json",
            "golden.npz",
            "{name}.rknn",
        ),
        outputs=("verify.json", "try.html"),
        packages=("rknn-toolkit2", "onnxruntime"),
    ),
    Step(
        "07_camera",
        "see why plain MNIST fails in front of a camera",
        settings=("seed", "dataset", "image", "model", "train"),
        modules=together(*DRAWING, "conversion/inference.py"),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "{name}.slim.onnx",
        ),
        outputs=("camera.json",),
        tries=(("dataset.redraw=null", "01-03"),),
        extra=True,
    ),
    Step(
        "08_quantization",
        "study the quantization, with a second opinion",
        settings=("seed", "image", "rknn", "calibration", "verify.max_quantizer_gap"),
        modules=(
            "conversion/calibration.py",
            "conversion/inference.py",
            "conversion/rknn_simulator.py",
            "conversion/rknn_toolkit.py",
            "conversion/torch_standin.py",
            "data/dataset.py",
            "data/pictures.py",
            "records.py",
            "verification/metrics.py",
            "verification/quantstudy.py",
            "verification/scales.py",
        ),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "{name}.slim.onnx",
            "calibration.txt",
            "layer_error.json",
        ),
        outputs=("{name}.qdq.onnx", "second_opinion.json", "quantstudy.json"),
        packages=("rknn-toolkit2", "onnxruntime"),
        extra=True,
    ),
    Step(
        "09_own_data",
        "import pictures of your own, and train on them",
        settings=("seed",),
        modules=together(
            *(name for name in SOURCES if name != "data/dataset.py"),
            "conversion/damage.py",
            "conversion/rknn_description.py",
            "conversion/rknn_file.py",
            "conversion/rknn_toolkit.py",
            "conversion/torch_standin.py",
            "data/importing.py",
            "data/recipe_draft.py",
            "data/shapes.py",
            "records.py",
            "verification/manifest.py",
        ),
        inputs=(),
        outputs=("own_data.json",),
        packages=("pillow",),
        extra=True,
    ),
    Step(
        "10_frames",
        "find and read several digits in a frame",
        settings=("seed", "dataset", "image"),
        modules=together(
            *LOCATOR,
            *DRAWING,
            "conversion/inference.py",
            "records.py",
            "redraw/frames.py",
            "redraw/sheets.py",
            "redraw/surroundings.py",
            "verification/frame_folders.py",
            "verification/frame_plots.py",
            "verification/frames.py",
            "verification/metrics.py",
        ),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "{name}.slim.onnx",
        ),
        outputs=("frames.json",),
        packages=("numpy", "onnxruntime", "opencv-python-headless"),
        extra=True,
    ),
    Step(
        "11_pruning",
        "prune weights, which the NPU ignores, and filters, which it does not",
        settings=("seed", "dataset", "image", "model", "export", "rknn"),
        modules=together(*DRAWING, *LAB, "compression/structured.py", "training/networks.py"),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "train/best_model/best_model.pdparams",
            "{name}.slim.onnx",
            "calibration.txt",
            "layers.json",
        ),
        outputs=("pruning/table.json",),
        packages=("paddlepaddle", "paddle2onnx", "onnxslim", "rknn-toolkit2", "onnxruntime"),
        extra=True,
    ),
    Step(
        "12_small_files",
        "share weights, and code them into a small file",
        settings=("seed", "dataset", "image", "rknn"),
        modules=together(*DRAWING, *LAB),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "{name}.slim.onnx",
            "calibration.txt",
            "layers.json",
            "verify.json",
            "{name}.rknn",
        ),
        outputs=(
            "small_files/network.packed",
            "small_files/table.json",
        ),
        packages=("paddlepaddle", "scikit-learn", "rknn-toolkit2", "onnxruntime"),
        extra=True,
    ),
    Step(
        "13_distillation",
        "train a small network on a large one's answers",
        settings=("seed", "image", "model", "export", "rknn"),
        modules=together(*LAB_OF_RUN, "compression/structured.py", "training/networks.py"),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "train/best_model/best_model.pdparams",
            "calibration.txt",
            "layers.json",
        ),
        outputs=("distillation/table.json",),
        packages=("paddlepaddle", "paddle2onnx", "onnxslim", "rknn-toolkit2"),
        extra=True,
    ),
    Step(
        "14_qat",
        "train with the quantization in place, and import its scales",
        settings=("seed", "image", "rknn"),
        modules=together(
            *LAB_OF_RUN,
            "compression/activation_ranges.py",
            "compression/fake_quantization.py",
            "compression/integer_engine.py",
            "compression/qdq.py",
            "conversion/calibration.py",
            "conversion/integer_network.py",
            "conversion/rknn_ranges.py",
            "data/pictures.py",
            "verification/scales.py",
        ),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "{name}.slim.onnx",
            "calibration.txt",
            "layer_error.json",
        ),
        outputs=("qat/table.json",),
        packages=("paddlepaddle", "rknn-toolkit2", "onnxruntime"),
        extra=True,
    ),
    Step(
        "15_architectures",
        "hold architectures against this NPU, and search for one",
        settings=("seed", "image", "export", "rknn"),
        modules=together(
            *LAB,
            *SOURCES,
            *TRAINING,
            "compression/families.py",
            "compression/search.py",
            "conversion/calibration.py",
        ),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "calibration.txt",
        ),
        outputs=("architectures/table.json",),
        packages=(
            "paddlepaddle",
            "paddleclas",
            "paddle2onnx",
            "onnxslim",
            "optuna",
            "rknn-toolkit2",
        ),
        extra=True,
    ),
    Step(
        "16_runtimes",
        "run the network in other runtimes",
        settings=("seed", "image", "model", "rknn"),
        modules=together(
            *LAB_OF_RUN,
            "compression/integer_engine.py",
            "compression/ncnn_files.py",
            "compression/qdq.py",
            "compression/runtimes.py",
            "compression/structured.py",
            "compression/symmetric_weights.py",
            "compression/tflite.py",
            "conversion/calibration.py",
            "conversion/integer_network.py",
            "conversion/rknn_ranges.py",
            "data/pictures.py",
            "training/networks.py",
        ),
        inputs=(
            "dataset/pictures.csv",
            "dataset/label.txt",
            "train/best_model/best_model.pdparams",
            "{name}.slim.onnx",
            "{name}.rknn",
            "calibration.txt",
            "golden.npz",
        ),
        outputs=("runtimes/table.json",),
        packages=("paddlepaddle", "onnxruntime", "rknn-toolkit2"),
        extra=True,
    ),
)


def find(name: str) -> Step:
    """The step called `name`, in full or by its number ("02")."""
    for step in STEPS:
        if name in (step.name, step.name.partition("_")[0], step.name.partition("_")[2]):
            return step
    raise PipelineError(
        _("unknown step {name!r}: the steps are {steps}").format(
            name=name, steps=", ".join(s.name for s in STEPS)
        )
    )


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
        raise PipelineError(
            _("the range {text} runs backwards: write {last}-{first}").format(
                text=text, last=last, first=first
            )
        )
    return list(STEPS[start : stop + 1])
