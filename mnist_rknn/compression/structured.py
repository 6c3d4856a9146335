"""Structured pruning: whole filters go, and the network that is left is a smaller `DigitNet`.

By norm: Li et al., "Pruning filters for efficient ConvNets", 2017. By what the loss would feel:
Molchanov et al., "Importance estimation for neural network pruning", 2019, on batch norms.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from ..errors import PipelineError
from ..files import relative
from ..recipe import Recipe
from ..training.networks import ConvBNReLU, DigitNet
from .finetune import BATCH, Prepare

ALIGNMENT = 16  # channels that the NPU works on at once


def load_trained(recipe: Recipe, folder: Path, class_num: int) -> DigitNet:
    """The network of a finished run, with its weights.

    Raises:
        PipelineError: the recipe trains another network, or the weights are missing.
    """
    if recipe.model.built_as != "DigitNet":
        raise PipelineError(
            f"recipe {recipe.name} trains {recipe.model.built_as}, and the lab narrows DigitNet: "
            "choose recipe mnist or smoke"
        )
    path = folder / "train" / "best_model" / "best_model.pdparams"
    if not path.is_file():
        raise PipelineError(f"{relative(path)} is missing: run 02_train first")
    network = DigitNet(class_num, **recipe.model.arguments)
    network.set_state_dict(paddle.load(str(path)))
    network.eval()
    return network


def blocks(network: DigitNet) -> list[ConvBNReLU]:
    """The convolutions with their batch norms, the stem first."""
    return [layer for layer in network.features if isinstance(layer, ConvBNReLU)]


def widths(network: DigitNet) -> list[int]:
    """Output channels of each of `blocks`."""
    return [block[0].weight.shape[0] for block in blocks(network)]


def norms(network: DigitNet) -> list[np.ndarray]:
    """L1 norm of every filter, [channels] for each of `blocks`."""
    return [np.abs(block[0].weight.numpy()).sum(axis=(1, 2, 3)) for block in blocks(network)]


def importances(
    network: DigitNet, images: np.ndarray, classes: np.ndarray, prepare: Prepare
) -> list[np.ndarray]:
    """How much the loss would change without a channel, to the first order and squared.

    A channel is scale and shift of its batch norm times what comes in; without it both are zero.
    So the loss changes by about scale x its gradient + shift x its gradient.

    Args:
        images: uint8 [N, H, W, ...].
        classes: integer [N].

    Returns:
        Mean over batches, [channels] for each of `blocks`.
    """
    found = [np.zeros(width) for width in widths(network)]
    gates = [
        parameter for block in blocks(network) for parameter in (block[1].weight, block[1].bias)
    ]
    frozen = [parameter for parameter in gates if parameter.stop_gradient]
    for parameter in frozen:
        parameter.stop_gradient = False
    network.eval()  # batch norms as they will run
    starts = range(0, len(images), BATCH)
    for start in starts:
        logits = network(paddle.to_tensor(prepare(images[start : start + BATCH])))
        truth = paddle.to_tensor(classes[start : start + BATCH, None])
        nn.functional.cross_entropy(logits, truth).backward()
        for total, block in zip(found, blocks(network), strict=True):
            felt = [(p * p.grad).numpy() for p in (block[1].weight, block[1].bias)]
            total += np.square(felt[0] + felt[1]) / len(starts)
        network.clear_gradients()
    for parameter in frozen:
        parameter.stop_gradient = True
    return found


def narrower(widths: Sequence[int], share: float, aligned: bool) -> list[int]:
    """Channels to leave of each layer.

    Args:
        share: of the channels to remove, between 0 and 1.
        aligned: leave the multiple of 16 that is nearest instead, and at least 16.
    """
    left = [max(1, round(width * (1 - share))) for width in widths]
    if not aligned:
        return left
    return [
        min(width, max(ALIGNMENT, ALIGNMENT * round(count / ALIGNMENT)))
        for width, count in zip(widths, left, strict=True)
    ]


def narrowed(network: DigitNet, scores: Sequence[np.ndarray], left: Sequence[int]) -> DigitNet:
    """A network of only the channels with the highest scores, with their weights.

    Args:
        scores: [channels] for each of `blocks`.
        left: channels to keep of each.

    Raises:
        PipelineError: a layer has not so many, or would have none.
    """
    present = widths(network)
    for number, (count, width) in enumerate(zip(left, present, strict=True)):
        if not 1 <= count <= width:
            raise PipelineError(
                f"layer {number} has {width} channels and {count} were to stay: "
                f"choose from 1 to {width}"
            )
    kept = [
        np.sort(np.argsort(-score, kind="stable")[:count])
        for score, count in zip(scores, left, strict=True)
    ]
    found = DigitNet(network.fc.weight.shape[1], **_arguments(network, left))
    inputs = np.arange(3)
    for old, new, outputs in zip(blocks(network), blocks(found), kept, strict=True):
        new[0].weight.set_value(old[0].weight.numpy()[outputs][:, inputs])
        for name in ("weight", "bias", "_mean", "_variance"):
            getattr(new[1], name).set_value(getattr(old[1], name).numpy()[outputs])
        for parameter, before in zip(new.parameters(), old.parameters(), strict=True):
            parameter.stop_gradient = before.stop_gradient
        inputs = outputs
    found.fc.weight.set_value(network.fc.weight.numpy()[inputs])
    found.fc.bias.set_value(network.fc.bias.numpy())
    found.eval()
    return found


def _arguments(network: DigitNet, left: Sequence[int]) -> dict[str, Any]:
    """Arguments of `DigitNet` for these channels, with the poolings where they are."""
    stages: list[list[int]] = [[]]
    counts = iter(left[1:])
    for layer in list(network.features)[1:]:
        if isinstance(layer, ConvBNReLU):
            stages[-1].append(next(counts))
        else:
            stages.append([])
    stem = blocks(network)[0][0]
    return {
        "stem": left[0],
        "stem_stride": stem._stride[0],
        "stem_kernel": stem.weight.shape[-1],
        "stages": stages,
    }
