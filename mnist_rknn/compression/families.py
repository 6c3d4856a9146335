"""Networks of the kinds that courses name, for pictures of any size: what each costs on this NPU.

Those of PaddleClas are its own; `training.networks` has the default; the others are here.
"""

import sys
from collections.abc import Callable

import paddle
from paddle import nn

from ..errors import PipelineError
from ..training import engine
from ..training.networks import ConvBNReLU, DigitNet
from .yardsticks import LeNet5

STOCK = {
    "MobileNetV1 x0.25": "MobileNetV1_x0_25",
    "MobileNetV2 x0.25": "MobileNetV2_x0_25",
    "MobileNetV3-small x0.35": "MobileNetV3_small_x0_35",
    "PP-LCNet x0.25": "PPLCNet_x0_25",
    "ShuffleNetV2 x0.25": "ShuffleNetV2_x0_25",
}
"""Architectures of PaddleClas, in the narrowest width it has of each."""
OWN = ("default", "LeNet-5", "grouped", "plain, about as many MACs as grouped")
NAMES = (*OWN, *STOCK)


class Bottleneck(nn.Layer):
    """A block of ResNeXt: 1x1, 3x3 in groups, 1x1, beside a shortcut where the size stays.

    Source: Xie et al., "Aggregated residual transformations for deep neural networks", 2017.
    """

    def __init__(self, inputs: int, width: int, groups: int):
        super().__init__()
        self.first = ConvBNReLU(inputs, width, kernel=1)
        self.grouped = nn.Sequential(
            nn.Conv2D(width, width, 3, padding=1, groups=groups, bias_attr=False),
            nn.BatchNorm2D(width),
            nn.ReLU(),
        )
        self.last = nn.Sequential(
            nn.Conv2D(width, width, 1, bias_attr=False), nn.BatchNorm2D(width)
        )
        self.shortcut = inputs == width

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        found = self.last(self.grouped(self.first(x)))
        return nn.functional.relu(found + x if self.shortcut else found)


class Grouped(nn.Sequential):
    """The default's stem and poolings, with bottlenecks in groups of channels between them.

    Input: float32 [N, 3, H, W]. Output: float32 logits [N, class_num].
    """

    def __init__(self, class_num: int = 10, widths: tuple[int, int] = (64, 96), groups: int = 8):
        super().__init__(
            ConvBNReLU(3, 24, kernel=6, stride=3),
            Bottleneck(24, widths[0], groups), Bottleneck(widths[0], widths[0], groups),
            nn.MaxPool2D(2),
            Bottleneck(widths[0], widths[1], groups), Bottleneck(widths[1], widths[1], groups),
            nn.AdaptiveMaxPool2D(1),
            nn.Flatten(),
            nn.Linear(widths[1], class_num),
        )  # fmt: skip


def build(name: str, class_num: int, size: int, seed: int = 1) -> nn.Layer:
    """An untrained network.

    Args:
        name: one of `NAMES`.
        size: height and width of the pictures, in pixels.
        seed: of its weights.

    Raises:
        PipelineError: there is no such network, or no PaddleClas.
    """
    if name not in NAMES:
        raise PipelineError(f"no network {name!r}: there are {', '.join(NAMES)}")
    paddle.seed(seed)
    if name in STOCK:
        return _of_paddleclas(STOCK[name])(class_num=class_num)
    builders: dict[str, Callable[[], nn.Layer]] = {
        "default": lambda: DigitNet(
            class_num, stem=24, stem_stride=3, stages=[[48, 48, 48, 48], [64, 64, 64]]
        ),
        "LeNet-5": lambda: LeNet5(class_num, inputs=3, size=size),
        "grouped": lambda: Grouped(class_num),
        OWN[-1]: lambda: DigitNet(
            class_num, stem=24, stem_stride=3, stages=[[32, 32, 32], [48, 48, 48]]
        ),
    }
    return builders[name]()


def _of_paddleclas(architecture: str) -> Callable[..., nn.Layer]:
    root = str(engine.find_engine().root)
    if root not in sys.path:
        sys.path.append(root)
    from ppcls.arch import backbone

    found: Callable[..., nn.Layer] = getattr(backbone, architecture)
    return found
