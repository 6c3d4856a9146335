"""The INT8 network of a run as plain numbers: what the NPU computes, for everyone to compute again.

Weights and biases are quantized by the rule that rknn-toolkit2 was found to follow: each output
channel (or the whole layer) has a scale and a zero point from its smallest and largest weight.
With the converter's own scales of the tensors between the layers, these integers give the answers
of its simulator; `verification.try_page` measures how exactly.

Only plain networks: convolutions, max pools and fully connected layers, one behind the other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..errors import PipelineError
from ..recipe import Image
from . import inference, onnx_graph
from .rknn_ranges import Quantization

_OPSET, _IR = 21, 10  # the first with 16-bit integers in DequantizeLinear
_ONE = np.ones((), np.float32)
_KNOWN = ("Conv", "Flatten", "Gemm", "GlobalMaxPool", "MaxPool", "Relu", "Reshape")


class NotPlain(PipelineError):
    """The network is none that these integers describe.

    `key` and `values` are for the sentence of the page's table, `why_<key>`.
    """

    def __init__(self, key: str, **values: str):
        super().__init__(f"{key}: {', '.join(values.values())}")
        self.key, self.values = key, values


@dataclass(frozen=True)
class Window:
    """How a layer walks over its input, in pixels: height first, width second."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what comes out."""
        top, left, bottom, right = self.padding
        return (
            (height + top + bottom - self.kernel[0]) // self.stride[0] + 1,
            (width + left + right - self.kernel[1]) // self.stride[1] + 1,
        )


@dataclass(frozen=True)
class Weights:
    """Of a convolution; a fully connected layer is one whose kernel is its whole input."""

    values: np.ndarray  # int8 [outputs, inputs, h, w]
    scales: np.ndarray  # float64 [outputs]
    zero_points: np.ndarray  # int16 [outputs], from -128 to 127
    bias: np.ndarray  # int32 [outputs], in steps of the input's scale times the weight's
    divisors: np.ndarray  # float32 [outputs]: the sum divided by it is in steps of the output
    real: np.ndarray  # float32 [outputs, inputs, h, w], before the quantization
    real_bias: np.ndarray  # float32 [outputs]

    @property
    def centered(self) -> np.ndarray:
        """int16 [outputs, inputs, h, w], from -255 to 255: real = centered * scale."""
        return self.values.astype(np.int16) - self.zero_points.reshape(-1, 1, 1, 1)


@dataclass(frozen=True)
class Layer:
    """A convolution with its ReLU, if it has one, or a max pool (`weights` is None)."""

    name: str  # the tensor it writes
    window: Window
    weights: Weights | None
    relu: bool
    shape: tuple[int, int, int]  # of the output: channels, height, width
    output: Quantization


@dataclass(frozen=True)
class IntegerNetwork:
    """The layers, in their order, and how pixels become the first INT8 numbers."""

    image: Image
    input_name: str
    input: Quantization
    layers: tuple[Layer, ...]

    @property
    def weights(self) -> int:
        """Number of its weights."""
        return sum(layer.weights.values.size for layer in self.layers if layer.weights)

    def input_table(self) -> np.ndarray:
        """int8 [3, 256]: what a pixel's value becomes, for each channel the network takes."""
        pixels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)[None]
        values = inference.normalize(pixels, self.image)[0, :, 0]
        steps = np.rint(values / np.float32(self.input.scale)) + self.input.zero_point
        return np.clip(steps, -128, 127).astype(np.int8)


def require_known(model: onnx.ModelProto) -> None:
    """Check that the graph is a plain chain of operators that are described here.

    Raises:
        NotPlain: names what is not.
    """
    unknown = [name for name in onnx_graph.operator_counts(model) if name not in _KNOWN]
    if unknown:
        raise NotPlain("operators", found=", ".join(sorted(unknown)), known=", ".join(_KNOWN))
    constants = {one.name for one in model.graph.initializer}
    tensor, before = onnx_graph.input_of(model).name, "the input"
    for node in model.graph.node:
        if node.input[0] != tensor or not constants.issuperset(node.input[1:]):
            raise NotPlain("branches", node=f"{node.op_type} {node.name}")
        if node.op_type == "Relu" and before not in ("Conv", "Gemm"):
            raise NotPlain("follows", node="Relu", before=before)
        if before in ("Flatten", "Reshape") and node.op_type != "Gemm":
            raise NotPlain("follows", node=node.op_type, before=before)
        for one in node.attribute:
            value = helper.get_attribute_value(one)
            if value not in _PLAIN.get(one.name, (value,)):
                raise NotPlain(
                    "has", node=f"{node.op_type} {node.name}", value=f"{one.name} {value}"
                )
        tensor, before = node.output[0], node.op_type


