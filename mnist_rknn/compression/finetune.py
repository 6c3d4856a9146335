"""A short training in this process, for networks that are looked at after every step.

The networks of a recipe are trained in PaddleX (`training/`), which starts a process of its own
and lets nobody in between two steps. Pruning and sharing do their work just there.
"""

from collections.abc import Callable, Mapping

import numpy as np
import paddle
from paddle import nn

from ..errors import PipelineError
from ..training.paddleclas_launcher.onednn import compile_convolutions
from . import pruning
from .sharing import Shared

BATCH = 128
Prepare = Callable[[np.ndarray], np.ndarray]  # uint8 [n, H, W, ...] to float32 [n, C, H, W]
Distort = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # uint8 [n, H, W, ...], both
# Logits [n, classes], the batch [n, C, H, W] they answer, classes [n, 1] to a number.
Loss = Callable[[paddle.Tensor, paddle.Tensor, paddle.Tensor], paddle.Tensor]


def by_labels(logits: paddle.Tensor, _: paddle.Tensor, truth: paddle.Tensor) -> paddle.Tensor:
    """Cross entropy with the labels."""
    return nn.functional.cross_entropy(logits, truth)


def gray(images: np.ndarray) -> np.ndarray:
    """float32 [n, 1, H, W] from -1 to 1 of MNIST's own pictures, uint8 [n, H, W]."""
    return (images[:, None].astype(np.float32) - 127.5) / 127.5


def shifted(images: np.ndarray, pixels: int, generator: np.random.Generator) -> np.ndarray:
    """Each picture, uint8 [n, H, W, ...], moved by up to so many pixels; its edge goes on."""
    if not pixels:
        return images
    still = [(0, 0)] * (images.ndim - 3)
    padded = np.pad(images, [(0, 0), (pixels, pixels), (pixels, pixels), *still], mode="edge")
    height, width = images.shape[1:3]
    down, right = generator.integers(0, 2 * pixels + 1, (2, len(images), 1))
    rows, columns = down + np.arange(height), right + np.arange(width)
    return padded[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]


