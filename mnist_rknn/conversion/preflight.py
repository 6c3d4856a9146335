"""What must hold before rknn-toolkit2 is called, because it says yes to all of it.

The toolkit builds a model from a graph the board cannot run and from a calibration list that
says nothing about the pictures to come. Each check names the thing and the cure.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from ..data import dataset
from ..errors import Cure, Finding, PipelineError
from ..files import relative, sha256
from ..language import _, later
from ..recipe import Recipe
from . import calibration, onnx_graph

OPSETS = range(7, 20)  # what rknn-toolkit2 2.3.2 built with the answers of onnxruntime (measured)
STANDARD_DOMAINS = ("", "ai.onnx")
_QUANTIZED = (
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantize", "QLinear", "QGemm", "ConvInteger",
    "MatMulInteger",
)  # fmt: skip
_OF_DOMAIN = {
    "ai.onnx.ml": "trees, support vectors and the like are no network, and the NPU runs networks",
    "com.microsoft": "it was optimised by onnxruntime; give the graph from before that",
}
_EXPORT = Cure(later("run 03_export again"), later("export it to ONNX again"))


def check_graph(model: onnx.ModelProto, recipe: Recipe, classes: int) -> None:
    """Check that a graph is one the toolkit understands and the module's SDK can use.

    Args:
        classes: number of classes, the width of the logits.

    Raises:
        Finding: names the tensor or node and the cure.
    """
    check_convertible(model, [1, 3, recipe.image.height, recipe.image.width])
    output = onnx_graph.shape(onnx.shape_inference.infer_shapes(model).graph.output[0])
    if output != [1, classes]:
        raise Finding(
            _(
                "the graph answers with {output}, for {classes} labels it must be [1, {classes}]"
            ).format(output=output, classes=classes),
            _EXPORT,
        )


def check_convertible(model: onnx.ModelProto, input_shape: list[int]) -> None:
    """The part of `check_graph` that holds for any classifier.

    Args:
        input_shape: [1, 3, H, W].
    """
    check_operators(model)
    source = onnx_graph.input_of(model)
    if source.type.tensor_type.elem_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(source.type.tensor_type.elem_type)
        raise Finding(
            _("the graph's input {name} is {kind}, not FLOAT").format(name=source.name, kind=kind),
            _EXPORT,
        )
    _check_weights(model.graph)
    onnx_graph.require_static(model, input_shape)
    onnx_graph.require_logits(model)


def check_operators(model: onnx.ModelProto) -> None:
    """Check opset and nodes, which stay as they are whatever is done to a graph before the build.

    Raises:
        Finding: names the node and the cure.
    """
    for used in model.opset_import:
        if used.domain in STANDARD_DOMAINS and used.version not in OPSETS:
            raise Finding(
                _(
                    "the graph is of ONNX opset {version}, rknn-toolkit2 reads {opsets} to "
                    "{opsets2}"
                ).format(version=used.version, opsets=OPSETS[0], opsets2=OPSETS[-1]),
                Cure(
                    _("set export.opset to 14 and run 03_export again"),
                    _(
                        "export it again with another opset, such as torch.onnx.export(..., "
                        "opset_version=17) or tf2onnx --opset 17"
                    ),
                ),
            )
    switched_on = {
        name
        for name, value in onnx_graph.values(model).items()
        if value.dtype == bool and value.any()
    }
    for node in model.graph.node:
        _check_node(node, switched_on)


def _check_node(node: onnx.NodeProto, switched_on: set[str]) -> None:
    name = f"node {node.name or node.output[0]} ({node.op_type})"
    if node.op_type.startswith(_QUANTIZED):
        raise Finding(
            _(
                "the graph is quantized already ({name}, {op_type}), and would be a "
                "second time: give the float graph"
            ).format(name=node.name, op_type=node.op_type),
            Cure(_("run 03_export again"), _("the toolkit quantizes it itself")),
        )
    if node.domain not in STANDARD_DOMAINS:
        raise Finding(
            _("{name} is of the domain {domain}, which rknn-toolkit2 does not know").format(
                name=name, domain=node.domain
            ),
            Cure(
                _("run 03_export again"),
                _OF_DOMAIN.get(node.domain, "export the network with ONNX's own operators"),
            ),
        )
    if node.op_type in ("If", "Loop", "Scan"):
        raise Finding(
            _("{name} decides at run time, the NPU runs a fixed list of layers").format(name=name),
            Cure(*["export the network without it"] * 2),
        )
    if _is_training(node, switched_on):
        raise Finding(
            _("{name} is in training mode, in which it answers otherwise").format(name=name),
            Cure(_("run 03_export again"), _("call model.eval() before the export")),
        )


def _is_training(node: onnx.NodeProto, switched_on: set[str]) -> bool:
    """Whether a BatchNormalization counts its own averages, or a Dropout was exported to drop."""
    if node.op_type == "BatchNormalization":
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        return bool(attributes.get("training_mode")) or sum(map(bool, node.output)) > 1
    return node.op_type == "Dropout" and len(node.input) > 2 and node.input[2] in switched_on


def _check_weights(graph: onnx.GraphProto) -> None:
    for weight in graph.initializer:
        if weight.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE):
            kind = TensorProto.DataType.Name(weight.data_type)
            raise Finding(
                _("weight {name} is {kind}, not FLOAT").format(name=weight.name, kind=kind), _EXPORT
            )
        if weight.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(weight)
            if not np.isfinite(values).all():
                raise Finding(
                    _(
                        "weight {name} holds values that are not finite: the training went astray"
                    ).format(name=weight.name),
                    Cure(
                        _("lower train.learning_rate and run 02_train"),
                        _("train it again, with a lower learning rate"),
                    ),
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
                _("calibration image {file} is none of the training images: {again}").format(
                    file=relative(file), again=again
                )
            )
    counts = np.bincount([class_of[file.resolve()] for file in files], minlength=len(labels))
    for label, count in zip(labels, counts, strict=True):
        if 2 * count < len(files) // len(labels):
            raise PipelineError(
                _(
                    "the calibration list has {count} images of class {label}, of {count2} "
                    "in all: its values may lie outside the ranges found; {again}"
                ).format(count=count, label=label, count2=len(files), again=again)
            )
    if len(files) != recipe.calibration.images:
        raise PipelineError(
            _("{listed} has {count} lines, calibration.images is {images}: {again}").format(
                listed=relative(listed),
                count=len(files),
                images=recipe.calibration.images,
                again=again,
            )
        )
    return hashes


def custom_string(labels: list[str], slim: Path) -> str:
    """What is stored in the `.rknn` file: the labels, and which ONNX model it was made from.

    `labels=a,b;onnx=<12 digits of its SHA-256>`; where a name holds a sign of that form, the names
    are a list of JSON: `labels=["a,b","c"];onnx=...`. `rknn_file.labels` reads both.
    """
    plain = not any(sign in label for label in labels for sign in ",;[")
    listed = ",".join(labels) if plain else json.dumps(labels, ensure_ascii=False)
    return f"labels={listed};onnx={sha256(slim)[:12]}"
