"""A network as a `.tflite` file, float or INT8, for LiteRT and TFLite Micro.

Written with the classes that the package `ai-edge-litert` has for the file's schema, so neither
TensorFlow nor a converter is needed. What is other than in ONNX: pictures and weights have their
channels last; padding is SAME, VALID, or an operator of its own; and INT8 weights have a zero
point of 0.
"""

from typing import Any

import numpy as np

from ..conversion.integer_network import IntegerNetwork, Layer, Weights, Window
from ..conversion.rknn_ranges import Quantization
from ..errors import PipelineError
from ..language import _

_VERSION = 3  # of the schema


def channels_last(weights: np.ndarray) -> np.ndarray:
    """[outputs, inputs, h, w] as [outputs, h, w, inputs]."""
    return np.ascontiguousarray(weights.transpose(0, 2, 3, 1))


def same_padding(window: Window, height: int, width: int) -> tuple[int, int, int, int]:
    """What SAME puts around a picture: top, left, bottom, right. An odd rest goes behind."""
    found = []
    for size, kernel, stride in zip((height, width), window.kernel, window.stride, strict=True):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        found.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = found
    return top, left, bottom, right


def write(network: IntegerNetwork, quantized: bool) -> bytes:
    """The file's content.

    Input: float32 [1, H, W, 3], normalised. Output: float32 logits [1, 1, 1, classes]. An INT8
    network quantizes and dequantizes at its ends itself.

    Raises:
        PipelineError: a max pool with padding that TFLite does not know, or INT8 weights with zero
            points (`symmetric_weights` makes others).
    """
    return _Graph(network, quantized).content()


