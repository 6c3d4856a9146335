"""INT8 weights whose zero point is 0, as the integer kernels of other runtimes want them.

rknn-toolkit2 gives each channel's weights a zero point of their own, so that all 256 numbers are
used. Kernels that take none save a sum of inputs for every place, and half a step of precision is
lost at most. The scales of the tensors between the layers stay the converter's.
"""

from dataclasses import replace

import numpy as np

from ..conversion.integer_network import IntegerNetwork, Weights

LIMIT = 127  # the largest number; -128 is left out, so that both signs reach as far


def symmetric(network: IntegerNetwork) -> IntegerNetwork:
    """The same network, its weights quantized anew: a scale for each channel, no zero point."""
    layers, into = [], network.input
    for layer in network.layers:
        if layer.weights is not None:
            weights = quantized(layer.weights, into.scale, layer.output.scale)
            layer = replace(layer, weights=weights)
        layers.append(layer)
        into = layer.output
    return replace(network, layers=tuple(layers))


def quantized(weights: Weights, into: float, out: float) -> Weights:
    """A layer's weights.

    Args:
        into, out: scales of the layer's input and output.
    """
    rows = np.abs(weights.real.reshape(len(weights.real), -1)).max(axis=1).astype(np.float64)
    scales = np.where(rows > 0, rows, LIMIT) / LIMIT  # a channel of zeros has any
    unit = into * scales
    return replace(
        weights,
        values=np.rint(weights.real / scales.reshape(-1, 1, 1, 1)).astype(np.int8),
        scales=scales,
        zero_points=np.zeros(len(scales), np.int16),
        bias=np.rint(weights.real_bias / unit).astype(np.int32),
        divisors=(out / unit).astype(np.float32),
    )
