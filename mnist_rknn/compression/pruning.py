"""Pruning: which weights, or which whole filters, a network can do without.

Weights by their magnitude: Han et al., "Learning both weights and connections for efficient
neural networks", 2015. The schedule: Zhu and Gupta, "To prune, or not to prune", 2017.
"""

from collections.abc import Mapping

import numpy as np

from ..errors import PipelineError


def require_share(name: str, share: float) -> None:
    """Refuse a share that leaves everything, or nothing.

    Raises:
        PipelineError: `share` is not between 0 and 1.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        reason = (
            "it removes nothing" if share == 0
            else "it leaves nothing" if share == 1
            else "it is no share"
        )  # fmt: skip
        raise PipelineError(
            f"{name} {share!r}: {reason}; choose a number between 0 and 1, such as 0.9"
        )


def mask(weights: np.ndarray, sparsity: float) -> np.ndarray:
    """Which weights to keep: those of the largest magnitude.

    Args:
        weights: float, of any shape.
        sparsity: share of the weights to remove, between 0 and 1.

    Returns:
        bool, of the same shape. The number kept is exact, to a rounding, also where many weights
        have one magnitude; at least one is kept.

    Raises:
        PipelineError: `sparsity` is not between 0 and 1.
    """
    require_share("sparsity", sparsity)
    removed = min(round(sparsity * weights.size), weights.size - 1)
    order = np.argsort(np.abs(weights), axis=None, kind="stable")
    kept = np.ones(weights.size, bool)
    kept[order[:removed]] = False
    return kept.reshape(weights.shape)


def masks(weights: Mapping[str, np.ndarray], sparsity: float) -> dict[str, np.ndarray]:
    """`mask` over several layers at once: one threshold for all, none left without a weight.

    Args:
        weights: by name.
        sparsity: share of all the weights together.
    """
    together = np.concatenate([values.ravel() for values in weights.values()])
    kept = mask(together, sparsity)
    ends = np.cumsum([values.size for values in weights.values()])
    found = {}
    for (name, values), part in zip(weights.items(), np.split(kept, ends[:-1]), strict=True):
        part[np.abs(values).argmax()] = True
        found[name] = part.reshape(values.shape)
    return found


def sparsity_at(progress: float, final: float) -> float:
    """How much to have pruned by now: quick at first, when much is idle, and slow at the end.

    Args:
        progress: share of the pruning that is done, from 0 to 1.
        final: sparsity to end with.
    """
    return final * (1 - (1 - min(max(progress, 0.0), 1.0)) ** 3)
