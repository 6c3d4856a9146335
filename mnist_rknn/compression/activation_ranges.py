"""Scales and zero points chosen after the training (PTQ), at any number of bits.

rknn-toolkit2 chooses them for 8 bits only and lets nobody look on. The rules here are its three:
the smallest and largest value seen (normal), the range with the least squared error (mmse), and
the one that keeps the histogram's shape (kl_divergence; onnxruntime's code). Also a network that is
made hard to quantize: the opposite of Nagel et al., "Data-free quantization", 2019.
"""

import contextlib
import itertools
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from ..conversion import inference, integer_network
from ..conversion.rknn_ranges import Quantization
from ..errors import PipelineError
from ..recipe import Image
from .fake_quantization import CHIP_BITS, limits

ALGORITHMS = ("normal", "kl_divergence", "mmse")


def quantization(low: float, high: float, bits: int) -> Quantization:
    """Scale and zero point that let the whole numbers of `bits` bits cover a range and 0."""
    smallest, largest = limits(bits)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (largest - smallest) or 1.0
    return Quantization(scale, int(np.rint(smallest - low / scale)))


def quantized(values: np.ndarray, chosen: Quantization, bits: int) -> np.ndarray:
    """`values` as the numbers they become."""
    steps = np.rint(values / chosen.scale) + chosen.zero_point
    return (np.clip(steps, *limits(bits)) - chosen.zero_point) * chosen.scale


def choose(values: np.ndarray, bits: int, algorithm: str = "normal") -> Quantization:
    """Scale and zero point for a tensor.

    Args:
        values: float, of any shape: what the tensor is on the calibration pictures.

    Raises:
        PipelineError: there is no such algorithm.
    """
    low, high = float(values.min()), float(values.max())
    if algorithm == "normal":
        return quantization(low, high, bits)
    if algorithm == "mmse":
        some = np.random.default_rng(1).permutation(values.ravel())[:20000]
        tried = [quantization(low * part, high * part, bits) for part in np.linspace(0.1, 1, 46)]
        errors = [np.square(quantized(some, chosen, bits) - some).mean() for chosen in tried]
        return tried[int(np.argmin(errors))]
    if algorithm == "kl_divergence":
        return quantization(*_by_entropy(values, bits), bits)
    raise PipelineError(f"no algorithm {algorithm!r}: there are {', '.join(ALGORITHMS)}")


def _by_entropy(values: np.ndarray, bits: int) -> tuple[float, float]:
    from onnxruntime.quantization.calibrate import HistogramCollector

    collector = HistogramCollector(
        "entropy", symmetric=False, num_bins=2048, num_quantized_bins=2**bits, percentile=99.99,
        scenario="same",
    )  # fmt: skip
    some = values.ravel()[:: max(1, values.size // 200_000)]  # a histogram needs no more
    with contextlib.redirect_stdout(None):  # it tells what it does
        collector.collect({"values": [some]})
        low, high = collector.compute_collection_result()["values"][:2]
    return float(low), float(high)


def observed(path: Path, images: np.ndarray, image: Image) -> dict[str, np.ndarray]:
    """What every tensor that is to be quantized is, by name, in the network's order.

    Args:
        path: slim ONNX model, a plain chain of layers.
        images: uint8 [N, H, W, 3], in the network's colour order: the calibration pictures.

    Raises:
        NotPlain: the graph is something else.
    """
    chain = _chain(onnx.load(str(path)), image)
    found = {chain.input_name: inference.normalize(images, image)}
    for layer in chain.layers:
        if layer.weights is not None:
            found[layer.name] = inference.run_onnx(path, images, image, tensor=layer.name)
    return found


def of_network(
    values: dict[str, np.ndarray], bits: int, algorithm: str = "normal"
) -> dict[str, Quantization]:
    """Scale and zero point of each tensor; the first and the last keep 8 bits.

    Args:
        values: as `observed` gives them.
    """
    ends = (next(iter(values)), list(values)[-1])
    return {
        name: choose(seen, CHIP_BITS if name in ends else bits, algorithm)
        for name, seen in values.items()
    }


def uneven(model: onnx.ModelProto, spread: float, image: Image, seed: int = 1) -> onnx.ModelProto:
    """The same function of the pictures, hard to quantize: channels of very different size.

    Between two layers each channel is made larger by a factor of its own, and the weights that it
    meets next smaller by the same. ReLU and max pool let a factor through, so the float answers
    stay, to rounding. But all channels of a tensor share one scale.

    Args:
        model: slim ONNX, a plain chain of layers.
        spread: the largest factor over the smallest, above 1; their logarithms are drawn evenly.

    Raises:
        PipelineError: the graph is something else, or a spread that spreads nothing.
    """
    if not spread > 1:
        raise PipelineError(f"spread {spread:g}: choose a number above 1, such as 64")
    _chain(model, image)
    found = onnx.ModelProto()
    found.CopyFrom(model)
    layers = [node for node in found.graph.node if node.op_type in ("Conv", "Gemm")]
    tensors = {tensor.name: tensor for tensor in found.graph.initializer}
    generator = np.random.default_rng(seed)
    for before, after in itertools.pairwise(layers):
        count = tensors[before.input[1]].dims[0]
        factors = spread ** generator.uniform(-0.5, 0.5, count)
        for name in before.input[1:]:
            _scale(tensors[name], 0, factors)
        _scale(tensors[after.input[1]], 1, 1 / factors)
    return found


def _scale(tensor: onnx.TensorProto, axis: int, factors: np.ndarray) -> None:
    values = numpy_helper.to_array(tensor)
    each = np.repeat(factors, values.shape[axis] // len(factors))  # a Gemm takes pixels one by one
    shape = [-1 if number == axis else 1 for number in range(values.ndim)]
    scaled = (values * each.reshape(shape)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))


def _chain(model: onnx.ModelProto, image: Image) -> integer_network.IntegerNetwork:
    """The layers of a plain chain; their integers mean nothing yet."""
    names = [model.graph.input[0].name, *(name for n in model.graph.node for name in n.output)]
    any_scale = dict.fromkeys(names, Quantization(1.0, 0))
    return integer_network.read(model, any_scale, image, "channel")