def fit(
    network: nn.Layer,
    images: np.ndarray,
    classes: np.ndarray,
    prepare: Prepare,
    epochs: float,
    rate: float,
    seed: int,
    shift: int = 1,
    after_step: Callable[[float], None] = lambda _: None,
    distort: Distort | None = None,
    loss_of: Loss = by_labels,
) -> float:
    """Train with Adam, the rate falling to zero along a cosine.

    Args:
        images: uint8 [N, H, W, ...].
        classes: integer [N].
        epochs: may be a fraction.
        rate: learning rate at the start.
        seed: of the order and the shifts. Who makes the network seeds its weights.
        shift: pixels by which each picture is moved at most, anew each time it is seen.
        after_step: called after every step with the share of the training that is done; may
            change the weights.
        distort: what is done to the pictures of a batch instead of moving them.
        loss_of: what is made small.

    Returns:
        Mean loss of the last tenth of the steps.

    Raises:
        PipelineError: fewer pictures than a batch, or the loss is no number.
    """
    a_epoch = len(images) // BATCH
    steps = round(epochs * a_epoch)
    if steps < 1:
        raise PipelineError(
            f"{len(images)} pictures for {epochs} epochs do not fill a batch of {BATCH}: take more"
        )
    generator = np.random.default_rng(seed)
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(rate, steps)
    parameters = [p for p in network.parameters() if not p.stop_gradient]
    optimizer = paddle.optimizer.Adam(schedule, parameters=parameters)
    losses = []
    paddle.set_flags({"FLAGS_use_onednn": True})
    compile_convolutions(network).train()  # a LeNet-5 takes half the time
    for step in range(steps):
        if step % a_epoch == 0:
            order = generator.permutation(len(images))
        chosen = order[step % a_epoch * BATCH :][:BATCH]
        seen = images[chosen]
        seen = distort(seen, generator) if distort else shifted(seen, shift, generator)
        batch = paddle.to_tensor(prepare(seen))
        loss = loss_of(network(batch), batch, paddle.to_tensor(classes[chosen, None]))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        schedule.step()
        losses.append(float(loss))
        with paddle.no_grad():
            after_step((step + 1) / steps)
    network.eval()
    last = float(np.mean(losses[-max(1, steps // 10) :]))
    if not np.isfinite(last):
        raise PipelineError(f"the loss is {last}: choose a learning rate below {rate}")
    return last


def answers(network: nn.Layer, images: np.ndarray, prepare: Prepare) -> np.ndarray:
    """Logits float32 [N, classes] of uint8 [N, H, W, ...]."""
    network.eval()
    with paddle.no_grad():
        parts = [
            network(paddle.to_tensor(prepare(images[start : start + 500]))).numpy()
            for start in range(0, len(images), 500)
        ]
    return np.concatenate(parts)


def weights(network: nn.Layer) -> dict[str, paddle.Tensor]:
    """The matrices and filters of a network by name, without biases and batch norms."""
    return {name: p for name, p in network.named_parameters() if p.ndim > 1}


class Pruning:
    """Prunes while a network is trained, so that what is left takes over: for `after_step`.

    The sparsity grows along `pruning.sparsity_at`; what is pruned stays zero from then on, unless
    a later look finds it among the largest again.

    Args:
        parameters: to prune, by name.
        sparsity: of each of them at the end, between 0 and 1.
        until: share of the training after which nothing more is pruned.
        looks: how often the masks are made anew before that.
    """

    def __init__(
        self,
        parameters: Mapping[str, paddle.Tensor],
        sparsity: Mapping[str, float],
        until: float = 0.6,
        looks: int = 20,
    ):
        for share in sparsity.values():
            pruning.require_share("sparsity", share)
        self._parameters, self._sparsity = dict(parameters), dict(sparsity)
        self._until, self._looks, self._looked = until, looks, 0
        self._masks: dict[str, paddle.Tensor] = {}

    def __call__(self, progress: float) -> None:
        look = min(self._looks, int(self._looks * progress / self._until + 1e-9))
        if look > self._looked:
            self._looked = look
            self._masks = {name: self._mask(name) for name in self._sparsity}
        for name, mask in self._masks.items():
            self._parameters[name].multiply_(mask)

    def _mask(self, name: str) -> paddle.Tensor:
        share = pruning.sparsity_at(self._looked / self._looks, self._sparsity[name])
        kept = pruning.mask(self._parameters[name].numpy(), share)
        return paddle.to_tensor(kept.astype(np.float32))


class Tying:
    """Keeps the weights of a cluster together while they are trained: for `after_step`.

    Args:
        parameters: by name.
        shared: what each of them is at the start.
    """

    def __init__(self, parameters: Mapping[str, paddle.Tensor], shared: Mapping[str, Shared]):
        self._parameters, self.shared = dict(parameters), dict(shared)
        self(0.0)

    def __call__(self, _: float) -> None:
        for name, parameter in self._parameters.items():
            self.shared[name] = self.shared[name].fitted(parameter.numpy())
            parameter.set_value(self.shared[name].values)


class Clustering:
    """Lets weights change their cluster while they are trained: for `after_step`.

    The network computes with the codebook's values. Beside them stands what each weight would be:
    it takes every step of the optimiser, moves to the nearest value, and the values to the mean of
    those that are theirs (a step of k-means). The gradient passes as if nothing were rounded, the
    straight-through estimator (Bengio, Leonard and Courville, 2013).

    Args:
        parameters: by name.
        shared: what each of them is at the start.
    """

    def __init__(self, parameters: Mapping[str, paddle.Tensor], shared: Mapping[str, Shared]):
        self._parameters, self.shared = dict(parameters), dict(shared)
        self._meant = {name: parameters[name].numpy() for name in shared}
        for name, found in shared.items():
            parameters[name].set_value(found.values)

    def __call__(self, _: float) -> None:
        for name, parameter in self._parameters.items():
            before = self.shared[name]
            meant = self._meant[name] + (parameter.numpy() - before.values)
            self._meant[name], self.shared[name] = meant, before.nearest(meant).fitted(meant)
            parameter.set_value(self.shared[name].values)
