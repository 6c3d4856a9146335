"""Weight sharing: a layer's weights take a few values only, which stand in its codebook.

Source: Han, Mao and Dally, "Deep Compression", ICLR 2016: k-means over the weights of a layer,
from evenly spaced centroids; weights that were pruned stay zero and take no part.
"""

from typing import NamedTuple

import numpy as np

from ..errors import PipelineError

MOST_BITS = 8
ZERO = -1  # index of a pruned weight


def require_bits(bits: int) -> None:
    """Refuse a width of the indices that no codebook of ours has.

    Raises:
        PipelineError: `bits` is no whole number from 1 to 8.
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= MOST_BITS:
        raise PipelineError(
            f"bits {bits!r}: a codebook has 2 to {2**MOST_BITS} values; choose a whole number "
            f"from 1 to {MOST_BITS}, such as 5"
        )


class Shared(NamedTuple):
    """A tensor whose values come from a codebook."""

    codebook: np.ndarray  # float32 [K], ascending, 1 to 256 values
    indices: np.ndarray  # int16, of the tensor's shape; ZERO where a weight was pruned

    @property
    def values(self) -> np.ndarray:
        """The tensor, float32."""
        with_zero = np.append(self.codebook, np.float32(0))  # index -1 is the last
        return with_zero[self.indices]

    def fitted(self, weights: np.ndarray) -> "Shared":
        """The same clusters, each centroid the mean of its weights as they are now.

        After a step of the training this keeps the weights of a cluster together; pruned ones
        stay zero.
        """
        at = self.indices.ravel()
        alive = at != ZERO
        count = len(self.codebook)
        sums = np.bincount(at[alive], weights.ravel()[alive].astype(np.float64), count)
        members = np.bincount(at[alive], minlength=count)
        means = np.where(members > 0, sums / np.maximum(members, 1), self.codebook)
        return Shared(means.astype(np.float32), self.indices)

    def nearest(self, weights: np.ndarray) -> "Shared":
        """The same codebook, each weight in the cluster of the value it is nearest to."""
        codebook = np.sort(self.codebook)
        between = (codebook[1:] + codebook[:-1]) / 2
        found = np.searchsorted(between, weights).astype(np.int16)
        return Shared(codebook, np.where(self.indices == ZERO, np.int16(ZERO), found))


def share(weights: np.ndarray, bits: int) -> Shared:
    """Cluster the weights that are not zero.

    Args:
        weights: float32, of any shape, finite.
        bits: width of an index: at most 2**bits values, from 1 to 8.

    Raises:
        PipelineError: `bits` is outside, or a weight is no number.
    """
    require_bits(bits)
    if not np.isfinite(weights).all():
        raise PipelineError("a weight is not a finite number: train again with a lower rate")
    alive = weights != 0
    values = weights[alive].astype(np.float32)
    indices = np.full(weights.shape, ZERO, np.int16)
    distinct = np.unique(values)
    if len(distinct) <= 2**bits:
        codebook = distinct if len(distinct) else np.zeros(1, np.float32)
        indices[alive] = np.searchsorted(distinct, values)
        return Shared(codebook, indices)
    indices[alive] = 0
    return Shared(_centroids(values, 2**bits), indices).nearest(weights).fitted(weights)


def _centroids(values: np.ndarray, count: int) -> np.ndarray:
    """Centroids of k-means, ascending float32; fewer than `count` where some would be equal."""
    from sklearn.cluster import KMeans

    evenly = np.linspace(values.min(), values.max(), count, dtype=np.float32)
    found = KMeans(count, init=evenly[:, None], n_init=1, max_iter=100).fit(values[:, None])
    return np.unique(found.cluster_centers_.ravel().astype(np.float32))
