"""What a network has to do: multiply-accumulates (MACs), and the NPU's cycles for them.

The rule for cycles was found by holding the compiler's tables against each other; Rockchip
publishes none. `Compilation` has the compiler's own estimate.
"""

import ast
import math
from collections.abc import Sequence

import onnx

from ..records import Layer

INPUTS, OUTPUTS = 32, 16  # channels that the NPU takes in, and gives out, at once
PLACES = 16  # of the output that it works on at once
FEWEST_TURNS = 4  # it takes for them, so a kernel of 1x1 on few channels costs as much as 2x2


def macs(model: onnx.ModelProto) -> int:
    """Multiply-accumulates for one picture, of convolutions and matrix products.

    Args:
        model: with static shapes, its weights in it.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        shape = weights.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type == "Conv" and shape:
            _, outputs, height, width = shapes[node.output[0]]
            total += outputs * height * width * math.prod(shape[1:])
        elif node.op_type in ("Gemm", "MatMul") and shape:
            total += math.prod(shape)
    return total


def npu_cycles(places: int, kernel: int, inputs: int, outputs: int) -> int:
    """Cycles of a convolution by the rule: a group that is not full takes as long as a full one.

    Args:
        places: height x width of the output.
        kernel: height x width of the filters.
        inputs, outputs: channels.
    """
    turns = max(FEWEST_TURNS, kernel * math.ceil(inputs / INPUTS))
    return _whole_places(places) * turns * math.ceil(outputs / OUTPUTS)


def depthwise_cycles(places: int, kernel: int, channels: int) -> int:
    """Cycles of a depthwise convolution by the rule: a channel has one input, and 31 wait."""
    return _whole_places(places) * kernel * math.ceil(channels / INPUTS)


def _whole_places(places: int) -> int:
    return PLACES * math.ceil(places / PLACES)


def ruled(layer: Layer) -> int | None:
    """NPU cycles of a row of the compiler's table by the rule; None for what is no convolution."""
    shapes = _shapes(layer.input_shape)
    if not layer.operator.startswith("Conv") or len(shapes) < 2 or len(shapes[1]) != 4:
        return None
    outputs, inputs, *kernel = shapes[1]
    _, given, height, width = _shapes(layer.output_shape)[0]
    places, taps = height * width, math.prod(kernel)
    if outputs == 1 and inputs == given:  # as the table writes a depthwise one
        return depthwise_cycles(places, taps, given)
    return npu_cycles(places, taps, inputs, outputs)


def bound_by(layer: Layer) -> str:
    """What a layer of the table waits for."""
    if not layer.cycles:
        return "-"
    return "multiplying" if layer.npu_cycles >= layer.ddr_cycles else "memory"


def _shapes(text: str) -> Sequence[tuple[int, ...]]:
    """`(1,3,48,48),(24,3,6,6),(24)` as tuples."""
    found = ast.literal_eval(f"[{text}]") if "(" in text else []
    return [shape if isinstance(shape, tuple) else (shape,) for shape in found]
