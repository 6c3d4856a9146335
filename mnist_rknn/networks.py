"""The network of the default recipes, written for the RV1106 NPU.

The file is loaded twice: by the notebook, to show and count it, and by the training
engine, where `paddleclas_launcher` makes it known to PaddleClas under its class name.
It therefore imports nothing but Paddle.
"""

from collections.abc import Sequence

import paddle
from paddle import nn


class ConvBNReLU(nn.Sequential):
    """Convolution, batch norm and ReLU: one fused INT8 layer on the NPU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        super().__init__(
            # Batch norm brings a bias of its own.
            nn.Conv2D(
                inputs,
                outputs,
                kernel,
                stride,
                padding=(kernel - stride + 1) // 2,
                bias_attr=False,
            ),
            nn.BatchNorm2D(outputs),
            nn.ReLU(),
        )


class DigitNet(nn.Layer):
    """A plain convolutional classifier for small pictures.

    The stem reduces the picture at once, as large pictures are what costs time on a CPU and
    memory traffic on the NPU. Stages of 3x3 convolutions follow, each after a 2x2 max pool,
    then the largest value of every channel and one fully connected layer. All of it runs INT8
    on the NPU, and batch norm folds into the weights.

    Input: float32 [N, 3, H, W], normalised. Output: float32 logits [N, class_num].

    Args:
        class_num: number of classes.
        stem: channels of the first convolution.
        stem_stride: its stride; its kernel is twice that.
        stages: channels of the 3x3 convolutions of each stage.
    """

    def __init__(
        self,
        class_num: int = 10,
        stem: int = 16,
        stem_stride: int = 2,
        stages: Sequence[Sequence[int]] = ((32,), (48, 48), (64, 64)),
        pretrained: bool = False,
        use_ssld: bool = False,
    ):
        super().__init__()
        if pretrained or use_ssld:
            raise ValueError("DigitNet has no weights to download: train it from scratch")
        layers: list[nn.Layer] = [ConvBNReLU(3, stem, kernel=2 * stem_stride, stride=stem_stride)]
        channels = stem
        for number, widths in enumerate(stages):
            if number:
                layers.append(nn.MaxPool2D(2))
            for width in widths:
                layers.append(ConvBNReLU(channels, width))
                channels = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveMaxPool2D(1)
        self.fc = nn.Linear(channels, class_num)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.pool(self.features(x))
        return self.fc(paddle.flatten(x, 1))
