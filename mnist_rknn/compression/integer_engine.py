"""An engine for QDQ graphs that computes with whole numbers: numpy, and nothing of a runtime.

Between the layers there are INT8 numbers, sums are whole numbers, and one multiplication a layer
brings a sum to the steps of the next. It knows a chain of Conv, Gemm, Relu, max pools and Flatten.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper

from ..conversion import onnx_graph
from ..errors import PipelineError
from . import qdq


class Steps(NamedTuple):
    """Whole numbers and what they stand for: real = (values - zero_point) * scale."""

    values: np.ndarray  # int8 [N, ...]; sums that are not INT8 yet: float64, but whole
    scale: np.ndarray  # float64, of the tensor or of each channel
    zero_point: np.ndarray

    def real(self) -> np.ndarray:
        """float64 [N, ...], where there is one scale."""
        return (self.values - np.float64(self.zero_point)) * self.scale


def run(model: onnx.ModelProto, pictures: np.ndarray, name: str = "the graph") -> Steps:
    """The answer of a QDQ graph, int8 [N, classes], with its scale.

    Args:
        pictures: float32 [N, 3, H, W], normalised.

    Raises:
        PipelineError: a pair is missing, or an operator that is not known here.
    """
    qdq.require_pairs(model, name)
    known: dict[str, Any] = dict(onnx_graph.values(model))
    entering = Steps(pictures.astype(np.float64), np.ones(()), np.zeros(()))
    known[onnx_graph.input_of(model).name] = entering
    for node in model.graph.node:
        if node.op_type not in _LAYERS:
            raise PipelineError(
                f"the integer engine knows no {node.op_type}; it knows {', '.join(_LAYERS)}"
            )
        settings = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        inputs = [known[tensor] for tensor in node.input]
        known[node.output[0]] = _LAYERS[node.op_type](settings, *inputs)
    answer: Steps = known[model.graph.output[0].name]
    return answer


def quantize(_: dict, x: Steps, scale: np.ndarray, zero_point: np.ndarray) -> Steps:
    """Bring sums to the steps of the next layer: one multiplication, one rounding, the limits."""
    factors = x.scale / np.float64(scale)
    channels = factors.reshape(-1, *[1] * (x.values.ndim - 2)) if factors.ndim else factors
    steps = np.rint((x.values - np.float64(x.zero_point)) * channels) + np.float64(zero_point)
    return Steps(np.clip(steps, -128, 127).astype(np.int8), scale.astype(np.float64), zero_point)


def dequantize(_: dict, x: Any, scale: np.ndarray, zero_point: np.ndarray) -> Steps:
    """Nothing is computed: the numbers stay whole, and what they stand for is noted."""
    return x if isinstance(x, Steps) else Steps(x, scale.astype(np.float64), zero_point)


def convolve(settings: dict, x: Steps, weight: Steps, bias: Steps) -> Steps:
    """Sums of whole numbers; they stay far below 2^53, so float64 (and a quick BLAS) is exact."""
    top, left, bottom, right = settings.get("pads", [0] * 4)
    inputs = x.values.astype(np.float64) - x.zero_point  # what is put around is 0
    inputs = np.pad(inputs, ((0, 0), (0, 0), (top, bottom), (left, right)))
    kernel = weight.values - np.float64(weight.zero_point).reshape(-1, 1, 1, 1)
    windows = _windows(inputs, kernel.shape[2:], settings)
    sums = np.tensordot(windows, kernel, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return Steps(sums + bias.values.reshape(-1, 1, 1), x.scale * weight.scale, np.zeros(()))


def connect(_: dict, x: Steps, weight: Steps, bias: Steps) -> Steps:
    """A fully connected layer is a convolution of one pixel."""
    pixel = (..., None, None)
    found = convolve(
        {}, x._replace(values=x.values[pixel]), weight._replace(values=weight.values[pixel]), bias
    )
    return found._replace(values=found.values[..., 0, 0])


def _windows(values: np.ndarray, kernel: Sequence[int], settings: dict) -> np.ndarray:
    """Every window of the pictures, [N, C, rows, columns, h, w]."""
    down, across = settings.get("strides", [1, 1])
    found: Any = sliding_window_view(values, tuple(kernel), axis=(2, 3))  # type: ignore[call-overload]
    return found[:, :, ::down, ::across]


_LAYERS: dict[str, Callable[..., Steps]] = {
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "Conv": convolve,
    "Gemm": connect,
    "Relu": lambda _, x: x._replace(values=np.maximum(x.values, x.zero_point)),
    "MaxPool": lambda settings, x: x._replace(
        values=_windows(x.values, settings["kernel_shape"], settings).max(axis=(-2, -1))
    ),
    "GlobalMaxPool": lambda _, x: x._replace(values=x.values.max(axis=(2, 3), keepdims=True)),
    "Flatten": lambda _, x: x._replace(values=x.values.reshape(len(x.values), -1)),
}
