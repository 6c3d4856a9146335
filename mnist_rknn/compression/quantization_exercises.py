"""Exercises of training for INT8; see `exercises`."""

import numpy as np

from ..checking import Exercise

_FILTERS = np.random.default_rng(14).normal(size=(4, 6, 3, 3))
_VALUES = np.array([-1.3, -0.42, -0.06, 0.0, 0.17, 0.44, 0.9, 3.0])
_SUMS = np.array([-90_000.0, -1_900, -130, 0, 410, 2_300, 90_000])


def _fake(x: np.ndarray, scale: float, zero_point: int, bits: int) -> np.ndarray:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return (np.clip(np.rint(x / scale) + zero_point, low, high) - zero_point) * scale


def _largest(weight: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    return np.abs(weight).max(axis=axis)


def _to_steps(sums: np.ndarray, into: float, weight: float, out: float, zero: int) -> np.ndarray:
    return np.clip(np.rint(sums * into * weight / out) + zero, -128, 127)


EXERCISES = {
    "step": Exercise(
        lambda low, high, bits: (high - low) / (2**bits - 1),
        ((-1.0, 2.0, 8), (0.0, 6.0, 4), (-2.0, 7.0, 2)),
        {
            "off by one: 256 numbers have only 255 steps between them": (
                lambda low, high, bits: (high - low) / 2**bits
            ),
            "the sign: the range goes from low to high, so it is their difference": (
                lambda low, high, bits: (high + low) / (2**bits - 1)
            ),
            "upside down: that is how many steps there are in 1": (
                lambda low, high, bits: (2**bits - 1) / (high - low)
            ),
        },
    ),
    "fake_quantize": Exercise(
        _fake,
        ((_VALUES, 0.1, 0, 4), (_VALUES, 0.25, -3, 3), (_VALUES[2:], 0.02, -128, 8)),
        {
            "rounding: it takes the next number below, not the nearest": (
                lambda x, s, z, b: _fake((np.floor(x / s)) * s, s, z, b)
            ),
            "the limits: no number beyond the smallest and the largest": (
                lambda x, s, z, b: np.rint(x / s) * s
            ),
            "the sign: the zero point is added on the way in, taken off on the way out": (
                lambda x, s, z, b: _fake(x, s, -z, b)
            ),
            "these are the whole numbers; wanted is what they stand for": (
                lambda x, s, z, b: np.rint(_fake(x, s, z, b) / s) + z
            ),
            "off by one: the largest number of 8 bits is 127, as 0 is one of the numbers": (
                lambda x, s, z, b: (
                    (np.clip(np.rint(x / s) + z, -(2 ** (b - 1)), 2 ** (b - 1)) - z) * s
                )
            ),
        },
    ),
    "channel_scales": Exercise(
        lambda w, bits: _largest(w, (1, 2, 3)) / (2 ** (bits - 1) - 1),
        ((_FILTERS, 8), (-_FILTERS[:3], 4)),
        {
            "the axis: it has a scale for each input; the outputs are the first axis": (
                lambda w, bits: _largest(w, (0, 2, 3)) / (2 ** (bits - 1) - 1)
            ),
            "the sign: a large negative weight needs room too": (
                lambda w, bits: w.max(axis=(1, 2, 3)) / (2 ** (bits - 1) - 1)
            ),
            "off by one: the largest number of 8 bits is 127": (
                lambda w, bits: _largest(w, (1, 2, 3)) / 2 ** (bits - 1)
            ),
            "the sign bit: only half of the numbers are above zero": (
                lambda w, bits: _largest(w, (1, 2, 3)) / (2**bits - 1)
            ),
        },
    ),
    "straight_through": Exercise(
        lambda x, scale, low, high: np.float64((x / scale >= low) & (x / scale <= high)),
        ((_VALUES, 0.1, -8, 7), (_VALUES, 0.03, 0, 15)),
        {
            "that is the slope of the staircase itself: nothing would ever be learned": (
                lambda x, scale, low, high: np.zeros_like(x)
            ),
            "the limits: what is cut off has no slope": (
                lambda x, scale, low, high: np.ones_like(x)
            ),
            "the wrong way round: inside the limits the gradient passes": (
                lambda x, scale, low, high: np.float64((x / scale < low) | (x / scale > high))
            ),
            "the limits are whole numbers: divide x by the scale first": (
                lambda x, scale, low, high: np.float64((x >= low) & (x <= high))
            ),
        },
    ),
    "requantize": Exercise(
        _to_steps,
        ((_SUMS, 0.01, 0.02, 0.05, -128), (_SUMS, 0.008, 0.004, 0.03, 3)),
        {
            "upside down: multiply by the scales that come in, divide by that of the output": (
                lambda s, i, w, o, z: np.clip(np.rint(s * o / (i * w)) + z, -128, 127)
            ),
            "rounding: it cuts off what is behind the point": (
                lambda s, i, w, o, z: np.clip(np.trunc(s * i * w / o) + z, -128, 127)
            ),
            "the zero point of the output is missing": (
                lambda s, i, w, o, z: _to_steps(s, i, w, o, 0)
            ),
            "the sign of the zero point: here it is added": (
                lambda s, i, w, o, z: _to_steps(s, i, w, o, -z)
            ),
            "the limits: INT8 goes from -128 to 127": (
                lambda s, i, w, o, z: np.rint(s * i * w / o) + z
            ),
        },
    ),
}
