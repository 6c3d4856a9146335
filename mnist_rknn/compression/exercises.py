"""Exercises of the lab: the right functions, the cases to try them on, and the likely mistakes."""

import numpy as np

from ..checking import Exercise
from ..checking import check as checked
from . import huffman, pruning


def check(name: str, function: object) -> str:
    """What is right or wrong with a student's function, in one line; see `checking.check`."""
    return checked(EXERCISES, name, function)


# --- what is asked ----------------------------------------------------------------------

_GENERATOR = np.random.default_rng(7)
_WEIGHTS = np.array([0.5, -0.9, 0.1, -0.2, 0.3, -0.05, 0.8, -0.4])
_SPARSE = np.array([0, 0, 3, 0, 5, 6, 0, 0, 0, 2.0])
_FILTERS = _GENERATOR.normal(size=(4, 6, 3, 3))
_COUNTS = np.array([8, 4, 2, 1, 1])


def _kept(weights: np.ndarray, count: int) -> np.ndarray:
    """The `count` largest of `weights` are True."""
    found = np.zeros(weights.size, bool)
    found[np.argsort(weights, axis=None, kind="stable")[weights.size - count :]] = True
    return found.reshape(weights.shape)


def _distances(weights: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    return np.abs(weights[:, None] - codebook)


def _nonzero(weights: np.ndarray) -> np.ndarray:
    return np.flatnonzero(weights)


def _log2(counts: np.ndarray) -> np.ndarray:
    return np.log2(counts / counts.sum())


EXERCISES = {
    "keep": Exercise(
        pruning.mask,
        ((_WEIGHTS, 0.5), (_WEIGHTS, 0.25), (-_WEIGHTS, 0.75)),
        {
            "the sign: a large negative weight matters as much as a large positive one": (
                lambda w, s: _kept(w, w.size - round(s * w.size))
            ),
            "it keeps the smallest weights and removes the largest": (
                lambda w, s: ~_kept(np.abs(w), round(s * w.size))
            ),
            "the share: sparsity is the part to remove, not the part to keep": (
                lambda w, s: _kept(np.abs(w), round(s * w.size))
            ),
            "off by one: it removes one weight too many": (
                lambda w, s: _kept(np.abs(w), w.size - round(s * w.size) - 1)
            ),
            "off by one: it keeps one weight too many": (
                lambda w, s: _kept(np.abs(w), w.size - round(s * w.size) + 1)
            ),
        },
    ),
    "nearest": Exercise(
        lambda w, c: _distances(w, c).argmin(axis=1),
        ((_WEIGHTS, np.array([-0.6, -0.1, 0.7])), (_WEIGHTS[:5], np.array([-0.3, 0.2]))),
        {
            "the axis: it looks for the nearest weight of each codebook value": (
                lambda w, c: _distances(w, c).argmin(axis=0)
            ),
            "the sign: a distance has none; take its absolute value": (
                lambda w, c: (w[:, None] - c).argmin(axis=1)
            ),
            "it takes the farthest value": lambda w, c: _distances(w, c).argmax(axis=1),
            "rounding: it takes the next value below, not the nearest": (
                lambda w, c: np.maximum(np.searchsorted(c, w, "right") - 1, 0)
            ),
            "it gives the values; wanted is where they stand in the codebook": (
                lambda w, c: c[_distances(w, c).argmin(axis=1)]
            ),
        },
    ),
    "gaps": Exercise(
        lambda w: np.diff(_nonzero(w), prepend=-1) - 1,
        ((_SPARSE,), (_SPARSE[::-1],), (np.ones(3),)),
        {
            "off by one: neighbours have no zero between them, so their gap is 0": (
                lambda w: np.diff(_nonzero(w), prepend=-1)
            ),
            "off by one at the first weight: count the zeros from the very beginning": (
                lambda w: np.diff(_nonzero(w), prepend=0) - 1
            ),
            "the first weight is missing: the zeros before it count too": (
                lambda w: np.diff(_nonzero(w)) - 1
            ),
            "these are places; a gap counts from the weight before": _nonzero,
        },
    ),
    "entropy": Exercise(
        huffman.entropy,
        ((_COUNTS,), (np.array([1, 1, 1, 1]),), (np.array([9, 1]),)),
        {
            "the sign: the logarithm of a share is negative, and bits are not": (
                lambda c: (c / c.sum() * _log2(c)).sum()
            ),
            "the logarithm: a bit has two values, so its base is 2": (
                lambda c: -(c / c.sum() * np.log(c / c.sum())).sum()
            ),
            "the weights: take the mean over all entries, not over the kinds of symbols": (
                lambda c: -_log2(c).mean()
            ),
            "this is for all entries together; divide by their number": (
                lambda c: -(c * _log2(c)).sum()
            ),
            "rounding: the entropy is no whole number, a code's length is": (
                lambda c: np.ceil(huffman.entropy(c))
            ),
        },
    ),
    "filter_norms": Exercise(
        lambda w: np.abs(w).sum(axis=(1, 2, 3)),
        ((_FILTERS,), (-_FILTERS[:3],)),
        {
            "the axis: it sums over the filters; a filter is the first axis, so keep that one": (
                lambda w: np.abs(w).sum(axis=(0, 2, 3))
            ),
            "the sign: sum absolute values, or a filter's weights cancel out": (
                lambda w: w.sum(axis=(1, 2, 3))
            ),
            "the sign: take the absolute value of each weight, not of the sum": (
                lambda w: np.abs(w.sum(axis=(1, 2, 3)))
            ),
        },
    ),
    "cut_next": Exercise(
        lambda w, kept: w[:, kept],
        ((_FILTERS, np.array([0, 2, 3])), (_FILTERS, np.array([1]))),
        {
            "the axis: it cuts filters of the next layer; what is gone there is an input": (
                lambda w, kept: w[kept]
            ),
            "it keeps what was to be removed": lambda w, kept: np.delete(w, kept, axis=1),
        },
    ),
    "up_to_16": Exercise(
        lambda n: -(-n // 16) * 16,
        ((1,), (16,), (17,), (40,), (48,), (63,)),
        {
            "rounding: it rounds down, and so takes channels that are needed": (
                lambda n: n // 16 * 16
            ),
            "off by one: 16 is a multiple already and stays 16": lambda n: (n // 16 + 1) * 16,
            "rounding: it rounds to the nearest multiple, which may be below": (
                lambda n: round(n / 16) * 16
            ),
        },
    ),
}
