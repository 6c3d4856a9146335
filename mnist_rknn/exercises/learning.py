"""Exercises on training and export: 02, 03."""

import math

import numpy as np

from ..checking import Exercise
from .changing import change

_LOGITS = np.array([2.0, -1.0, 0.5, 4.0])
_LARGE = np.array([1000.0, 998.0, 0.0])
_NORM = (np.array([1.5, -0.5]), np.array([0.2, 0.1]), np.array([3.0, -2.0]), np.array([4.0, 0.25]))
_EPSILON = 1e-5  # of Paddle's batch norm


def _smoothed(label: int, classes: int, epsilon: float) -> np.ndarray:
    return np.eye(classes)[label] * (1 - epsilon) + epsilon / classes


def _entropy(shares: np.ndarray) -> float:
    return float(-(shares * np.log(shares)).sum())


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def _twice(times: int) -> float:
    """The score of the surest class after so many Softmaxes: one logit 10, nine 0."""
    values = np.array([10.0] + [0.0] * 9)
    for _ in range(times):
        values = _softmax(values)
    return float(values[0])


EXERCISES = {
    "02.1": change(
        "train.learning_rate=0.1",
        {
            "that is twice as much; half of 0.2 is asked for": "train.learning_rate=0.4",
            "that is the size of a batch, not of a step": "train.batch_size=64",
            "the section is missing: it is a key of train": "learning_rate=0.1",
            "the key is called learning_rate": "train.lr=0.1",
        },
    ),
    "02.2": Exercise(
        lambda inputs, outputs, side: inputs * outputs * side * side,
        ((3, 24, 6), (24, 48, 3), (1, 1, 1)),
        {
            "a filter is a square: it has side times side places": (
                lambda inputs, outputs, side: inputs * outputs * side
            ),
            "a filter has numbers for every input channel": (
                lambda inputs, outputs, side: outputs * side * side
            ),
            "there is a filter for every output channel": (
                lambda inputs, outputs, side: inputs * side * side
            ),
            "channels are multiplied, not added": (
                lambda inputs, outputs, side: (inputs + outputs) * side * side
            ),
        },
    ),
    "02.3": Exercise(
        lambda pictures, batch: -(-pictures // batch),
        ((150_000, 128), (128, 128), (129, 128), (100, 16)),
        {
            "rounded down: the last pictures would never be seen": (
                lambda pictures, batch: pictures // batch
            ),
            "one too many where the pictures fill the last batch": (
                lambda pictures, batch: pictures // batch + 1
            ),
            "rounded to the nearest; a batch that is begun counts": (
                lambda pictures, batch: round(pictures / batch)
            ),
            "a batch that is not full is a batch too: round up to a whole number": (
                lambda pictures, batch: pictures / batch
            ),
        },
    ),
    "02.4": Exercise(
        _smoothed,
        ((3, 10, 0.1), (0, 4, 0.2)),
        {
            "spread over all classes, the right one too; then it has 0.91 and not 0.9": (
                lambda label, classes, epsilon: np.where(
                    np.arange(classes) == label, 1 - epsilon, epsilon / (classes - 1)
                )
            ),
            "the sum must be 1: the right class has to give away what the others get": (
                lambda label, classes, epsilon: np.eye(classes)[label] + epsilon / classes
            ),
            "the others get nothing yet": (
                lambda label, classes, epsilon: np.eye(classes)[label] * (1 - epsilon)
            ),
            "each class gets a part of epsilon, not all of it": (
                lambda label, classes, epsilon: np.eye(classes)[label] * (1 - epsilon) + epsilon
            ),
        },
    ),
    "02.5": Exercise(
        lambda _run: _entropy(_smoothed(0, 10, 0.2)),
        (),
        {
            "the logarithm: the loss takes the natural one, not base 2": (
                lambda _run: _entropy(_smoothed(0, 10, 0.2)) / math.log(2)
            ),
            "0 is for plain labels; smoothed ones are never met exactly and surely": lambda _run: (
                0.0
            ),
            "epsilon is spread over all ten classes, so the right one has 0.82": (
                lambda _run: _entropy(np.array([0.8] + [0.2 / 9] * 9))
            ),
            "the nine other classes count too": lambda _run: -0.82 * math.log(0.82),
        },
        tolerance=0.01,
    ),
    "03.1": change(
        "export.opset=13",
        {
            "the section is missing: it is a key of export": "opset=13",
            "rknn-toolkit2 does not read opset 11; 13 is asked for": "export.opset=11",
            "the exporter decides the opset, so it is a key of export": "rknn.opset=13",
        },
    ),
    "03.2": Exercise(
        _softmax,
        ((_LOGITS,), (-_LOGITS,), (_LARGE,)),
        {
            "too large for a float: subtract the largest logit before, nothing else changes": (
                lambda logits: np.exp(logits) / np.exp(logits).sum()
            ),
            "the powers of e are missing: logits may be negative, shares may not": (
                lambda logits: logits / logits.sum()
            ),
            "the sum must be 1: divide by the sum of all powers": (
                lambda logits: np.exp(logits - logits.max())
            ),
            "these are logarithms of the probabilities": lambda logits: np.log(_softmax(logits)),
        },
    ),
    "03.3": Exercise(
        lambda _run: _twice(2),
        (),
        {
            "this is after one Softmax; put what it gave into a second one": lambda _run: _twice(1),
            "nearly even, but not quite: the right class is still ahead": lambda _run: 0.1,
            "this is after three": lambda _run: _twice(3),
        },
        tolerance=0.01,
    ),
    "03.4": Exercise(
        lambda gamma, beta, mean, variance: (
            gamma / np.sqrt(variance + _EPSILON),
            beta - mean * gamma / np.sqrt(variance + _EPSILON),
        ),
        (_NORM, tuple(part[::-1] for part in _NORM)),
        {
            "the root is missing: divide by the spread, which is the root of the variance": (
                lambda gamma, beta, mean, variance: (
                    gamma / (variance + _EPSILON),
                    beta - mean * gamma / (variance + _EPSILON),
                )
            ),
            "the mean is subtracted before it is multiplied, so it is multiplied too": (
                lambda gamma, beta, mean, variance: (
                    gamma / np.sqrt(variance + _EPSILON),
                    beta - mean,
                )
            ),
            "the sign of the mean: it is subtracted": (
                lambda gamma, beta, mean, variance: (
                    gamma / np.sqrt(variance + _EPSILON),
                    beta + mean * gamma / np.sqrt(variance + _EPSILON),
                )
            ),
            "the running mean is missing in what is added": (
                lambda gamma, beta, mean, variance: (gamma / np.sqrt(variance + _EPSILON), beta)
            ),
        },
        tolerance=1e-4,  # with epsilon, or without
    ),
}
