"""Quantization that a network feels while it is trained (QAT): fake quantization in Paddle.

A fake-quantized number is a float that takes only the values an integer could stand for. Weights
have a scale for each output channel and zero point 0, what runs between the layers a scale and a
zero point for the whole tensor. The scales are trained along: Esser et al., "Learned step size
quantization", 2020. The straight-through estimator: Bengio et al., 2013.
"""

from collections.abc import Mapping

import numpy as np
import onnx
import paddle
from paddle import nn
from paddle.nn import functional as F

from ..conversion import integer_network
from ..conversion.integer_network import IntegerNetwork, Layer, Weights
from ..conversion.rknn_ranges import Quantization
from ..errors import PipelineError
from ..recipe import Image

CHIP_BITS = 8  # of every number on the NPU; pixels and logits keep them at fewer bits too


def require_bits(bits: int) -> None:
    """Check how many bits a number is to have.

    Raises:
        PipelineError: none that fits into INT8, or too few for a sign and a value.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= CHIP_BITS:
        raise PipelineError(
            f"bits {bits}: a number needs one bit for its sign and one for its size, and INT8 has "
            f"{CHIP_BITS}; choose a whole number from 2 to {CHIP_BITS}"
        )


def limits(bits: int) -> tuple[int, int]:
    """The smallest and the largest whole number of so many bits."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def round_through(x: paddle.Tensor) -> paddle.Tensor:
    """Rounds forward; backward it is as if nothing had been done (straight-through estimator)."""
    return x + (paddle.round(x) - x).detach()


def fake_quantize(
    x: paddle.Tensor, scale: paddle.Tensor, zero_point: int, bits: int
) -> paddle.Tensor:
    """What QuantizeLinear and DequantizeLinear make of `x`, for training.

    Args:
        scale: float32, of a shape that fits to `x`; gets a gradient too.
    """
    steps = round_through(x / scale) + zero_point
    low, high = limits(bits)
    return (paddle.clip(steps, low, high) - zero_point) * scale


class FakeQuantize(nn.Layer):
    """Fake quantization of what runs between two layers, with a scale that is trained."""

    def __init__(self, start: Quantization, bits: int):
        super().__init__()
        # Its logarithm is trained: the scale stays positive, and changes by shares of itself.
        self.log_scale = _parameter(np.log([start.scale]))
        self.zero_point, self.bits = start.zero_point, bits

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return fake_quantize(x, paddle.exp(self.log_scale), self.zero_point, self.bits)

    def quantization(self) -> Quantization:
        """Scale and zero point as they are now."""
        return Quantization(float(paddle.exp(self.log_scale)), self.zero_point)


class QuantizedConvolution(nn.Layer):
    """A convolution with fake-quantized weights; fully connected where its kernel is its input."""

    def __init__(self, layer: Layer, bits: int):
        super().__init__()
        assert layer.weights is not None
        self.layer, self.bits = layer, bits
        real = layer.weights.real
        # Trained in units of the channels: a step of Adam is then the same share of each weight,
        # also where channels are of very different size (`activation_ranges.uneven`).
        rows, columns = _units(real)
        bias_unit = rows.ravel() * np.exp(np.log(columns).mean())
        self._unit, self._bias_unit = paddle.to_tensor(rows * columns), paddle.to_tensor(bias_unit)
        self.relative_weight = _parameter(real / (rows * columns))
        self.relative_bias = _parameter(layer.weights.real_bias / bias_unit)
        largest = _nonzero(np.abs(real).reshape(len(real), -1).max(axis=1))
        self.log_scale = _parameter(np.log(largest / limits(bits)[1]).reshape(-1, 1, 1, 1))

    @property
    def weight(self) -> paddle.Tensor:
        """float32 [outputs, inputs, h, w], not quantized."""
        return self.relative_weight * self._unit

    @property
    def bias(self) -> paddle.Tensor:
        """float32 [outputs]."""
        return self.relative_bias * self._bias_unit

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        weight = fake_quantize(self.weight, paddle.exp(self.log_scale), 0, self.bits)
        window = self.layer.window
        x = F.conv2d(x, weight, self.bias, window.stride, _sides(window.padding))
        return F.relu(x) if self.layer.relu else x

    def weights(self, into: float, out: float) -> Weights:
        """The integers that the NPU is to have.

        Args:
            into, out: scales of the layer's input and output.
        """
        scales = np.exp(self.log_scale.numpy()).ravel().astype(np.float32)
        real, bias = self.weight.numpy(), self.bias.numpy()
        steps = np.rint(real / scales.reshape(-1, 1, 1, 1))
        unit = into * scales.astype(np.float64)
        return Weights(
            values=np.clip(steps, *limits(self.bits)).astype(np.int8),
            scales=scales.astype(np.float64),
            zero_points=np.zeros(len(scales), np.int16),
            bias=np.rint(bias / unit).astype(np.int32),
            divisors=(out / unit).astype(np.float32),
            real=real,
            real_bias=bias,
        )


