"""Exercises of the other runtimes; see `exercises`."""

import math

import numpy as np

from ..checking import Exercise

_FILTERS = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
_ANSWERS = np.array([[1.0, 3.0, 2.0], [5.0, 1.0, 0.0], [0.0, 1.0, 4.0], [2.0, 1.0, 0.0]])
_OTHERS = np.array([[1.1, 2.9, 2.2], [0.5, 1.5, 0.1], [0.2, 1.1, 4.4], [2.2, 1.2, 3.0]])


def _total(size: int, kernel: int, stride: int) -> int:
    return max((-(-size // stride) - 1) * stride + kernel - size, 0)


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = _total(size, kernel, stride)
    return total // 2, total - total // 2


def _fixed(factor: float, bits: int) -> tuple[int, int]:
    part, shift = math.frexp(factor)
    return round(part * 2**bits), shift


def _alike(first: np.ndarray, second: np.ndarray) -> float:
    return float((first.argmax(axis=1) == second.argmax(axis=1)).mean())


def _ratio(times: np.ndarray, base: np.ndarray) -> float:
    return float(np.median(times / base))


_ROUNDS = (np.array([4.0, 9.0, 4.4, 8.0, 30.0]), np.array([2.0, 4.0, 2.1, 4.4, 10.0]))

EXERCISES = {
    "channels_last": Exercise(
        lambda w: w.transpose(0, 2, 3, 1),
        ((_FILTERS,), (_FILTERS[:, :2],)),
        {
            "the axis: the outputs stay in front; the inputs go behind": (
                lambda w: w.transpose(1, 2, 3, 0)
            ),
            "the order: height comes before width": lambda w: w.transpose(0, 3, 2, 1),
            "a reshape keeps the numbers where they are; the axes are to change places": (
                lambda w: w.reshape(w.shape[0], *w.shape[2:], w.shape[1])
            ),
        },
    ),
    "same_padding": Exercise(
        _same,
        ((48, 6, 3), (16, 3, 1), (16, 3, 2), (15, 3, 2), (8, 2, 2), (8, 1, 4), (10, 4, 1)),
        {
            "an odd rest goes behind, not in front": lambda n, k, s: _same(n, k, s)[::-1],
            "off by one: the first window takes kernel pixels, each next one stride more": (
                lambda n, k, s: (
                    max(-(-n // s) * s + k - n, 0) // 2,
                    max(-(-n // s) * s + k - n, 0) - max(-(-n // s) * s + k - n, 0) // 2,
                )
            ),
            "rounding: SAME gives size / stride places, rounded up": (
                lambda n, k, s: (
                    max((n // s - 1) * s + k - n, 0) // 2,
                    max((n // s - 1) * s + k - n, 0) - max((n // s - 1) * s + k - n, 0) // 2,
                )
            ),
            "the sign: there is no padding below 0": (
                lambda n, k, s: (
                    ((-(-n // s) - 1) * s + k - n) // 2,
                    ((-(-n // s) - 1) * s + k - n) - ((-(-n // s) - 1) * s + k - n) // 2,
                )
            ),
            "that is right for a stride of 1 only": (
                lambda n, k, s: ((k - 1) // 2, k - 1 - (k - 1) // 2)
            ),
        },
    ),
    "multiplier": Exercise(
        _fixed,
        ((0.75, 15), (0.0012345, 7), (3.1, 7), (0.7, 15), (0.3333333333, 15)),
        {
            "rounding: it cuts off what is behind the point": (
                lambda f, b: (math.floor(math.frexp(f)[0] * 2**b), math.frexp(f)[1])
            ),
            "the sign of the shift: a small factor has a negative one": (
                lambda f, b: (_fixed(f, b)[0], -_fixed(f, b)[1])
            ),
            "off by one: 2**bits itself needs one bit more": (
                lambda f, b: (_fixed(f, b + 1)[0], _fixed(f, b)[1] - 1)
            ),
            "off by one: the smallest is half of 2**bits, so that no bit is lost": (
                lambda f, b: (_fixed(f, b - 1)[0], _fixed(f, b)[1] + 1)
            ),
        },
    ),
    "same_answers": Exercise(
        _alike,
        ((_ANSWERS, _OTHERS), (_ANSWERS[:2], _OTHERS[:2]), (_ANSWERS, _ANSWERS)),
        {
            "the axis: the answer is the largest of a picture's logits, not of a class's": (
                lambda a, b: float((a.argmax(axis=0) == b.argmax(axis=0)).mean())
            ),
            "that asks whether the logits are the same; wanted is the same class": (
                lambda a, b: float((a == b).mean())
            ),
            "the wrong way round: that is the share of pictures that differ": (
                lambda a, b: 1 - _alike(a, b)
            ),
            "it is a share: divide by the number of pictures": (
                lambda a, b: float((a.argmax(axis=1) == b.argmax(axis=1)).sum())
            ),
        },
    ),
    "time_ratio": Exercise(
        _ratio,
        (_ROUNDS, (_ROUNDS[0][:3], _ROUNDS[1][:3])),
        {
            "upside down: the engine's time is divided by that of the base": (
                lambda t, b: _ratio(b, t)
            ),
            "the mean follows the one round in which the machine was busy; take the median": (
                lambda t, b: float(np.mean(t / b))
            ),
            "the order: divide in each round first, as both met the same load there": (
                lambda t, b: float(np.median(t) / np.median(b))
            ),
        },
    ),
}
