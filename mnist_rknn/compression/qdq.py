"""A quantized network as an ONNX graph of QDQ pairs, in the form that runtimes and RKNN import.

A pair of QuantizeLinear and DequantizeLinear stands around every layer: it says which integers the
numbers in between are to become. Weights are INT8 constants and biases INT32 constants, each
behind a DequantizeLinear. (`conversion.integer_network.to_qdq` writes for exactness in onnxruntime
alone; other tools do not know its form.)
"""

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..conversion import onnx_graph
from ..conversion.integer_network import IntegerNetwork, Layer
from ..conversion.rknn_ranges import Quantization
from ..errors import PipelineError

_OPSET, _IR = 14, 8
_LAYERS = ("Conv", "Gemm")
_MOVING = ("Flatten", "GlobalMaxPool", "MaxPool", "Reshape")


def write(network: IntegerNetwork) -> onnx.ModelProto:
    """The QDQ graph of a network.

    Input: float32 [1, 3, H, W], normalised. Output: float32 logits [1, classes].
    """
    graph = _Graph()
    tensor = graph.pair(network.input_name, network.input)
    into = network.input
    for layer in network.layers:
        tensor = graph.layer(layer, tensor, into, last=layer is network.layers[-1])
        into = layer.output
    if not graph.is_flat:
        tensor = graph.add("Flatten", [tensor], "logits")
    shape = [1, 3, network.image.height, network.image.width]
    logits = [1, math.prod(network.layers[-1].shape)]
    made = helper.make_graph(
        graph.nodes,
        "QDQ network",
        [helper.make_tensor_value_info(network.input_name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, logits)],
        graph.constants,
    )
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(made, opset_imports=[opset], ir_version=_IR)
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants of a graph that is being written."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.is_flat = False

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def pair(self, tensor: str, of: Quantization) -> str:
        """Around a tensor."""
        inputs = [
            self.constant(f"{tensor}_scale", np.array(of.scale, np.float32)),
            self.constant(f"{tensor}_zero_point", np.array(of.zero_point, np.int8)),
        ]
        self.add("QuantizeLinear", [tensor, *inputs], f"{tensor}_quantized")
        return self.add(
            "DequantizeLinear", [f"{tensor}_quantized", *inputs], f"{tensor}_dequantized"
        )

    def integers(self, name: str, values: np.ndarray, scales: np.ndarray, zero: np.ndarray) -> str:
        """Constants behind a DequantizeLinear, a scale for each row."""
        inputs = [
            self.constant(f"{name}_quantized", values),
            self.constant(f"{name}_scale", scales.astype(np.float32)),
            self.constant(f"{name}_zero_point", zero.astype(values.dtype)),
        ]
        return self.add("DequantizeLinear", inputs, name, axis=0)

    def layer(self, layer: Layer, tensor: str, into: Quantization, last: bool) -> str:
        """The nodes of a layer, between two pairs."""
        if layer.weights is None:
            return self.pool(layer, tensor)
        weights, name = layer.weights, layer.name
        before = f"{name}_before_relu" if layer.relu else name
        connected = last and layer.shape[1:] == (1, 1) and not any(layer.window.padding)
        values = weights.values.reshape(len(weights.values), -1) if connected else weights.values
        unit = into.scale * weights.scales
        inputs = [
            self.integers(f"{name}_weight", values, weights.scales, weights.zero_points),
            self.integers(f"{name}_bias", weights.bias, unit, np.zeros(len(unit))),
        ]
        if connected:
            flat = self.add("Flatten", [tensor], f"{name}_flat")
            self.add("Gemm", [flat, *inputs], before, transB=1)
            self.is_flat = True
        else:
            window = layer.window
            self.add(
                "Conv", [tensor, *inputs], before,
                kernel_shape=window.kernel, strides=window.stride, pads=window.padding,
            )  # fmt: skip
        if layer.relu:
            self.add("Relu", [before], name)
        return self.pair(name, layer.output)

    def pool(self, layer: Layer, tensor: str) -> str:
        """A max pool: it takes integers and gives integers, so the pair stays the same."""
        if layer.shape[1:] == (1, 1):
            pooled = self.add("GlobalMaxPool", [tensor], layer.name)
        else:
            window = layer.window
            pooled = self.add(
                "MaxPool", [tensor], layer.name,
                kernel_shape=window.kernel, strides=window.stride, pads=window.padding,
            )  # fmt: skip
        return self.pair(pooled, layer.output)


def require_pairs(model: onnx.ModelProto, name: str) -> None:
    """Check that a pair stands before and behind every layer, and that weights are integers.

    Args:
        name: of the file, for the message.

    Raises:
        PipelineError: names the first gap.
    """
    made_by = onnx_graph.producers(model)
    read_by: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for tensor in node.input:
            read_by.setdefault(tensor, []).append(node)
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise _gap(name, "it holds none at all")
    for node in model.graph.node:
        if node.op_type in _LAYERS:
            for tensor in node.input:
                if _before(tensor, made_by) != "DequantizeLinear":
                    raise _gap(name, f"none stands before {node.op_type} {node.name}, on {tensor}")
            behind = _behind_relu(node, read_by)
            if behind != {"QuantizeLinear"}:
                raise _gap(name, f"none stands behind {node.op_type} {node.name}")
        elif node.op_type == "QuantizeLinear":
            _require_twin(node, read_by.get(node.output[0], []), name)


def _before(tensor: str, made_by: dict[str, onnx.NodeProto]) -> str:
    """The operator that made the numbers of a tensor, past those that only choose or reorder."""
    while tensor in made_by and made_by[tensor].op_type in _MOVING:
        tensor = made_by[tensor].input[0]
    return made_by[tensor].op_type if tensor in made_by else ""


def _behind_relu(node: onnx.NodeProto, read_by: dict[str, list[onnx.NodeProto]]) -> set[str]:
    readers = read_by.get(node.output[0], [])
    if [one.op_type for one in readers] == ["Relu"]:
        readers = read_by.get(readers[0].output[0], [])
    return {one.op_type for one in readers}


def _require_twin(node: onnx.NodeProto, readers: list[onnx.NodeProto], name: str) -> None:
    for one in readers:
        if one.op_type != "DequantizeLinear":
            raise _gap(name, f"QuantizeLinear {node.name} is read by a {one.op_type}")
        if list(one.input[1:]) != list(node.input[1:]):
            raise _gap(name, f"the two of {node.input[0]} have another scale or zero point")
    if not readers:
        raise _gap(name, f"QuantizeLinear {node.name} stands alone")


def _gap(name: str, where: str) -> PipelineError:
    return PipelineError(
        f"{name}: a pair of QuantizeLinear and DequantizeLinear is missing: {where}; "
        "write the graph again with a pair around every layer"
    )
