"""ONNX graphs: what is in them, where the logits are, and whether the NPU could take them."""

from collections import Counter
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from ..errors import PipelineError
from ..files import relative

# Operators behind which a Softmax is still the end of the graph.
_HARMLESS = (
    "Abs", "Cast", "Clip", "Dropout", "Flatten", "Identity", "Relu", "Reshape", "Squeeze",
    "Transpose", "Unsqueeze",
)  # fmt: skip


def load(path: Path) -> onnx.ModelProto:
    """Read and check an ONNX file.

    Raises:
        PipelineError: missing, empty, cut short, or not valid ONNX.
    """
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is missing: run 03_export first")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "unreadable"
        raise PipelineError(
            f"{relative(path)} is damaged or not ONNX ({reason}): run 03_export again"
        ) from None
    if not model.graph.node:
        raise PipelineError(f"{relative(path)} is empty: run 03_export again")
    return model


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
        raise PipelineError(
            f"the graph has {len(inputs)} inputs ({', '.join(v.name for v in inputs)}): "
            "the module's SDK feeds exactly one"
        )
    return inputs[0]


def find_logits(model: onnx.ModelProto, name: str | None = None) -> str:
    """Name of the tensor with the logits.

    PaddleClas ends an export in Softmax; the logits are what goes into the last one, before
    any Identity. A graph without Softmax ends in its logits. Tensor names differ from one
    exporter version to the next, so the graph is searched by structure.

    Args:
        name: a tensor to take instead.

    Raises:
        PipelineError: `name` is not in the graph; the message gives the likely tensor.
    """
    producer = {output: node for node in model.graph.node for output in node.output}
    tensor = model.graph.output[0].name
    while tensor in producer and producer[tensor].op_type in ("Softmax", "Identity"):
        tensor = producer[tensor].input[0]
    if name is None or name == tensor:
        return tensor
    if name not in producer:
        raise PipelineError(
            f"export.logits: the graph has no tensor {name!r}; the logits are likely {tensor!r}"
        )
    return name


def require_static(model: onnx.ModelProto, expected: list[int]) -> None:
    """Check that every dimension of the graph is a number and the input is as `expected`.

    Raises:
        PipelineError: names the tensor and its dimensions.
    """
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=False)
    graph = inferred.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        dimensions = shape(value)
        if not all(isinstance(dimension, int) and dimension > 0 for dimension in dimensions):
            raise PipelineError(
                f"tensor {value.name} has the dynamic shape {dimensions}: "
                "the RV1106 runs fixed shapes only; slim the graph with 03_export"
            )
    dimensions = shape(input_of(inferred))
    if dimensions != expected:
        raise PipelineError(
            f"the graph's input is {dimensions}, the recipe's image is {expected}: run 03_export"
        )


def require_logits(model: onnx.ModelProto) -> None:
    """Check that the graph ends in logits, as the module's SDK expects.

    Raises:
        PipelineError: the graph has several outputs or ends in Softmax or its like, be it behind
            operators that change shape or sign only.
    """
    if len(model.graph.output) != 1:
        raise PipelineError(
            f"the graph has {len(model.graph.output)} outputs; keep the logits only"
        )
    producer = {output: node for node in model.graph.node for output in node.output}
    last = producer.get(model.graph.output[0].name)
    while last is not None and last.op_type in _HARMLESS:
        last = producer.get(last.input[0])
    if last is not None and last.op_type in ("Softmax", "LogSoftmax", "Sigmoid"):
        raise PipelineError(
            f"the graph ends in {last.op_type} ({last.name}): the output would be float16, and "
            "the module's SDK applies Softmax itself; cut it with 03_export"
        )