_PLAIN: Mapping[str, Sequence[Any]] = {
    "group": (1,), "dilations": ([1, 1],), "auto_pad": (b"NOTSET",), "ceil_mode": (0,),
    "storage_order": (0,), "alpha": (1.0,), "beta": (1.0,), "transA": (0,), "axis": (1,),
    "allowzero": (0,),
}  # fmt: skip


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def read(
    model: onnx.ModelProto, ranges: Mapping[str, Quantization], image: Image, method: str
) -> IntegerNetwork:
    """The integer network of a slim ONNX graph.

    Args:
        ranges: scale and zero point of its tensors, by name.
        method: rknn-toolkit2's quantized_method, "channel" or "layer".

    Raises:
        NotPlain: the graph holds something else, or a tensor's scale is not in `ranges`.
    """
    require_known(model)
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    source = onnx_graph.input_of(model).name
    entering = _range(ranges, source)
    shape, quantization = (3, image.height, image.width), entering
    nodes, layers = list(model.graph.node), []
    for position, node in enumerate(nodes):
        if node.op_type in ("Relu", "Flatten", "Reshape"):
            continue  # part of the layer before, or no computation
        weights: Weights | None = None
        relu = position + 1 < len(nodes) and nodes[position + 1].op_type == "Relu"
        name = nodes[position + relu].output[0]
        if node.op_type in ("Conv", "Gemm"):
            real, bias = _real_weights(node, constants, shape)
            into, quantization = quantization, _range(ranges, name)
            weights = _quantize(real, bias, method, into.scale, quantization.scale)
        window = _window(node, shape)
        channels = len(weights.bias) if weights else shape[0]
        shape = (channels, *window.output(*shape[1:]))
        layers.append(Layer(name, window, weights, relu, shape, quantization))
    return IntegerNetwork(image, source, entering, tuple(layers))


def _range(ranges: Mapping[str, Quantization], name: str) -> Quantization:
    if name not in ranges:
        raise NotPlain("no_scale", tensor=name)
    return ranges[name]


def _window(node: onnx.NodeProto, shape: tuple[int, int, int]) -> Window:
    if node.op_type in ("Gemm", "GlobalMaxPool"):
        return Window(shape[1:])
    found = _attributes(node)
    return Window(
        tuple(found["kernel_shape"]),
        tuple(found.get("strides", (1, 1))),
        tuple(found.get("pads", (0, 0, 0, 0))),
    )


