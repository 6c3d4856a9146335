"""The network of the default recipes, written for the RV1106 NPU.

The notebook shows and counts them; `paddleclas_launcher` makes every class here known to PaddleClas
under its name.
"""

import itertools
import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import paddle
from paddle import nn


class ConvBNReLU(nn.Sequential):
    """Convolution, batch norm and ReLU: one fused INT8 layer on the NPU.

    Before the training, its first channels pass their input on as it is, where there are as many
    outputs as inputs. A deep network of such layers starts as a shallow one, and learns sooner.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        padding = (kernel - stride + 1) // 2
        convolution = nn.Conv2D(inputs, outputs, kernel, stride, padding, bias_attr=False)
        super().__init__(convolution, nn.BatchNorm2D(outputs), nn.ReLU())
        if stride == 1 and outputs >= inputs:
            weight = convolution.weight.numpy()
            weight[:inputs] = 0
            weight[range(inputs), range(inputs), kernel // 2, kernel // 2] = 1
            convolution.weight.set_value(weight)

    def fix_to_cosines(self) -> None:
        """Make the filters cosine waves over the gray picture, and train nothing of the layer.

        They are the waves of JPEG, the discrete cosine transform, from the coarsest on. Each
        comes twice, the second time negative, as ReLU lets only the positive part pass.
        """
        weight = self[0].weight
        outputs, inputs, size, _ = weight.shape
        places = paddle.arange(size, dtype="float32") + 0.5
        waves = [paddle.cos(math.pi / size * places * number) for number in range(size)]
        waves = [wave / paddle.linalg.norm(wave) for wave in waves]
        coarse_first = sorted(
            ((down, across) for down in range(size) for across in range(size)), key=sum
        )
        filters: list[paddle.Tensor] = []
        for down, across in coarse_first[: math.ceil(outputs / 2)]:
            wave = paddle.outer(waves[down], waves[across])
            filters += [wave, -wave]
        stacked = paddle.stack(filters[:outputs]) / math.sqrt(inputs)
        weight.set_value(stacked.unsqueeze(1).expand(weight.shape))
        for parameter in self.parameters():
            parameter.stop_gradient = True  # its batch norm's too: nothing is left to compute


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
        stem_stride: its stride.
        stem_kernel: its kernel; twice the stride if not given. As large as the stride it sees every
            pixel once, and costs the NPU a quarter.
        stem_filters: "learned", or "cosine" for fixed ones that see shapes and no colours
            (`ConvBNReLU.fix_to_cosines`): quicker to train, and as good where colour says nothing.
        stages: channels of the 3x3 convolutions of each stage.

    Raises:
        ValueError: `stem_filters` is something else, there are not so many cosine waves, or
            weights to start from are wanted.
    """

    def __init__(
        self,
        class_num: int = 10,
        stem: int = 16,
        stem_stride: int = 2,
        stem_kernel: int | None = None,
        stem_filters: str = "learned",
        stages: Sequence[Sequence[int]] = ((32,), (48, 48), (64, 64)),
        pretrained: bool = False,
        use_ssld: bool = False,
    ):
        super().__init__()
        if pretrained or use_ssld:
            raise ValueError("DigitNet has no weights to download: train it from scratch")
        if stem_filters not in ("learned", "cosine"):
            raise ValueError(f"stem_filters: {stem_filters} is not known; use learned or cosine")
        first = ConvBNReLU(3, stem, kernel=stem_kernel or 2 * stem_stride, stride=stem_stride)
        if stem_filters == "cosine":
            most = 2 * first[0].weight.shape[-1] ** 2
            if stem > most:
                raise ValueError(f"stem {stem}: this kernel has {most} cosine filters: take fewer")
            first.fix_to_cosines()
        layers: list[nn.Layer] = [first]
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


Part = tuple[str, tuple[int, ...]]  # what it does; channels, height and width of its output


def outline(network: DigitNet, image_shape: Sequence[int]) -> list[Part]:
    """The parts of a network, from the picture to the answer.

    Args:
        image_shape: [N, 3, H, W].

    Returns:
        What a part does, and channels, height and width of what it hands on. Convolutions of the
        same size in a row are one part.
    """
    values = paddle.zeros(list(image_shape))
    parts = []
    network.eval()  # or a batch norm would count the zeros in
    with paddle.no_grad():
        for layer in network.features:
            values = layer(values)
            does = "convolution" if isinstance(layer, ConvBNReLU) else "maximum of\n2 x 2 places"
            parts.append((does, tuple(values.shape[1:])))
    network.train()
    found: list[Part] = [("picture", tuple(image_shape[1:]))]
    for (does, size), alike in itertools.groupby(parts):
        count = len(list(alike))
        found.append((f"{count} {does}s" if count > 1 else does, size))
    found.append(("maximum of\na channel", (values.shape[1], 1, 1)))
    return [*found, ("answer", (network.fc.weight.shape[1], 1, 1))]


def first_layer_steps(
    network: DigitNet, images: np.ndarray, mean: Sequence[float], std: Sequence[float], channel: int
) -> dict[str, np.ndarray]:
    """What the first layer does with a picture, for one of its filters.

    Args:
        images: uint8 [N, H, W, 3]; the batch norm takes its mean and spread from all of them.
        mean, std: of the normalisation, in pixel units.
        channel: number of the filter; the last one if there are not so many.

    Returns:
        By step, float32 [h, w] of the first picture; the filter is [size, size].
    """
    convolution, norm, _ = cast(ConvBNReLU, network.features[0])
    channel = min(channel, convolution.weight.shape[0] - 1)
    pixels = ((images - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2).astype("float32")
    with paddle.no_grad():
        convolved = convolution(paddle.to_tensor(pixels)).numpy()[:, channel]
    spread = np.sqrt(convolved.var() + norm._epsilon)
    weight, bias = float(norm.weight[channel]), float(norm.bias[channel])
    normed = weight * (convolved - convolved.mean()) / spread + bias
    return {
        "picture": pixels[0].mean(axis=0),
        "filter": convolution.weight.numpy()[channel].mean(axis=0),
        "convolution": convolved[0],
        "batch norm": normed[0],
        "ReLU": np.maximum(normed[0], 0),
    }