class QuantizedNetwork(nn.Layer):
    """The network of a slim ONNX graph, as layers that feel the quantization.

    Not trained, it is the same network quantized after the training (PTQ).

    Input: float32 [N, 3, H, W], normalised. Output: float32 logits [N, classes].

    Args:
        model: a plain chain of layers, batch norms folded in.
        ranges: scale and zero point to start from of every tensor that is quantized.
        bits: of weights and of what runs between the layers; pixels and logits keep 8.

    Raises:
        PipelineError: the graph is no plain chain, or bits that are none.
    """

    def __init__(
        self, model: onnx.ModelProto, ranges: Mapping[str, Quantization], image: Image, bits: int
    ):
        super().__init__()
        require_bits(bits)
        self.start = integer_network.read(model, ranges, image, "channel")
        self.input = FakeQuantize(self.start.input, CHIP_BITS)
        last = len(self.start.layers) - 1
        self.convolutions = nn.LayerDict()
        self.outputs = nn.LayerDict()
        for number, layer in enumerate(self.start.layers):
            if layer.weights is not None:
                kept = CHIP_BITS if number == last else bits
                self.convolutions[str(number)] = QuantizedConvolution(layer, bits)
                self.outputs[str(number)] = FakeQuantize(layer.output, kept)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.input(x)
        for number, layer in enumerate(self.start.layers):
            if layer.weights is None:
                window = layer.window
                x = F.max_pool2d(x, window.kernel, window.stride, _sides(window.padding))
            else:
                x = self.outputs[str(number)](self.convolutions[str(number)](x))
        return paddle.flatten(x, 1)

    def integers(self) -> IntegerNetwork:
        """The network as the whole numbers it was trained for.

        Raises:
            PipelineError: it was trained for fewer bits than the chip's numbers have.
        """
        layers: list[Layer] = []
        entering = quantization = self.input.quantization()
        for number, layer in enumerate(self.start.layers):
            weights = None
            if layer.weights is not None:
                if self.convolutions[str(number)].bits != CHIP_BITS:
                    raise PipelineError(
                        f"the network has {self.convolutions[str(number)].bits} bits and the NPU "
                        f"computes with {CHIP_BITS}: train it with bits = {CHIP_BITS}"
                    )
                into, quantization = quantization, self.outputs[str(number)].quantization()
                weights = self.convolutions[str(number)].weights(into.scale, quantization.scale)
            layers.append(
                Layer(layer.name, layer.window, weights, layer.relu, layer.shape, quantization)
            )
        image, name = self.start.image, self.start.input_name
        return IntegerNetwork(image, name, entering, tuple(layers))


def _parameter(values: np.ndarray) -> paddle.Tensor:
    value = np.ascontiguousarray(values, np.float32)
    return paddle.create_parameter(
        value.shape, "float32", default_initializer=nn.initializer.Assign(value)
    )


def _units(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of the outputs [O, 1, 1, 1] and inputs [1, I, 1, 1], by which weights become even."""
    rows, columns = np.ones((1, 1, 1, 1), np.float32), np.ones((1, 1, 1, 1), np.float32)
    for _ in range(10):  # Sinkhorn's balancing; it settles within a few rounds
        columns = columns * _size(weights / (rows * columns), (0, 2, 3))
        rows = rows * _size(weights / (rows * columns), (1, 2, 3))
    return rows, columns


def _size(weights: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Root of the mean square over some axes, which stay with length 1."""
    return _nonzero(np.sqrt(np.square(weights).mean(axis=axes, keepdims=True)))


def _nonzero(values: np.ndarray) -> np.ndarray:
    return np.where(values == 0, np.float32(1), values)  # of a channel of zeros


def _sides(padding: tuple[int, int, int, int]) -> list[int]:
    """Paddle's order: top, bottom, left, right."""
    top, left, bottom, right = padding
    return [top, bottom, left, right]
