"""Exercises on calibration, conversion and quantization: 04, 05, 08."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..checking import Exercise
from ..records import Compilation, Layer
from .changing import change

_VALUES = np.array([-1.3, -0.52, -0.004, 0.0, 0.26, 0.2551, 0.9, 2.5])
_INT8 = np.array([-128, -5, 0, 77, 127])
_FILTERS = np.random.default_rng(3).normal(size=(3, 2, 3, 3)) * [[[[1.0]]], [[[5.0]]], [[[0.2]]]]
_FIRST = np.array([[0.5, -1.25, 3.0], [0.0, 2.0, -4.5]])
_SECOND = np.array([[0.5, -1.0, 3.0], [0.25, 2.0, -5.5]])


def _quantized(values: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    return np.clip(np.rint(values / scale) + zero_point, -128, 127)


def _range(low: float, high: float) -> tuple[float, int]:
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


def _layers(run: Path) -> list[Layer]:
    return Compilation.read(run).layers


def _of_first(value: Callable[[Layer], float]) -> Callable[[Path], float]:
    """Share of the first layer that computes in the sum over all layers."""
    return lambda run: value(_layers(run)[1]) / sum(value(layer) for layer in _layers(run))


EXERCISES = {
    "04.1": change(
        "calibration.images=200",
        {
            "the section is missing: it is a key of calibration": "images=200",
            "the section has keys of its own; which of them is the number?": "calibration=200",
            "the pictures are chosen before the toolkit is called: not a key of rknn": (
                "rknn.images=200"
            ),
        },
    ),
    "04.2": Exercise(
        _quantized,
        ((_VALUES, 0.01, 0), (_VALUES, 0.01, -28), (_VALUES, 0.02, 40)),
        {
            "not clipped: there is no number below -128 or above 127": (
                lambda values, scale, zero_point: np.rint(values / scale) + zero_point
            ),
            "rounded down; take the nearest number": (
                lambda values, scale, zero_point: np.clip(
                    np.floor(values / scale) + zero_point, -128, 127
                )
            ),
            "the sign of the zero point: it is the number that stands for 0.0, so add it": (
                lambda values, scale, zero_point: _quantized(values, scale, -zero_point)
            ),
            "these are numbers from 0 to 255; INT8 has -128 to 127": (
                lambda values, scale, zero_point: np.clip(
                    np.rint(values / scale) + zero_point, 0, 255
                )
            ),
            "the zero point comes after the division; it is a whole number of steps": (
                lambda values, scale, zero_point: np.clip(
                    np.rint((values + zero_point) / scale), -128, 127
                )
            ),
        },
    ),
    "04.3": Exercise(
        _range,
        ((-1.0, 1.55), (0.0, 5.1), (-0.2, 2.35)),
        {
            "256 numbers have 255 steps between them": (
                lambda low, high: ((high - low) / 256, round(-128 - low / ((high - low) / 256)))
            ),
            "that zero point is for numbers from 0 to 255; INT8 begins at -128": (
                lambda low, high: (_range(low, high)[0], round(-low / _range(low, high)[0]))
            ),
            "that is a range around 0, the same to both sides; this one is as given": (
                lambda low, high: (max(-low, high) / 127, 0)
            ),
            "the sign: low must come to -128": (
                lambda low, high: (_range(low, high)[0], round(-128 + low / _range(low, high)[0]))
            ),
        },
    ),
    "04.4": Exercise(
        lambda _run: 2.5,
        (),
        {
            "that is the largest value; compare the widths of the two ranges": lambda _run: 4.0,
            "the other way round: the steps become larger": lambda _run: 0.4,
            "the range still begins at -1, so it is wider than 4": lambda _run: 2.0,
        },
    ),
    "05.1": change(
        "rknn.quantized_algorithm=kl_divergence",
        {
            "that is the method, channel or layer; the algorithm finds the range": (
                "rknn.quantized_method=kl_divergence"
            ),
            "the toolkit calls it by its whole name": "rknn.quantized_algorithm=kl",
            "the section is missing: it is a key of rknn": "quantized_algorithm=kl_divergence",
        },
    ),
    "05.2": Exercise(
        lambda numbers, scale, zero_point: (numbers - zero_point) * scale,
        ((_INT8, 0.05, -128), (_INT8, 0.1, 12)),
        {
            "the order: subtract the zero point before you multiply": (
                lambda numbers, scale, zero_point: numbers * scale - zero_point
            ),
            "the sign: the zero point is subtracted on the way back": (
                lambda numbers, scale, zero_point: (numbers + zero_point) * scale
            ),
            "multiply with the scale; dividing was the way to INT8": (
                lambda numbers, scale, zero_point: (numbers - zero_point) / scale
            ),
            "the zero point is missing: the number zero_point stands for 0.0": (
                lambda numbers, scale, zero_point: numbers * scale
            ),
        },
    ),
    "05.3": Exercise(
        lambda inputs, outputs, side, rows, columns: inputs * outputs * side**2 * rows * columns,
        ((3, 24, 6, 16, 16), (48, 48, 3, 16, 8)),
        {
            "these are the weights; each is used at every place of the output": (
                lambda inputs, outputs, side, rows, columns: inputs * outputs * side**2
            ),
            "a filter is a square: it has side times side places": (
                lambda inputs, outputs, side, rows, columns: (
                    inputs * outputs * side * rows * columns
                )
            ),
            "a filter reads every input channel": (
                lambda inputs, outputs, side, rows, columns: outputs * side**2 * rows * columns
            ),
            "every output channel has a filter of its own": (
                lambda inputs, outputs, side, rows, columns: inputs * side**2 * rows * columns
            ),
        },
    ),
    "05.4": Exercise(
        _of_first(lambda layer: layer.cycles),
        (),
        {
            "that is its share of the traffic, in KB; look at the column cycles": (
                _of_first(lambda layer: layer.traffic_kb)
            ),
            "that is one layer out of all; they do not cost the same": (
                _of_first(lambda layer: 1.0)
            ),
            "the first row only hands the picture over; the first that computes is the next": (
                lambda _run: 0.0
            ),
            "these are cycles; divide by the sum over all layers": (
                lambda run: float(_layers(run)[1].cycles)
            ),
        },
        tolerance=0.03,
    ),
    "08.1": change(
        "rknn.quantized_method=layer",
        {
            "that is the algorithm, which finds a range; the method says for what": (
                "rknn.quantized_algorithm=layer"
            ),
            "the section is missing: it is a key of rknn": "quantized_method=layer",
            "the recipe has that already: one scale a channel": "rknn.quantized_method=channel",
        },
    ),
    "08.2": Exercise(
        lambda values, scale, zero_point: np.unique(_quantized(values, scale, zero_point)).size,
        ((_VALUES, 0.01, 0), (_VALUES, 0.5, 0), (_VALUES, 0.02, 100)),
        {
            "these are different float values; round them to INT8 first": (
                lambda values, scale, zero_point: np.unique(values).size
            ),
            "not clipped: values outside of the range share the last number": (
                lambda values, scale, zero_point: (
                    np.unique(np.rint(values / scale) + zero_point).size
                )
            ),
            "not all numbers between the smallest and the largest are used": (
                lambda values, scale, zero_point: np.ptp(_quantized(values, scale, zero_point)) + 1
            ),
        },
    ),
    "08.3": Exercise(
        lambda first, second, scale: np.abs(first - second).max() / scale,
        ((_FIRST, _SECOND, 0.25), (_FIRST, _SECOND * 2, 0.5)),
        {
            "these are float values; divide by the size of a step": (
                lambda first, second, scale: np.abs(first - second).max()
            ),
            "the sign: a difference may be negative, a distance not": (
                lambda first, second, scale: (second - first).max() / scale
            ),
            "the mean hides a single large difference": (
                lambda first, second, scale: np.abs(first - second).mean() / scale
            ),
            "divide by the step, do not multiply": (
                lambda first, second, scale: np.abs(first - second).max() * scale
            ),
        },
    ),
    "08.4": Exercise(
        lambda weight: np.abs(weight).max(axis=(1, 2, 3)) / 127,
        ((_FILTERS,), (-_FILTERS[:2],)),
        {
            "one scale for the whole layer; give one for each filter": (
                lambda weight: np.abs(weight).max() / 127
            ),
            "the axis: these are the inputs; a filter is the first axis": (
                lambda weight: np.abs(weight).max(axis=(0, 2, 3)) / 127
            ),
            "the sign: a large negative weight needs room too": (
                lambda weight: weight.max(axis=(1, 2, 3)) / 127
            ),
            "127 is the largest number; 128 would not fit": (
                lambda weight: np.abs(weight).max(axis=(1, 2, 3)) / 128
            ),
            "255 steps are for both sides together; from 0 to the largest there are 127": (
                lambda weight: np.abs(weight).max(axis=(1, 2, 3)) / 255
            ),
        },
    ),
}
