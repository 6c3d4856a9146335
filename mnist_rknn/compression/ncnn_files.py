"""A network of ncnn with INT8 weights, made of the float one that pnnx wrote.

ncnn's own tools for it are no Python packages. Its format is plain: `.param` is a text with a line
for each layer, `.bin` holds the numbers in the same order. A quantized layer has INT8 weights,
float biases, a scale for each output channel, and one for its input; ncnn's scales are what a
number is multiplied by, so the reciprocals of ours, and it knows no zero points.
"""

import struct

import numpy as np

from ..conversion.integer_network import IntegerNetwork, Weights
from ..conversion.rknn_ranges import Quantization
from ..errors import PipelineError
from ..language import _

_INT8 = 0x000D4B38  # before weights that are INT8
_SCALES = " 8=2"  # of a layer's line: scales follow its weights
_WEIGHTED = {"Convolution": "6", "InnerProduct": "2"}  # and where the number of weights stands
_NAMED = 4  # words of a line before the names of what goes in and out
_LARGEST = 127


def quantized(param: str, network: IntegerNetwork) -> tuple[str, bytes]:
    """The texts of `.param` and the content of `.bin`.

    Args:
        param: of the float network.
        network: the same layers, with symmetric weights.

    Raises:
        PipelineError: they are not the same layers.
    """
    lines, content, waiting, into = [], bytearray(), list(network.layers), network.input
    for line in param.splitlines():
        kind = line.partition(" ")[0]
        if kind in _WEIGHTED:
            while waiting and waiting[0].weights is None:
                into = waiting.pop(0).output
            weights = waiting[0].weights if waiting else None
            if weights is None or _count(line, kind) != weights.values.size:
                raise PipelineError(
                    _(
                        "ncnn's layer {line!r} is not one of the network's: convert with the "
                        "pnnx that {requirements} pins"
                    ).format(
                        line=" ".join(line.split()[:2]), requirements="docs/requirements-16.txt"
                    )
                )
            content += _layer(weights, into)
            line += _SCALES
            into = waiting.pop(0).output
        lines.append(line)
    return "\n".join(lines) + "\n", bytes(content)


def input_scale(of: Quantization) -> float:
    """What ncnn multiplies a tensor's numbers by, so that the farthest end of its range fits."""
    ends = np.array([-128, 127]) - of.zero_point
    return float(_LARGEST / (np.abs(ends).max() * of.scale))


def _count(line: str, kind: str) -> int:
    words = line.split()
    names = _NAMED + int(words[2]) + int(words[3])
    fields = dict(word.split("=") for word in words[names:])
    return int(fields.get(_WEIGHTED[kind], 0))


def _layer(weights: Weights, into: Quantization) -> bytes:
    values = struct.pack("<I", _INT8) + weights.values.tobytes()
    return b"".join(
        (
            values,
            bytes(-len(values) % 4),
            weights.real_bias.astype("<f4").tobytes(),
            (1 / weights.scales).astype("<f4").tobytes(),
            struct.pack("<f", input_scale(into)),
        )
    )
