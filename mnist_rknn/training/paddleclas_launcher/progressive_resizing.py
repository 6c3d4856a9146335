"""Smaller pictures in the first part of a training, which take less time."""

import functools
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import paddle
from PIL import Image


class ProgressiveResizing:
    """Shows a network smaller pictures for the first part of its training, which cost less time.

    A forward pre-hook of the network, and thereby the same for every architecture that takes
    pictures of any size. Which size a batch gets depends on the epoch and the seed alone: the
    processes that share a batch agree, and a resumed training goes on as it would have.

    Args:
        scales: parts of the input's height and width, one of which is drawn for each batch.
        share: part of the training, from 0 to 1, that sees these sizes; the rest sees the input's.
        epochs: of the whole training.
        batches: of one epoch.
        seed: that the sizes depend on.
    """

    def __init__(self, scales: Sequence[float], share: float, epochs: int, batches: int, seed: int):
        self.scales, self.seed = list(scales), seed
        self.batches, self.small = batches, round(share * epochs * batches)
        self.begin(epoch=1)

    def begin(self, epoch: int) -> None:
        """Start an epoch, counted from 1."""
        self.batch = (epoch - 1) * self.batches
        self.random = random.Random(f"{self.seed} {epoch}")
        self.seen: Counter[tuple[int, int]] = Counter()

    def describe(self) -> str:
        """The sizes that the epoch's batches had so far, and how many had each."""
        counts = sorted(self.seen.items())
        return ", ".join(f"{height} x {width}: {count}" for (height, width), count in counts)

    def __call__(self, network: paddle.nn.Layer, inputs: tuple) -> tuple:
        """Make a batch of pictures smaller in training: float32 [N, C, H, W] to [N, C, h, w]."""
        if not network.training:
            return inputs
        scale = self.random.choice(self.scales) if self.batch < self.small else 1
        self.batch += 1
        pictures, *others = inputs
        if scale != 1:
            height, width = pictures.shape[2:]
            down = resampling(height, max(1, round(height * scale)))
            across = resampling(width, max(1, round(width * scale)))
            pictures = down @ pictures @ across.T
        self.seen[tuple(pictures.shape[2:])] += 1
        return (pictures, *others)


@functools.cache
def resampling(pixels: int, wanted: int) -> paddle.Tensor:
    """The matrix that resamples a row of pixels, as Pillow does: a tensor [wanted, pixels]."""
    every_pixel = Image.fromarray(np.eye(pixels, dtype=np.float32))
    resized = every_pixel.resize((pixels, wanted), Image.Resampling.BILINEAR)
    return paddle.to_tensor(np.asarray(resized))
