"""Exercises of the lab: the right functions, the cases to try them on, and the likely mistakes."""

import numpy as np

from ..checking import Exercise
from ..checking import check as checked
from . import counting, distillation, huffman, pruning, quantization_exercises, runtime_exercises


def check(name: str, function: object) -> str:
    """What is right or wrong with a student's function, in one line; see `checking.check`."""
    return checked(EXERCISES, name, function)


# --- what is asked ----------------------------------------------------------------------

_GENERATOR = np.random.default_rng(7)
_WEIGHTS = np.array([0.5, -0.9, 0.1, -0.2, 0.3, -0.05, 0.8, -0.4])
_SPARSE = np.array([0, 0, 3, 0, 5, 6, 0, 0, 0, 2.0])
_FILTERS = _GENERATOR.normal(size=(4, 6, 3, 3))
_COUNTS = np.array([8, 4, 2, 1, 1])
_LOGITS = np.array([[4.0, 1.0, -2.0, 0.5], [0.0, 3.0, 1.0, -1.0]])
_TAUGHT = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])
_LEARNT = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])


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


def _divergence(taught: np.ndarray, learnt: np.ndarray) -> float:
    return float((taught * np.log(taught / learnt)).sum(axis=1).mean())


def _mixed(soft: float, hard: float, temperature: float, mix: float) -> float:
    return mix * temperature**2 * soft + (1 - mix) * hard


def _conv_macs(places: int, kernel: int, inputs: int, outputs: int, groups: int) -> int:
    return places * kernel * (inputs // groups) * outputs


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values))


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


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
    "soften": Exercise(
        distillation.soften,
        ((_LOGITS, 4), (_LOGITS, 0.5), (_LOGITS[:1], 2)),
        {
            "upside down: logits are divided by the temperature, which makes them more even": (
                lambda z, t: distillation.soften(z * t, 1)
            ),
            "the order: divide the logits, not the answer that softmax has made of them": (
                lambda z, t: distillation.soften(z, 1) / t
            ),
            "the axis: the shares of one picture make 1, not those of one class": (
                lambda z, t: distillation.soften(z.T, t).T
            ),
            "they do not make 1: divide by their sum": lambda z, t: np.exp(z / t),
            "the temperature is not used": lambda z, t: distillation.soften(z, 1),
        },
    ),
    "divergence": Exercise(
        _divergence,
        ((_TAUGHT, _LEARNT), (_LEARNT[::-1], _TAUGHT)),
        {
            "the direction: weigh by the teacher's shares, not by the student's": (
                lambda p, q: _divergence(q, p)
            ),
            "the sign: it is 0 for equal answers and never negative": (
                lambda p, q: -_divergence(p, q)
            ),
            "the mean: sum over the classes, and take the mean over pictures only": (
                lambda p, q: (p * np.log(p / q)).mean()
            ),
            "it is the sum over all pictures; take their mean": (
                lambda p, q: (p * np.log(p / q)).sum()
            ),
            "this is the cross entropy; the teacher's own entropy is still to be taken off": (
                lambda p, q: -(p * np.log(q)).sum(axis=1).mean()
            ),
        },
    ),
    "mixed": Exercise(
        _mixed,
        ((0.8, 0.3, 4, 0.9), (0.5, 1.2, 2, 0.25), (0.7, 0.2, 1, 1.0)),
        {
            "the square: at a high temperature gradients shrink by its square": (
                lambda soft, hard, t, mix: mix * soft + (1 - mix) * hard
            ),
            "the square: it is the temperature squared, not the temperature": (
                lambda soft, hard, t, mix: mix * t * soft + (1 - mix) * hard
            ),
            "upside down: mix is the teacher's share, not the label's": (
                lambda soft, hard, t, mix: (1 - mix) * t**2 * soft + mix * hard
            ),
            "the square belongs to the teacher's part alone": (
                lambda soft, hard, t, mix: t**2 * (mix * soft + (1 - mix) * hard)
            ),
        },
    ),
    "equal_time": Exercise(
        lambda epochs, taught, alone: epochs * taught / alone,
        ((3, 95.0, 60.0), (2, 50.0, 40.0)),
        {
            "upside down: who needs less time for an epoch gets more of them": (
                lambda epochs, taught, alone: epochs * alone / taught
            ),
            "this is what is left over; the epochs that were trained already count too": (
                lambda epochs, taught, alone: epochs * (taught / alone - 1)
            ),
            "rounding: an epoch may be trained in part": (
                lambda epochs, taught, alone: round(epochs * taught / alone)
            ),
            "rounding: an epoch may be trained in part, and is not to be cut off": (
                lambda epochs, taught, alone: int(epochs * taught / alone)
            ),
        },
    ),
    "conv_macs": Exercise(
        _conv_macs,
        ((256, 9, 48, 48, 1), (64, 9, 64, 64, 64), (144, 1, 16, 32, 1), (256, 9, 64, 32, 8)),
        {
            "the groups: an output channel sees only the inputs of its group": (
                lambda p, k, i, o, g: p * k * i * o
            ),
            "the groups are counted twice: divide the inputs once": (
                lambda p, k, i, o, g: p * k * (i // g) * (o // g)
            ),
            "the places: every place of the output takes all this again": (
                lambda p, k, i, o, g: k * (i // g) * o
            ),
            "the kernel: each of its places is a multiplication": (
                lambda p, k, i, o, g: p * (i // g) * o
            ),
        },
    ),
    "conv_cycles": Exercise(
        counting.npu_cycles,
        ((256, 9, 48, 48), (36, 9, 64, 64), (256, 36, 3, 24), (144, 1, 16, 32), (9, 1, 128, 128)),
        {
            "rounding: a group that is not full takes as long as a full one; round up": (
                lambda p, k, i, o: p * max(4, k * i / 32) * o / 16
            ),
            "upside down: it takes 32 channels in and gives 16 out": (
                lambda p, k, i, o: counting.npu_cycles(p, k, 2 * i, o / 2)
            ),
            "the places: they come in groups of 16 too": (
                lambda p, k, i, o: p * max(4, k * -(-i // 32)) * -(-o // 16)
            ),
            "at least four turns: a kernel of 1x1 costs as much as one of 2x2": (
                lambda p, k, i, o: -(-p // 16) * 16 * k * -(-i // 32) * -(-o // 16)
            ),
        },
    ),
    "rank_correlation": Exercise(
        _rank_correlation,
        (
            (np.array([0.90, 0.95, 0.97, 0.93]), np.array([0.95, 0.96, 0.995, 0.97])),
            (np.array([3.0, 1.0, 2.0, 10.0]), np.array([1.0, 3.0, 2.0, 0.0])),
        ),
        {
            "the values: correlate the ranks, not what was ranked": (
                lambda a, b: float(np.corrcoef(a, b)[0, 1])
            ),
            "argsort says where the smallest stands; its own argsort says which rank each has": (
                lambda a, b: float(np.corrcoef(np.argsort(a), np.argsort(b))[0, 1])
            ),
            "the sign: one of them is ranked backwards": lambda a, b: -_rank_correlation(a, b),
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
    **quantization_exercises.EXERCISES,
    **runtime_exercises.EXERCISES,
}
