"""An ONNX graph that somebody exported, made ready for rknn-toolkit2: its answers stay.

Exporters write much that means the same: nodes in any order, weights in other precisions, an open
batch, functions of their own, names with signs at which tools split. All that is brought into one
form here. What would change an answer is refused, and the result is compared with the original.
"""

import math
import re
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx.inliner
import onnxslim
from onnx import TensorProto, helper, numpy_helper, shape_inference

from ..errors import PipelineError
from ..language import _
from . import onnx_graph, preflight

LONGEST_NAME = 100  # bytes; rknn-toolkit2 2.3.2 loses a tensor whose name has 128 or more
_PLAIN_NAME = re.compile(r"[\w./-]+", re.ASCII)  # onnxslim splits at a colon, a comma and more
_WIDE = {TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}


@dataclass
class Graph:
    """A graph on its way to the converter."""

    model: onnx.ModelProto
    input: str  # name of the picture
    output: str  # name of the logits
    remarks: list[str] = field(default_factory=list)  # what was changed, a sentence each


def open_graph(model: onnx.ModelProto, inputs: str, outputs: str) -> Graph:
    """Bring a graph into the form that everything else here understands.

    Args:
        model: as `onnx_graph.load` gives it; it is changed.
        inputs, outputs: names of picture and logits in the recipe file.

    Raises:
        PipelineError: a name that the graph lacks, or a graph that no converter could take.
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    preflight.check_operators(model)
    model.ir_version = min(model.ir_version, onnx_graph.NEWEST_IR)
    _name_nodes(model)
    remarks = _to_float32(model)
    source = onnx_graph.input_of(model)
    if inputs != source.name:
        said = f"the graph has no input {inputs!r}" if inputs else "none is written"
        raise PipelineError(
            _("load_onnx.inputs: {said}; the graph's input is {name!r}").format(
                said=said, name=source.name
            )
        )
    _require_float_input(source)
    _require_tensor(model, outputs)
    _require_end(model, outputs)
    answering = only_output(model, outputs)
    _require_one_answer(answering)
    onnx_graph.require_logits(answering)
    return Graph(model, source.name, outputs, remarks)


def _name_nodes(model: onnx.ModelProto) -> None:
    """Give a node another name where two have the same: names are there for people only."""
    used: set[str] = set()
    for number, node in enumerate(model.graph.node):
        if node.name and node.name in used:
            node.name = f"{node.name}_{number}"
        used.add(node.name)


def _to_float32(model: onnx.ModelProto) -> list[str]:
    """Make every number of another precision a float32, in place."""
    kinds = set()
    tensors = list(model.graph.initializer)
    for node in model.graph.node:
        for attribute in node.attribute:
            tensors += [attribute.t] if attribute.HasField("t") else []
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in _WIDE:
                attribute.i = TensorProto.FLOAT
    for tensor in tensors:
        if tensor.data_type in _WIDE:
            kinds.add(tensor.data_type)
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type in _WIDE:
            kinds.add(value.type.tensor_type.elem_type)
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    if kinds:
        del model.graph.value_info[:]
    names = " and ".join(sorted(TensorProto.DataType.Name(kind) for kind in kinds))
    return [f"its numbers are {names}: made FLOAT, as the toolkit wants them"] if kinds else []


def _require_float_input(source: onnx.ValueInfoProto) -> None:
    kind = source.type.tensor_type.elem_type
    if kind != TensorProto.FLOAT:
        raise PipelineError(
            _(
                "the graph's input {name} is {name2}: the NPU gives it normalised "
                "float values; export the network without its preprocessing, whose "
                "mean and std belong into the recipe file"
            ).format(name=source.name, name2=TensorProto.DataType.Name(kind))
        )


def _require_tensor(model: onnx.ModelProto, name: str) -> None:
    if name not in onnx_graph.producers(model):
        likely = onnx_graph.find_logits(model)
        said = f"the graph has no tensor {name!r}" if name else "none is written"
        raise PipelineError(
            _("load_onnx.outputs: {said}; the logits are likely {likely!r}").format(
                said=said, likely=likely
            )
        )


def _require_end(model: onnx.ModelProto, name: str) -> None:
    """Refuse a tensor behind which the network goes on to learn: features, not answers."""
    reached, behind = {name}, []
    for node in model.graph.node:
        if reached & set(node.input):
            reached.update(node.output)
            behind += [node] if node.op_type in onnx_graph.WEIGHTED else []
    if behind:
        likely = onnx_graph.find_logits(model)
        raise PipelineError(
            _(
                "load_onnx.outputs: {name!r} lies inside the network, {op_type} "
                "({value}) comes behind it: these are features and no answers; the "
                "logits are likely {likely!r}"
            ).format(
                name=name,
                op_type=behind[0].op_type,
                value=behind[0].name or behind[0].output[0],
                likely=likely,
            )
        )


# --- shapes and names -----------------------------------------------------------------


def set_input_shape(graph: Graph, shape: list[int]) -> None:
    """Fix the picture's dimensions; those of everything behind it are found anew."""
    source = onnx_graph.input_of(graph.model)
    source.type.tensor_type.shape.CopyFrom(
        helper.make_tensor_type_proto(TensorProto.FLOAT, shape).tensor_type.shape
    )
    del graph.model.graph.value_info[:]
    for value in graph.model.graph.output:
        value.type.tensor_type.ClearField("shape")


