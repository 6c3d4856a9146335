"""ONNX graphs: what is in them, where the logits are, and whether the NPU could take them."""

import graphlib
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, numpy_helper

from .. import file_kinds
from ..errors import Cure, Finding
from ..files import relative
from ..language import _, later
from . import damage

NEWEST_IR = 10  # that onnx 1.17 checks; rknn-toolkit2 2.3.2 built 11 and 12 alike

_OPERATORS = {
    # The values stay as they are.
    "moving": (
        "Cast Concat Dropout Expand Flatten Gather Identity Pad Reshape Slice Split Squeeze Tile "
        "Transpose Unsqueeze"
    ),
    # By a constant: the order of the classes stays.
    "scaling": "Add Div Mul Sub",
    # Some values become alike, or the last becomes the first.
    "cutting": (
        "Abs Celu Clip Elu Gelu HardSwish LeakyRelu Mish Neg PRelu Relu Selu Swish ThresholdedRelu"
    ),
    # What a network may end in, or had before the above.
    "layer": (
        "Add AveragePool BatchNormalization Conv ConvTranspose Einsum GRU Gemm GlobalAveragePool "
        "GlobalMaxPool InstanceNormalization LSTM LayerNormalization MatMul MaxPool Mean RNN "
        "ReduceMax ReduceMean ReduceSum Sub Sum"
    ),
}
_MOVING, _SCALING, _CUTTING, _LAYER = (frozenset(v.split()) for v in _OPERATORS.values())
WEIGHTED = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul"))

_EXPORT = Cure(later("run 03_export again"), later("export it to ONNX again"))
_AGAIN = Cure(_EXPORT.step, later("copy it again, in binary mode, or export it again"))
_OTHER_KINDS = {  # what to do with a file that was named as the ONNX model
    "rknn": later("name the ONNX model that it was made from"),
    "pt": later("export it first, with torch.onnx.export"),
    "zip": later(
        "unpack it and name the .onnx file in it; a PyTorch file (.pt, .pth) is exported first"
    ),
    "h5": later("export it first, with tf2onnx"),
    "keras": later("export it first, with tf2onnx"),
    "saved_model": later("export it first, with tf2onnx"),
    "tflite": later("export it first, with tf2onnx --tflite"),
    "text": later("name the .onnx file"),
    "json": later(
        "name the .onnx file; a model of PaddlePaddle is exported with paddle2onnx first"
    ),
    "xml": later("name the .onnx file"),
}


def load(path: Path) -> onnx.ModelProto:
    """Read and check an ONNX file; nodes that stand before what they need are put in order.

    Raises:
        Finding: missing, empty, cut short, another kind of file, without its weights, or not
            valid ONNX.
    """
    name = relative(path)
    if path.is_dir():
        raise Finding(
            _("{name} is a folder").format(name=name),
            Cure(_EXPORT.step, _("name the .onnx file in it")),
        )
    if not path.is_file():
        raise Finding(
            _("{name} is missing").format(name=name),
            Cure(_("run 03_export first"), _("name the .onnx file")),
        )
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError:
        model = onnx.ModelProto()
    if not model.graph.node:
        raise _no_graph(path)
    _load_external_weights(model, path)
    _sort(model, name)
    _check(model, name)
    return model


def _no_graph(path: Path) -> Finding:
    """Why a file that was read as ONNX gave no layer."""
    name, kind = relative(path), file_kinds.of(path)
    if changed := damage.of(path.read_bytes()[: 16 << 20]):
        return Finding(f"{name} {changed}", _AGAIN)
    if kind.key == "onnx":
        return Finding(_("{name} is cut short, damaged or has no layers").format(name=name), _AGAIN)
    if kind.key:
        cure = _OTHER_KINDS.get(kind.key, kind.cure)
        cure = later("name the .onnx file") if cure == file_kinds.NOT_HERE else cure
        return Finding(
            _("{name} is {what}, not an ONNX model").format(name=name, what=kind.what),
            Cure(_EXPORT.step, cure),
        )
    return Finding(_("{name} is damaged or not ONNX").format(name=name), _AGAIN)


