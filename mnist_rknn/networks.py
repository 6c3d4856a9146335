"""The network of the default recipes, written for the RV1106 NPU.

The file is loaded twice: by the notebook, to show and count it, and by the training
engine, where `paddleclas_launcher` makes it known to PaddleClas under its class name.
It therefore imports nothing but Paddle.
"""

import paddle
from paddle import nn


class ConvBNReLU(nn.Sequential):
    """3x3 convolution, batch norm and ReLU: one fused INT8 layer on the NPU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__(
            nn.Conv2D(in_channels, out_channels, 3, stride=stride, padding=1, bias_attr=False),
            nn.BatchNorm2D(out_channels),
            nn.ReLU(),
        )


class DigitNet(nn.Layer):
    """A plain convolutional classifier for small pictures.

    Three levels of two convolutions each; the first of every level halves height and
    width with its stride. Only convolution, ReLU, one average pool and one fully connected
    layer are used: all of them run INT8 on the NPU, and batch norm folds into the weights.

    Input: float32 [N, 3, H, W], normalised. Output: float32 logits [N, class_num].

    Args:
        class_num: number of classes.
        width: channels of the first level; the next two have 2x and 4x.
        dropout: probability of dropping a feature before the last layer, training only.
    """

    def __init__(self, class_num: int = 10, width: int = 16, dropout: float = 0.0, **unused):
        super().__init__()
        # PaddleX sets `pretrained` for every architecture; there are no weights to download.
        unused.pop("pretrained", None)
        unused.pop("use_ssld", None)
        if unused:
            raise TypeError(f"DigitNet does not take {', '.join(sorted(unused))}")
        layers, channels = [], 3
        for level_width in (width, 2 * width, 4 * width):
            layers += [
                ConvBNReLU(channels, level_width, stride=2),
                ConvBNReLU(level_width, level_width),
            ]
            channels = level_width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, class_num)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.pool(self.features(x))
        return self.fc(self.dropout(paddle.flatten(x, 1)))