def only_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """A copy that answers with one tensor."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    del found.graph.output[:]
    found.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return found


def _rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
        *model.graph.value_info,
    ):
        value.name = names.get(value.name, value.name)


def _plain_names(model: onnx.ModelProto) -> dict[str, str]:
    """Another name for every tensor whose own a tool would split or lose."""
    weights = {tensor.name for tensor in model.graph.initializer}
    used = {*weights, *onnx_graph.producers(model), *(value.name for value in model.graph.input)}
    found = {}
    for number, name in enumerate(sorted(used)):
        if not _PLAIN_NAME.fullmatch(name) or len(name) > LONGEST_NAME:
            new = f"tensor_{number}"
            while new in used:
                new += "_"
            found[name] = new
    return found


def slim(graph: Graph, shape: list[int]) -> onnx.ModelProto:
    """The graph with fixed shapes, constants folded, and the logits [1, classes] as its output.

    Args:
        shape: of the picture, [1, 3, H, W].

    Raises:
        PipelineError: a graph that cannot take a picture of this shape, or answers with no logits.
    """
    model = only_output(graph.model, graph.output)
    names = _plain_names(model)
    _rename(model, names)
    source, answer = names.get(graph.input, graph.input), names.get(graph.output, graph.output)
    try:
        found = onnxslim.slim(
            model, input_shapes=[f"{source}:{','.join(map(str, shape))}"], outputs=[answer]
        )
    except Exception as error:  # of whatever a pass of onnxslim stumbles over
        raise PipelineError(
            _(
                "onnxslim cannot read the graph as one for pictures of {shape} "
                "({split}): export it with fixed sizes"
            ).format(shape=shape, split=" ".join(str(error).split())[:120])
        ) from None
    del found.graph.value_info[:]
    _flatten_answer(found, graph)
    kept = {new: old for old, new in names.items() if len(old.encode()) <= LONGEST_NAME}
    ends = {source, answer, found.graph.output[0].name}
    _rename(found, {new: old for new, old in kept.items() if new in ends})
    for old in (graph.input, graph.output):
        if len(old.encode()) > LONGEST_NAME:
            graph.remarks.append(
                f"the name {old[:20]}... is longer than the {LONGEST_NAME} bytes that the toolkit "
                f"keeps: it is {names[old]} in the model"
            )
    return shape_inference.infer_shapes(found)


def _flatten_answer(model: onnx.ModelProto, graph: Graph) -> None:
    """Make an answer of [C] or [1, C, 1, 1] the [1, C] that the module's SDK reads."""
    output = shape_inference.infer_shapes(model).graph.output[0]
    dimensions = onnx_graph.shape(output)
    known = [size for size in dimensions if isinstance(size, int)]
    classes = math.prod(known) if len(known) == len(dimensions) else 0
    if len(dimensions) == 2 or classes < 2 or max(known) != classes:
        return
    inner = f"{output.name}_before"
    while inner in onnx_graph.producers(model):
        inner += "_"
    for node in model.graph.node:
        node.input[:] = [inner if name == output.name else name for name in node.input]
        node.output[:] = [inner if name == output.name else name for name in node.output]
    shape = numpy_helper.from_array(np.array([1, classes], np.int64), f"{inner}_shape")
    model.graph.initializer.append(shape)
    model.graph.node.append(
        helper.make_node("Reshape", [inner, shape.name], [output.name], f"{inner}_flat")
    )
    value = helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [1, classes])
    model.graph.output[0].CopyFrom(value)
    graph.remarks.append(f"its answer is {dimensions}: made [1, {classes}], as the SDK reads it")


def _require_one_answer(model: onnx.ModelProto) -> None:
    """Refuse what answers for places of a picture, as finders of boxes and readers of text do."""
    for output in onnx.shape_inference.infer_shapes(model).graph.output:
        dimensions = onnx_graph.shape(output)
        behind = [length for length in dimensions[1:] if length != 1]  # "?" is not known
        numbers = [length for length in behind if isinstance(length, int)]
        ends_in_classes = bool(numbers) and dimensions[-1] == numbers[-1]
        of_one_tone = len(dimensions) > 3 and dimensions[1] == 1
        if len(numbers) > 1 or (len(behind) > 1 and (ends_in_classes or of_one_tone)):
            raise PipelineError(
                _(
                    "load_onnx.outputs: {name!r} is {dimensions}, an answer for each of "
                    "many places, and the module's classifier reads one for the whole "
                    "picture, [1, C]: such a network needs a program of its own on the "
                    "module"
                ).format(name=output.name, dimensions=dimensions)
            )


def require_classes(model: onnx.ModelProto) -> int:
    """How many classes a slim graph knows.

    Raises:
        PipelineError: the answer is not one row of two numbers or more.
    """
    dimensions = onnx_graph.shape(model.graph.output[0])
    if len(dimensions) != 2 or dimensions[0] != 1 or not isinstance(dimensions[1], int):
        raise PipelineError(
            _(
                "load_onnx.outputs: {name!r} is {dimensions}, and the module's "
                "classifier reads one row of logits, [1, C]: name the tensor that has "
                "one number for each class"
            ).format(name=model.graph.output[0].name, dimensions=dimensions)
        )
    if dimensions[1] < 2:
        raise PipelineError(
            _(
                "load_onnx.outputs: {name!r} is a single number, and Softmax of one "
                "number is always 1: train the network with a logit for each class"
            ).format(name=model.graph.output[0].name)
        )
    return dimensions[1]