def _load_external_weights(model: onnx.ModelProto, path: Path) -> None:
    """Read the weights that lie in other files than the graph."""
    for tensor in model.graph.initializer:
        if not external_data_helper.uses_external_data(tensor):
            continue
        place = external_data_helper.ExternalDataInfo(tensor).location
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise Finding(
                _(
                    "{path} has its weights in {place}, outside of its own folder, where "
                    "ONNX does not look"
                ).format(path=relative(path), place=place),
                Cure(_EXPORT.step, _("save it with its weights inside, by onnx.save_model")),
            )
        if not (path.parent / place).is_file():
            raise Finding(
                _("{place} is missing, in which {path} has its weights").format(
                    place=place, path=relative(path)
                ),
                Cure(_EXPORT.step, _("lay it beside, under that very name")),
            )
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise Finding(
            _("the weights of {path}, in a file beside it, cannot be read ({first_line})").format(
                path=relative(path), first_line=_first_line(error)
            ),
            Cure(_EXPORT.step, _("copy both files again")),
        ) from None


def _sort(model: onnx.ModelProto, name: str) -> None:
    """Put every node behind those whose outputs it takes; those in order stay as they are."""
    nodes = list(model.graph.node)
    maker = {output: place for place, node in enumerate(nodes) for output in node.output if output}
    needs = {
        place: {maker[tensor] for tensor in node.input if tensor in maker}
        for place, node in enumerate(nodes)
    }
    if all(earlier < place for place, found in needs.items() for earlier in found):
        return
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError:
        raise Finding(
            _("the nodes of {name} need one another in a circle").format(name=name), _EXPORT
        ) from None
    del model.graph.node[:]
    model.graph.node.extend(nodes[place] for place in order)


def _check(model: onnx.ModelProto, name: str) -> None:
    checked = onnx.ModelProto()
    checked.CopyFrom(model)
    # What the checker wants and nothing here needs: an older form, a title, shapes of the ends.
    checked.ir_version = min(model.ir_version, NEWEST_IR)
    checked.graph.name = model.graph.name or "graph"
    for value in (*checked.graph.input, *checked.graph.output):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(checked)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise Finding(
            _("{name} is not valid ONNX ({first_line})").format(
                name=name, first_line=_first_line(error)
            ),
            _EXPORT,
        ) from None
    model.graph.name = checked.graph.name


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["unreadable"])[0][:200]


def operator_counts(model: onnx.ModelProto) -> Counter[str]:
    """How often each operator stands in the graph; constants are not counted."""
    return Counter(node.op_type for node in model.graph.node if node.op_type != "Constant")


def shape(value: onnx.ValueInfoProto) -> list[int | str]:
    """Dimensions of an input or output; a dynamic one is its name, or "?"."""
    return [
        dimension.dim_value if dimension.HasField("dim_value") else dimension.dim_param or "?"
        for dimension in value.type.tensor_type.shape.dim
    ]


def input_of(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The one input of the graph that is not a weight."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise Finding(
            _(
                "the graph has {count} inputs ({inputs}), and the module's SDK feeds exactly one"
            ).format(count=len(inputs), inputs=", ".join(v.name for v in inputs)),
            Cure(
                _("run 03_export again"), _("export the network with the picture as its only input")
            ),
        )
    return inputs[0]


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The node that makes each tensor, by the tensor's name."""
    return {output: node for node in model.graph.node for output in node.output if output}


