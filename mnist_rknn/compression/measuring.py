"""A network of the lab on the NPU, as far as a PC can tell: layer table and simulator."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import onnx
import paddle
from paddle import nn

from ..capture import log_handlers_to, output_to
from ..conversion import inference, onnx_graph, rknn_simulator, rknn_toolkit
from ..data import dataset
from ..files import replacing
from ..recipe import Export, Image, Recipe
from ..records import Accuracy, Compilation
from ..verification import metrics

SETS = ("test", "camera")
QDQ_LEVEL = 2  # of optimization, which the toolkit's manual asks for where pairs are imported


class Pictures(NamedTuple):
    """Pictures that a network is measured on."""

    images: np.ndarray  # uint8 [N, H, W, 3], in the network's colour order
    classes: np.ndarray  # int64 [N]


def test_sets(recipe: Recipe, folder: Path, most: int | None = None) -> dict[str, Pictures]:
    """The test images of a run, and those of its simulated camera where it has one.

    Args:
        folder: of the run.
        most: take the first so many of each; None for all.
    """
    written = dataset.read_pictures(folder / "dataset")
    found = {}
    for name in SETS:
        if name in written:
            chosen = written[name].take(np.arange(len(written[name].files))[:most])
            images = inference.in_network_order(dataset.read_images(chosen.files), recipe.image)
            found[name] = Pictures(images, chosen.classes)
    return found


def answers(model: onnx.ModelProto, images: np.ndarray, image: Image) -> np.ndarray:
    """Logits float32 [N, classes] of an ONNX model that lies in no file, in onnxruntime.

    Args:
        images: uint8 [N, H, W, 3], in the network's colour order.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "network.onnx"
        onnx.save(model, str(path))
        return inference.run_onnx(path, images, image)


def export(network: nn.Layer, recipe: Recipe, path: Path) -> None:
    """`export_as` for colour pictures of the recipe's size.

    Args:
        network: takes float32 [1, 3, H, W].
    """
    export_as(network, [1, 3, recipe.image.height, recipe.image.width], path, recipe.export.opset)


def export_as(network: nn.Layer, shape: list[int], path: Path, opset: int = Export().opset) -> None:
    """Write a network that answers with logits as slim ONNX, as notebook 03 does step by step.

    Args:
        network: takes float32 of this shape.

    Raises:
        PipelineError: the graph has a dimension left open, or no logits at its end.
    """
    import onnxslim
    import paddle2onnx

    network.eval()
    log = path.with_suffix(".log")
    with (
        tempfile.TemporaryDirectory() as scratch,
        output_to(log) as file,
        log_handlers_to(file),
    ):
        saved = Path(scratch) / "network"
        paddle.jit.save(network, str(saved), [paddle.static.InputSpec(shape, "float32", "x")])
        paddle2onnx.export(
            f"{saved}.json",
            f"{saved}.pdiparams",
            save_file=f"{saved}.onnx",
            opset_version=opset,
            auto_upgrade_opset=False,
            optimize_tool="None",
        )
        model = onnxslim.slim(onnx_graph.load(Path(f"{saved}.onnx")))
    onnx_graph.require_static(model, shape)
    onnx_graph.require_logits(model)
    with replacing(path) as temporary:
        onnx.save(model, str(temporary))
    log.unlink()


def compile_only(
    recipe: Recipe,
    model: Path,
    calibration: Path,
    log: Path,
    others: Mapping[str, Any] = MappingProxyType({}),
) -> Compilation:
    """The compiler's layer table of a slim ONNX model; nothing is run.

    Args:
        others: arguments of `RKNN.config` instead of the recipe's.
    """
    with rknn_toolkit.captured(log):
        arguments = {**rknn_toolkit.config_arguments(recipe), **others}
        rknn = rknn_toolkit.build(arguments, model, calibration, log, verbose=True)
        rknn.release()
    found = rknn_toolkit.parse_log(log)
    log.unlink()
    return found


class OnNpu(NamedTuple):
    """What became of a network; accuracies are INT8, in the simulator."""

    compilation: Compilation
    accuracy: dict[str, list[Accuracy]]  # of each of `SETS`; empty where there are no pictures


def on_npu(
    recipe: Recipe,
    model: Path,
    calibration: Path | None,
    sets: dict[str, Pictures],
    exported: Path,
) -> OnNpu:
    """Convert a slim ONNX model to INT8, and measure it.

    Args:
        calibration: list of pictures; None for a QDQ model, which brings its scales.
        exported: the .rknn file to write; logs lie beside it until all has gone well.

    Raises:
        PipelineError: the toolkit fails, or the board would refuse the model.
    """
    log = exported.with_suffix(".log")
    arguments = rknn_toolkit.config_arguments(recipe)
    with rknn_toolkit.captured(log):
        if calibration is None:
            rknn = _import(arguments, model, log)
        else:
            rknn = rknn_toolkit.build(arguments, model, calibration, log, verbose=True)
    compilation = rknn_toolkit.parse_log(log)
    rknn_toolkit.require_runnable(compilation)
    with replacing(exported) as temporary, rknn_toolkit.captured(log):
        rknn_toolkit.require_success("export_rknn", rknn.export_rknn(str(temporary)), log)
        rknn_toolkit.require_success("init_runtime", rknn.init_runtime(), log)
        accuracy = {name: _accuracy(rknn, sets[name]) if name in sets else [] for name in SETS}
        rknn.release()
    log.unlink(missing_ok=True)
    return OnNpu(compilation, accuracy)


def _import(arguments: dict[str, Any], model: Path, log: Path) -> Any:
    """A QDQ model in rknn-toolkit2, with the calls that notebook 14 shows one by one."""
    rknn = rknn_toolkit.load_api()(verbose=True)
    check = rknn_toolkit.require_success
    check("config", rknn.config(**(arguments | {"optimization_level": QDQ_LEVEL})), log)
    check("load_onnx", rknn.load_onnx(model=str(model)), log)
    check("build", rknn.build(do_quantization=False), log)
    return rknn


def _accuracy(rknn: Any, pictures: Pictures) -> list[Accuracy]:
    logits = rknn_simulator.run_simulator(rknn, pictures.images)
    return [metrics.accuracy(logits, pictures.classes)]


def together(results: Sequence[OnNpu]) -> OnNpu:
    """Networks of one shape from several seeds: the first layer table, and all accuracies."""
    accuracy = {
        name: [share for result in results for share in result.accuracy[name]] for name in SETS
    }
    return OnNpu(results[0].compilation, accuracy)
