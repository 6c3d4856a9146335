"""The two networks that papers about compression measure themselves by, in Paddle.

LeNet-300-100 has 266,610 parameters, LeNet-5, as Caffe has it, 431,080. Ours lacks the 70 biases of
the convolutions: nothing but a pooling stands behind these, through which a bias passes into that
of the next layer. Both take MNIST's own pictures and no camera's.
"""

from typing import NamedTuple

from paddle import nn

from ..data.sources import Source
from ..errors import PipelineError
from ..recipe import Recipe


class LeNet300100(nn.Sequential):
    """Three fully connected layers.

    Input: float32 [N, 1, 28, 28]. Output: float32 logits [N, class_num].
    """

    def __init__(self, class_num: int = 10):
        super().__init__(
            nn.Flatten(),
            nn.Linear(784, 300), nn.ReLU(),
            nn.Linear(300, 100), nn.ReLU(),
            nn.Linear(100, class_num),
        )  # fmt: skip


class LeNet5(nn.Sequential):
    """Two convolutions, each with a pooling, and two fully connected layers.

    Input: float32 [N, inputs, size, size]. Output: float32 logits [N, class_num].
    """

    def __init__(self, class_num: int = 10, inputs: int = 1, size: int = 28):
        left = ((size - 4) // 2 - 4) // 2
        super().__init__(
            nn.Conv2D(inputs, 20, 5, bias_attr=False), nn.MaxPool2D(2),
            nn.Conv2D(20, 50, 5, bias_attr=False), nn.MaxPool2D(2),
            nn.Flatten(),
            nn.Linear(50 * left**2, 500), nn.ReLU(),
            nn.Linear(500, class_num),
        )  # fmt: skip


class Reached(NamedTuple):
    """What became of a yardstick."""

    times: float  # smaller than as float32
    error: float  # of the test images, in percent


PAPER = {"LeNet300100": Reached(40, 1.58), "LeNet5": Reached(39, 0.74)}
"""What Deep Compression (2016) says of each, in its table 1."""
TIMES = 35.0  # how much smaller a file must be here to count: the paper counts no header and names


def verdict(kind: str, found: Reached) -> str:
    """Whether a yardstick came out as small as it should, and reads as well as the paper's."""
    missed = []
    if found.times < TIMES:
        missed.append(f"{found.times:.1f} times smaller is less than {TIMES:g}")
    if found.error > PAPER[kind].error + 1e-9:
        missed.append(f"{found.error:.2f} % error is more than {PAPER[kind].error:.2f} %")
    return "missed: " + ", ".join(missed) if missed else "reached"


def require_own_pictures(source: Source, recipe: Recipe) -> None:
    """Refuse a data set whose pictures the yardsticks do not take.

    Raises:
        PipelineError: they are not gray, 28 x 28.
    """
    shape = getattr(source.train_images, "shape", (0,))[1:]
    if shape != (28, 28):
        raise PipelineError(
            f"recipe {recipe.name}: the yardsticks read gray pictures of 28 x 28 as MNIST has "
            "them: choose recipe mnist or smoke"
        )
