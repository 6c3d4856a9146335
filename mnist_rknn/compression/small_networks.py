"""Small networks for MNIST's own pictures: their designs, and how one is trained and packed.

Each training is two cells of a study, `pipeline/cells.py`: the float network first, then the same
with shared weights. So they can run over processes and machines, and are not repeated.
"""

import base64
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import paddle
from paddle import nn

from ..verification import metrics
from . import distorting, finetune, measuring, melted, onnx_weights, packed_file, sharing

SIDE = 28
OUTER_BITS = 5  # of the first layer and the last: they are small, and lose most
PACKAGES = ("paddlepaddle", "numpy", "scikit-learn", "opencv-python-headless", "onnx")
MODULES = (
    "compression/distorting.py",
    "compression/finetune.py",
    "compression/huffman.py",
    "compression/melted.py",
    "compression/packed_file.py",
    "compression/sharing.py",
    "compression/small_networks.py",
    "training/paddleclas_launcher/onednn.py",
)
"""Whose code a training depends on, seen from the package's folder."""


class Design(NamedTuple):
    """A network, and how it is trained."""

    widths: tuple[int, int, int, int, int]  # channels of the convolutions
    bits: int  # of a weight's index in its layer's codebook; more in the first and the last
    epochs: tuple[int, int]  # of the float network, and then with shared weights
    rates: tuple[float, float] = (0.004, 0.002)  # of learning, at the start of each
    distortion: float = 0.75  # strength

    def network(self, class_num: int) -> nn.Layer:
        """Five convolutions, the first with a stride of 2, a pooling between them, a mean behind.

        Input: float32 [N, 1, 28, 28] from -1 to 1. Output: float32 logits [N, class_num].
        """
        first, second, third, fourth, fifth = self.widths
        return nn.Sequential(
            *_convolution(1, first, side=5, stride=2),
            *_convolution(first, second),
            *_convolution(second, third),
            nn.MaxPool2D(2),
            *_convolution(third, fourth),
            *_convolution(fourth, fifth),
            nn.AdaptiveAvgPool2D(1),
            nn.Flatten(),
            nn.Linear(fifth, class_num),
        )


DESIGNS: dict[str, Design] = {
    "99.0": Design((6, 8, 8, 12, 12), bits=3, epochs=(14, 8)),
    "99.5": Design((12, 20, 20, 24, 32), bits=3, epochs=(30, 14)),
    "99.7": Design((24, 36, 36, 52, 64), bits=4, epochs=(30, 14)),
}
"""By the percentage of the test images that they are to read."""


def _convolution(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> list[nn.Layer]:
    convolution = nn.Conv2D(
        inputs, outputs, side, stride=stride, padding=side // 2, bias_attr=False
    )
    return [convolution, nn.BatchNorm2D(outputs), nn.ReLU()]


# --- the cells ------------------------------------------------------------------------


def train(inputs: Path, scratch: Path, about: tuple[dict[str, Any], int]) -> dict[str, Any]:
    """Train a float network; a cell, see `cells.Compute`.

    Args:
        about: a design's fields, and the seed.
    """
    design, seed = Design(**about[0]), about[1]
    pictures = _Pictures(inputs)
    network = pictures.network(design, seed)
    rate, epochs = design.rates[0], design.epochs[0]
    distort = distorting.Distorting(SIDE, seed, design.distortion)
    finetune.fit(network, *pictures.train, finetune.gray, epochs, rate, seed, distort=distort)
    return {"state": _text_of_arrays(network.state_dict()), **pictures.validated(network)}


def share(inputs: Path, scratch: Path, about: tuple[dict[str, Any], int, str]) -> dict[str, Any]:
    """Share a trained network's weights, train on, and pack it; a cell, see `cells.Compute`.

    Args:
        about: a design's fields, the seed, and the state that `train` gave.
    """
    design, seed = Design(**about[0]), about[1]
    pictures = _Pictures(inputs)
    network = pictures.network(design, seed)
    network.set_state_dict(_arrays_of_text(about[2]))
    parameters = finetune.weights(network)
    inner = list(parameters)[1:-1]
    shared = {
        name: sharing.share(p.numpy(), design.bits if name in inner else OUTER_BITS)
        for name, p in parameters.items()
    }
    going = finetune.Clustering(parameters, shared)
    rate, epochs = design.rates[1], design.epochs[1]
    distort = distorting.Distorting(SIDE, seed, design.distortion)
    finetune.fit(
        network, *pictures.train, finetune.gray, epochs, rate, seed, after_step=going,
        distort=distort,
    )  # fmt: skip
    target = scratch / "network.onnx"
    measuring.export_as(network, [1, 1, SIDE, SIDE], target)
    tensors, graph = melted.unmelted(onnx.load(str(target)), list(going.shared.values()))
    content = packed_file.pack(tensors, graph.SerializeToString())
    return {
        "packed": base64.b64encode(content).decode(),
        "weights": sum(onnx_weights.nonzero({name: p.numpy()}) for name, p in parameters.items()),
        **pictures.validated(network),
    }


class _Pictures:
    """The pictures that cells see: those to train on and those to validate on."""

    def __init__(self, inputs: Path):
        with np.load(inputs / "pictures.npz") as arrays:
            self.train = arrays["train"], arrays["train_classes"]
            self.validation = arrays["val"], arrays["val_classes"]

    def network(self, design: Design, seed: int) -> nn.Layer:
        paddle.seed(seed)
        return design.network(int(self.train[1].max()) + 1)

    def validated(self, network: nn.Layer) -> dict[str, float]:
        images, classes = self.validation
        logits = finetune.answers(network, images, finetune.gray)
        return {"validation": metrics.accuracy(logits, classes).top1}


def _text_of_arrays(state: dict[str, paddle.Tensor]) -> str:
    content = io.BytesIO()
    np.savez(content, **{name: tensor.numpy() for name, tensor in state.items()})
    return base64.b64encode(content.getvalue()).decode()


def _arrays_of_text(text: str) -> dict[str, paddle.Tensor]:
    with np.load(io.BytesIO(base64.b64decode(text))) as arrays:
        return {name: paddle.to_tensor(array) for name, array in arrays.items()}
