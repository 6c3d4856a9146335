"""What must hold before rknn-toolkit2 is called, because it says yes to all of it.

The toolkit builds a model from a graph the board cannot run and from a calibration list that
says nothing about the pictures to come. Each check names the thing and the cure.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from ..data import dataset
from ..errors import PipelineError
from ..files import relative, sha256
from ..recipe import Recipe
from . import calibration, onnx_graph

OPSETS = range(12, 20)  # what rknn-toolkit2 reads
STANDARD_DOMAINS = ("", "ai.onnx")


def check_graph(model: onnx.ModelProto, recipe: Recipe, classes: int) -> None:
    """Check that a graph is one the toolkit understands and the module's SDK can use.

    Args:
        classes: number of classes, the width of the logits.

    Raises:
        PipelineError: names the tensor or node and the cure.
    """
    check_convertible(model, [1, 3, recipe.image.height, recipe.image.width])
    output = onnx_graph.shape(onnx.shape_inference.infer_shapes(model).graph.output[0])
    if output != [1, classes]:
        raise PipelineError(
            f"the graph answers with {output}, for {classes} labels it must be [1, {classes}]: "
            "run 03_export again"
        )


def check_convertible(model: onnx.ModelProto, input_shape: list[int]) -> None:
    """The part of `check_graph` that holds for any classifier.

    Args:
        input_shape: [1, 3, H, W].
    """
    again = "run 03_export again"
    for used in model.opset_import:
        if used.domain in STANDARD_DOMAINS and used.version not in OPSETS:
            raise PipelineError(
                f"the graph is of ONNX opset {used.version}, rknn-toolkit2 reads {OPSETS[0]} to "
                f"{OPSETS[-1]}: set export.opset to 14 and {again}"
            )
    _check_nodes(model.graph, again)
    source = onnx_graph.input_of(model)
    if source.type.tensor_type.elem_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(source.type.tensor_type.elem_type)
        raise PipelineError(f"the graph's input {source.name} is {kind}, not FLOAT: {again}")
    _check_weights(model.graph, again)
    onnx_graph.require_static(model, input_shape)
    onnx_graph.require_logits(model)


def _check_nodes(graph: onnx.GraphProto, again: str) -> None:
    for node in graph.node:
        if node.domain not in STANDARD_DOMAINS:
            raise PipelineError(
                f"node {node.name} ({node.op_type}) is of the domain {node.domain}, which "
                f"rknn-toolkit2 does not know: {again}"
            )
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            raise PipelineError(
                f"the graph is quantized already ({node.name}, {node.op_type}), and would be a "
                f"second time: give the float graph; {again}"
            )
        if node.op_type in ("If", "Loop", "Scan"):
            raise PipelineError(
                f"node {node.name} ({node.op_type}) decides at run time, the NPU runs a fixed "
                "list of layers: export the network without it"
            )


def _check_weights(graph: onnx.GraphProto, again: str) -> None:
    for weight in graph.initializer:
        if weight.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE):
            kind = TensorProto.DataType.Name(weight.data_type)
            raise PipelineError(f"weight {weight.name} is {kind}, not FLOAT: {again}")
        if weight.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(weight)
            if not np.isfinite(values).all():
                raise PipelineError(
                    f"weight {weight.name} holds values that are not finite: the training went "
                    "astray; lower train.learning_rate and run 02_train"
                )


def check_calibration(listed: Path, recipe: Recipe, data: Path) -> dict[str, str]:
    """Check a calibration list against the recipe and the data set it was drawn from.

    Args:
        listed: the list, one path a line.
        data: folder of the data set, with its table and `label.txt`.

    Returns:
        SHA-256 of each file, by file name, in the order of the list.

    Raises:
        PipelineError: names the picture or class, what is wrong and the cure.
    """
    again = "run 04_calibration again"
    files = calibration.read_list(listed)
    labels = dataset.read_labels(data)
    train = dataset.read_split(data, "train")
    class_of = {
        file.resolve(): label for file, label in zip(train.files, train.classes, strict=True)
    }
    hashes = calibration.check_images(
        files,
        recipe.image.height,
        recipe.image.width,
        classes=len(labels),
        forbidden={sha256(file) for file in dataset.read_split(data, "test").files},
    )
    for file in files:
        if file.resolve() not in class_of:
            raise PipelineError(
                f"calibration image {relative(file)} is none of the training images: {again}"
            )
    counts = np.bincount([class_of[file.resolve()] for file in files], minlength=len(labels))
    for label, count in zip(labels, counts, strict=True):
        if 2 * count < len(files) // len(labels):
            raise PipelineError(
                f"the calibration list has {count} images of class {label}, of {len(files)} in "
                f"all: its values may lie outside the ranges found; {again}"
            )
    if len(files) != recipe.calibration.images:
        raise PipelineError(
            f"{relative(listed)} has {len(files)} lines, calibration.images is "
            f"{recipe.calibration.images}: {again}"
        )
    return hashes


def custom_string(labels: list[str], slim: Path) -> str:
    """What is stored in the `.rknn` file: the labels, and which ONNX model it was made from."""
    return f"labels={','.join(labels)};onnx={sha256(slim)[:12]}"