def _real_weights(
    node: onnx.NodeProto, constants: Mapping[str, np.ndarray], shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [outputs, inputs, h, w] and biases [outputs]."""
    weights = constants[node.input[1]]
    if node.op_type == "Gemm":
        weights = weights if _attributes(node).get("transB") else weights.T
        weights = weights.reshape(-1, *shape)
    bias = constants[node.input[2]] if len(node.input) > 2 else np.zeros(len(weights), np.float32)
    return weights, bias.reshape(-1)


def _quantize(
    real: np.ndarray, real_bias: np.ndarray, method: str, into: float, out: float
) -> Weights:
    """Quantize as rknn-toolkit2 does: 256 numbers from the smallest weight to the largest.

    Args:
        real, real_bias: float32 [outputs, inputs, h, w] and [outputs].
        into, out: scales of the layer's input and output.
    """
    rows = real.reshape(len(real) if method == "channel" else 1, -1).astype(np.float64)
    low, high = np.minimum(rows.min(axis=1), 0), np.maximum(rows.max(axis=1), 0)
    scales = (high - low) / 255
    scales[scales == 0] = 1.0  # a channel of zeros
    zero_points = np.rint(-128 - low / scales)
    scales, zero_points = (np.broadcast_to(row, len(real)) for row in (scales, zero_points))
    # In float32: a filter with -w and w at its ends stands in the middle between two numbers.
    steps = np.rint(real / scales.astype(np.float32).reshape(-1, 1, 1, 1))
    values = steps + zero_points.reshape(-1, 1, 1, 1)
    unit = into * scales  # what 1 of a sum of products stands for
    return Weights(
        np.clip(values, -128, 127).astype(np.int8),
        scales,
        zero_points.astype(np.int16),
        np.rint(real_bias / unit).astype(np.int32),
        (out / unit).astype(np.float32),
        real,
        real_bias,
    )


# --- as an ONNX graph -----------------------------------------------------------------


def to_qdq(network: IntegerNetwork) -> onnx.ModelProto:
    """The network as an ONNX graph with QuantizeLinear and DequantizeLinear nodes.

    The layers compute with whole numbers, as DequantizeLinear takes off the zero point and
    multiplies by 1. Their sums are below 2^24 and so exact in float32, in whatever order a runtime
    adds. QuantizeLinear divides them by a number for each channel, which leads to the INT8 steps
    of the output. Only the logits become real numbers.

    Weights are 16-bit integers, less their zero points: onnxruntime has no INT8 kernels for zero
    points that differ from channel to channel, and so runs the nodes as they are written.

    Input: float32 [N, 3, H, W], normalised. Output: float32 logits [N, classes].
    """
    graph = _Graph()
    into = np.array(network.input.scale, np.float32)
    tensor = graph.to_int8(network.input_name, into, network.input.zero_point)
    zero_point = network.input.zero_point
    for layer in network.layers:
        tensor = graph.layer(layer, tensor, zero_point)
        zero_point = layer.output.zero_point
    last = network.layers[-1]
    tensor = graph.from_int8(tensor, np.array(last.output.scale, np.float32), zero_point)
    graph.add("Flatten", [tensor], "logits")
    shape: list[str | int | None] = ["N", 3, network.image.height, network.image.width]
    made = helper.make_graph(
        graph.nodes,
        "INT8 network",
        [helper.make_tensor_value_info(network.input_name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", math.prod(last.shape)])],
        graph.constants,
    )
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(made, opset_imports=[opset], ir_version=_IR)
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Nodes and constants of a graph that is being written."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def to_int8(self, tensor: str, divisors: np.ndarray, zero_point: int) -> str:
        """A QuantizeLinear; several divisors are for the channels."""
        scale = self.constant(f"{tensor}.divisors", divisors)
        zero_points = np.full(divisors.shape, zero_point, np.int8)
        inputs = [tensor, scale, self.constant(f"{tensor}.zero_point", zero_points)]
        return self.add("QuantizeLinear", inputs, f"{tensor}.int8", axis=1)

    def from_int8(self, tensor: str, scale: np.ndarray, zero_point: int) -> str:
        """A DequantizeLinear."""
        zero = self.constant(f"{tensor}.zero_point", np.array(zero_point, np.int8))
        return self.add(
            "DequantizeLinear", [tensor, self.constant(f"{tensor}.scale", scale), zero],
            f"{tensor}.real",
        )  # fmt: skip

    def whole(self, name: str, values: np.ndarray) -> str:
        """A DequantizeLinear of integer constants, times 1."""
        zero = self.constant(f"{name}.zero_point", np.zeros((), values.dtype))
        one = self.constant(f"{name}.one", _ONE)
        return self.add("DequantizeLinear", [self.constant(f"{name}.int", values), one, zero], name)

    def layer(self, layer: Layer, tensor: str, zero_point: int) -> str:
        """The nodes of a layer, from an INT8 tensor to an INT8 tensor."""
        window: dict[str, Any] = {
            "kernel_shape": layer.window.kernel,
            "strides": layer.window.stride,
            "pads": layer.window.padding,
        }
        if layer.weights is None:
            return self.add("MaxPool", [tensor], f"{layer.name}.pooled", **window)
        inputs = [
            self.from_int8(tensor, _ONE, zero_point),
            self.whole(f"{layer.name}.weights", layer.weights.centered),
            self.whole(f"{layer.name}.bias", layer.weights.bias),
        ]
        result = self.add("Conv", inputs, f"{layer.name}.sum", **window)
        if layer.relu:
            result = self.add("Relu", [result], f"{layer.name}.relu")
        return self.to_int8(result, layer.weights.divisors, layer.output.zero_point)