def values(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The graph's weights and constants, by name."""
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                found[node.output[0]] = attribute.t
    return {name: numpy_helper.to_array(tensor) for name, tensor in found.items()}


def constants(model: onnx.ModelProto) -> set[str]:
    """Names of the tensors that do not depend on the picture."""
    found = {tensor.name for tensor in model.graph.initializer} | {""}
    for node in model.graph.node:
        if all(name in found for name in node.input) and node.op_type != "RandomNormal":
            found.update(node.output)
    return found


class End:
    """The end of a graph, walked back from one of its tensors to the last layer.

    Attributes:
        cut: operators behind the last layer after which the order of the values is another, such
            as Relu, which makes some alike, or Neg.
        squashed: the first operator found whose answers are no logits, such as Softmax.
        logits: name of the tensor that likely holds the logits.
    """

    def __init__(self, model: onnx.ModelProto, tensor: str):
        made_by, fixed, numbers = producers(model), constants(model), values(model)
        self.cut: list[onnx.NodeProto] = []
        self.squashed: onnx.NodeProto | None = None
        self.logits = _behind_identity(tensor, made_by)
        while tensor in made_by:
            node = made_by[tensor]
            changing = [name for name in node.input if name not in fixed]
            if not changing:
                break
            passes = node.op_type in _MOVING | _CUTTING or (
                node.op_type in _SCALING and len(changing) == 1
            )
            if not passes and node.op_type in _LAYER:
                break
            if not passes:
                self.squashed = self.squashed or node
                self.logits = _behind_identity(changing[0], made_by)
            elif node.op_type in _CUTTING or _turns(node, changing[0], numbers):
                self.cut.append(node)
                if self.squashed is not None:
                    self.logits = _behind_identity(changing[0], made_by)
            tensor = changing[0]


def _turns(node: onnx.NodeProto, changing: str, numbers: dict[str, np.ndarray]) -> bool:
    """Whether scaling by a constant makes the largest value the smallest."""
    if node.op_type in ("Sub", "Div") and node.input[0] != changing:
        return True
    if node.op_type not in ("Mul", "Div"):
        return False
    factors = [numbers[name] for name in node.input if name in numbers]
    return any((factor < 0).any() for factor in factors)


def _behind_identity(tensor: str, made_by: dict[str, onnx.NodeProto]) -> str:
    while tensor in made_by and made_by[tensor].op_type == "Identity":
        tensor = made_by[tensor].input[0]
    return tensor


def find_logits(model: onnx.ModelProto, name: str | None = None) -> str:
    """Name of the tensor with the logits.

    PaddleClas ends an export in Softmax; the logits are what goes into the last one, before
    any Identity. A graph without Softmax ends in its logits. Tensor names differ from one
    exporter version to the next, so the graph is searched by structure.

    Args:
        name: a tensor to take instead.

    Raises:
        Finding: `name` is not in the graph; the message gives the likely tensor.
    """
    likely = End(model, model.graph.output[0].name).logits
    if name is None or name == likely:
        return likely
    if name not in producers(model):
        raise Finding(
            _("the graph has no tensor {name!r}; the logits are likely {likely!r}").format(
                name=name, likely=likely
            ),
            Cure(_("correct export.logits"), _("write that name into load_onnx.outputs")),
        )
    return name


def require_static(model: onnx.ModelProto, expected: list[int]) -> None:
    """Check that every dimension of the graph is a number and the input is as `expected`.

    Raises:
        Finding: names the tensor and its dimensions.
    """
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=False)
    graph = inferred.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        dimensions = shape(value)
        if not all(isinstance(dimension, int) and dimension > 0 for dimension in dimensions):
            raise Finding(
                _(
                    "tensor {name} has the dynamic shape {dimensions}, and the RV1106 runs "
                    "fixed shapes only"
                ).format(name=value.name, dimensions=dimensions),
                Cure(_("slim the graph with 03_export"), _("export the network with fixed sizes")),
            )
    dimensions = shape(input_of(inferred))
    if dimensions != expected:
        raise Finding(
            _("the graph's input is {dimensions}, and the pictures are {expected}").format(
                dimensions=dimensions, expected=expected
            ),
            Cure(
                _("run 03_export again"), _("write the graph's size into load_onnx.input_size_list")
            ),
        )


def require_logits(model: onnx.ModelProto) -> None:
    """Check that the graph ends in logits, as the module's SDK expects.

    Raises:
        Finding: the graph has several outputs, or ends in Softmax or another operator whose
            answers are no logits, be it behind some that change shape, scale or sign only.
    """
    if len(model.graph.output) != 1:
        raise Finding(
            _("the graph has {count} outputs, and the module's classifier reads one").format(
                count=len(model.graph.output)
            ),
            Cure(_("keep the logits only"), _("name the logits only, as load_onnx.outputs")),
        )
    end = End(model, model.graph.output[0].name)
    if end.squashed is not None:
        operator, name = end.squashed.op_type, end.squashed.name or end.squashed.output[0]
        raise Finding(
            _(
                "the graph ends in {operator} ({name}), and the module's SDK takes "
                "logits and applies Softmax itself"
            ).format(operator=operator, name=name),
            Cure(
                _("cut it with 03_export"),
                _("write the logits into load_onnx.outputs, likely {logits!r}").format(
                    logits=end.logits
                ),
            ),
        )