class _Graph:
    """Operators, tensors and buffers of a file that is being written."""

    def __init__(self, network: IntegerNetwork, quantized: bool) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema, self.quantized = schema, quantized
        self.buffers = [schema.BufferT()]  # the first one is empty, for tensors that are computed
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[int] = []
        shape = (3, network.image.height, network.image.width)
        self.first = tensor = self.computed("input", shape, None)
        if quantized:
            tensor = self.computed("input_quantized", shape, network.input)
            self.operate("QUANTIZE", [self.first], tensor)
        into = network.input
        for layer in network.layers:
            tensor = self.layer(layer, tensor, shape, into)
            shape, into = layer.shape, layer.output
        self.last = tensor
        if quantized:
            self.last = self.computed("logits", shape, None)
            self.operate("DEQUANTIZE", [tensor], self.last)

    def content(self) -> bytes:
        import flatbuffers

        schema = self.schema
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = b"network", self.tensors, self.operators
        graph.inputs, graph.outputs = [self.first], [self.last]
        model = schema.ModelT()
        model.version, model.description = _VERSION, b"mnist-rknn"
        model.subgraphs, model.buffers = [graph], self.buffers
        model.operatorCodes = []
        for number in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = number
            code.version = self.version(number)
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def version(self, number: int) -> int:
        """Of an operator: INT8 came later than float."""
        operator = self.schema.BuiltinOperator
        later = {operator.CONV_2D: 3, operator.QUANTIZE: 1}
        return later.get(number, 2) if self.quantized else 1

    def layer(
        self, layer: Layer, tensor: int, shape: tuple[int, int, int], into: Quantization
    ) -> int:
        schema, window = self.schema, layer.window
        tensor, padding = self.padded(tensor, window, shape, into, layer)
        result = self.computed(layer.name, layer.shape, layer.output)
        options = schema.Pool2DOptionsT() if layer.weights is None else schema.Conv2DOptionsT()
        options.padding = padding
        options.strideH, options.strideW = window.stride
        if layer.weights is None:
            options.filterHeight, options.filterWidth = window.kernel
            self.operate("MAX_POOL_2D", [tensor], result, "Pool2DOptions", options)
        else:
            activation = schema.ActivationFunctionType
            options.fusedActivationFunction = activation.RELU if layer.relu else activation.NONE
            options.dilationHFactor = options.dilationWFactor = 1
            inputs = [tensor, *self.weights(layer.name, layer.weights, into)]
            self.operate("CONV_2D", inputs, result, "Conv2DOptions", options)
        return result

    def weights(self, name: str, weights: Weights, into: Quantization) -> list[int]:
        """The tensors of a layer's weights and biases."""
        values, bias = weights.real.astype(np.float32), weights.real_bias.astype(np.float32)
        scales = bias_scales = None
        if self.quantized:
            if weights.zero_points.any():
                raise PipelineError(
                    _(
                        "{name}: its weights have zero points, and TFLite takes none: quantize "
                        "them symmetrically first"
                    ).format(name=name)
                )
            values, bias, scales = weights.values, weights.bias, weights.scales
            bias_scales = scales * into.scale
        return [
            self.constant(f"{name}_weight", channels_last(values), scales),
            self.constant(f"{name}_bias", bias, bias_scales),
        ]

    def padded(
        self,
        tensor: int,
        window: Window,
        shape: tuple[int, int, int],
        of: Quantization,
        layer: Layer,
    ) -> tuple[int, int]:
        """The tensor that a window walks over, and the kind of its padding."""
        kinds, (channels, height, width) = self.schema.Padding, shape
        if not any(window.padding):
            return tensor, kinds.VALID
        if window.padding == same_padding(window, height, width):
            return tensor, kinds.SAME
        if layer.weights is None:
            raise PipelineError(
                _(
                    "{name}: a max pool with padding {padding} cannot be written for TFLite: "
                    "choose a network whose pools have none"
                ).format(name=layer.name, padding=list(window.padding))
            )
        top, left, bottom, right = window.padding
        around = self.constant(
            f"{layer.name}_padding",
            np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32),
        )
        shape = (channels, height + top + bottom, width + left + right)
        result = self.computed(f"{layer.name}_padded", shape, of)
        self.operate("PAD", [tensor, around], result, "PadOptions", self.schema.PadOptionsT())
        return result, kinds.VALID

    def computed(self, name: str, shape: tuple[int, int, int], of: Quantization | None) -> int:
        """A tensor [1, height, width, channels]; float where `of` is None."""
        channels, height, width = shape
        kinds, whole = self.schema.TensorType, self.quantized and of is not None
        kind = kinds.INT8 if whole else kinds.FLOAT32
        tensor = self.tensor(name, [1, height, width, channels], kind, 0)
        if whole and of is not None:
            tensor.quantization = self.scales(np.array([of.scale]), [of.zero_point])
        return len(self.tensors) - 1

    def constant(self, name: str, values: np.ndarray, scales: np.ndarray | None = None) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.buffers.append(buffer)
        kind = getattr(self.schema.TensorType, values.dtype.name.upper())
        tensor = self.tensor(name, list(values.shape), kind, len(self.buffers) - 1)
        if scales is not None:
            tensor.quantization = self.scales(scales, [0] * len(scales))
        return len(self.tensors) - 1

    def tensor(self, name: str, shape: list[int], kind: int, buffer: int) -> Any:
        found = self.schema.TensorT()
        found.name, found.shape, found.type, found.buffer = name.encode(), shape, kind, buffer
        self.tensors.append(found)
        return found

    def scales(self, scales: np.ndarray, zero_points: list[int]) -> Any:
        found = self.schema.QuantizationParametersT()
        found.scale = scales.astype(np.float32)
        found.zeroPoint = np.array(zero_points, np.int64)
        found.quantizedDimension = 0
        return found

    def operate(
        self, name: str, inputs: list[int], result: int, kind: str = "NONE", options: Any = None
    ) -> None:
        number = getattr(self.schema.BuiltinOperator, name)
        if number not in self.codes:
            self.codes.append(number)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes.index(number)
        operator.inputs, operator.outputs = inputs, [result]
        operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
        operator.builtinOptions = options
        self.operators.append(operator)
