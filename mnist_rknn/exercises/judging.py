"""Exercises on proofs and on frames: 06, 10."""

import cv2
import numpy as np

from ..checking import Exercise
from .changing import change

_LOGITS = np.array([[3.0, 1.0, -2.0], [0.5, 2.5, 1.0], [-1.0, 0.0, 4.0], [2.0, 1.9, -3.0]])
_CLASSES = np.array([0, 1, 0, 1])
_A, _B = np.array([1.0, 2.0, -1.0, 0.5]), np.array([0.9, 2.2, -0.7, 0.1])
_GRAY = np.full((9, 12), 220, np.uint8)
_GRAY[:, 7:] = 120  # a shadow's edge
_GRAY[4, 1:6], _GRAY[2:8, 9] = 40, 30  # strokes
_SCORES = np.array([0.99, 0.4, 0.6, 0.95, 0.7, 0.6])
_RIGHT = np.array([True, False, True, False, True, False])
_SQUARE = (10, 20, 40, 40)


def _accuracy(logits: np.ndarray, classes: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == classes).mean())


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / np.sqrt((first @ first) * (second @ second)))


Box = tuple[int, int, int, int]  # left, top, width, height


def _common(first: Box, second: Box, apart: bool = True) -> int:
    """Area that two boxes share; with `apart` false as if they always shared some."""
    sides = [
        min(first[n] + first[n + 2], second[n] + second[n + 2]) - max(first[n], second[n])
        for n in (0, 1)
    ]
    return max(sides[0], 0) * max(sides[1], 0) if apart else sides[0] * sides[1]


def _area(box: Box) -> int:
    return box[2] * box[3]


def _overlap(first: Box, second: Box) -> float:
    common = _common(first, second)
    return common / (_area(first) + _area(second) - common)


def _window(size: int) -> np.ndarray:
    return np.ones((size, size), np.uint8)


EXERCISES = {
    "06.1": change(
        "verify.max_drop=0.001",
        {
            "a share is asked for: 0.1 points are 0.001": "verify.max_drop=0.1",
            "that is one point; a tenth of it is asked for": "verify.max_drop=0.01",
            "that is how many answers must be right, not how many may be lost": (
                "verify.min_accuracy=0.999"
            ),
            "the section is missing: it is a key of verify": "max_drop=0.001",
        },
    ),
    "06.2": Exercise(
        _accuracy,
        ((_LOGITS, _CLASSES), (_LOGITS[:3], _CLASSES[:3])),
        {
            "this is how many are right; divide by the number of pictures": (
                lambda logits, classes: int((logits.argmax(axis=1) == classes).sum())
            ),
            "these are the wrong ones": lambda logits, classes: 1 - _accuracy(logits, classes),
            "the largest logit is the answer, not the smallest": (
                lambda logits, classes: _accuracy(-logits, classes)
            ),
            "per cent; a share is asked for, 0 to 1": (
                lambda logits, classes: 100 * _accuracy(logits, classes)
            ),
        },
    ),
    "06.3": Exercise(
        _cosine,
        ((_A, _B), (_A, -_B), (2 * _A, _B)),
        {
            "divide by both lengths; else large logits look more alike": lambda a, b: a @ b,
            "the root is missing: a length is the root of the sum of squares": (
                lambda a, b: a @ b / ((a @ a) * (b @ b))
            ),
            "this is how they differ: 1 minus the cosine": lambda a, b: 1 - _cosine(a, b),
            "the sign counts: opposite logits have -1": lambda a, b: abs(_cosine(a, b)),
        },
    ),
    "06.4": Exercise(
        lambda share, pictures: 1.96 * np.sqrt(share * (1 - share) / pictures),
        ((0.99, 10_000), (0.9, 100)),
        {
            "the root is missing": lambda share, pictures: 1.96 * share * (1 - share) / pictures,
            "this holds in 68 of 100 cases; for 95 it is 1.96 times as wide": (
                lambda share, pictures: np.sqrt(share * (1 - share) / pictures)
            ),
            "divide by the number of pictures, or more pictures would not help": (
                lambda share, pictures: 1.96 * np.sqrt(share * (1 - share))
            ),
            "the number of pictures belongs under the root": (
                lambda share, pictures: 1.96 * np.sqrt(share * (1 - share)) / pictures
            ),
            "this is the whole width; half of it is asked for": (
                lambda share, pictures: 3.92 * np.sqrt(share * (1 - share) / pictures)
            ),
        },
        tolerance=0.001,  # with 1.96, or more digits
    ),
    "10.1": Exercise(
        lambda gray, size: cv2.erode(cv2.dilate(gray, _window(size)), _window(size)),
        ((_GRAY, 3), (_GRAY[:, ::-1], 3)),
        {
            "the order: this is an opening, which takes away what is light. Dilate first": (
                lambda gray, size: cv2.dilate(cv2.erode(gray, _window(size)), _window(size))
            ),
            "half of it: after the dilation the shadow is too small, so erode": (
                lambda gray, size: cv2.dilate(gray, _window(size))
            ),
            "half of it: dilate before, to remove the strokes": (
                lambda gray, size: cv2.erode(gray, _window(size))
            ),
            "this is the ink; the paper is asked for, without taking gray from it": (
                lambda gray, size: cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, _window(size))
            ),
        },
    ),
    "10.2": Exercise(
        _overlap,
        (
            (_SQUARE, _SQUARE),
            (_SQUARE, (30, 20, 40, 40)),
            (_SQUARE, (20, 30, 10, 10)),
            (_SQUARE, (90, 90, 20, 20)),
        ),
        {
            "the common area stands in both boxes: subtract it once from their sum": (
                lambda first, second: _common(first, second) / (_area(first) + _area(second))
            ),
            "divide by what both cover together, not by the smaller box": (
                lambda first, second: _common(first, second) / min(_area(first), _area(second))
            ),
            "divide by what both cover together, not by the first box": (
                lambda first, second: _common(first, second) / _area(first)
            ),
            "boxes that are apart have negative sides; two of them give a positive area": (
                lambda first, second: (
                    _common(first, second, apart=False)
                    / (_area(first) + _area(second) - _common(first, second, apart=False))
                )
            ),
        },
    ),
    "10.3": Exercise(
        lambda scores, right, doubt: (
            int((~right & (scores >= doubt)).sum()),
            int((right & (scores < doubt)).sum()),
        ),
        ((_SCORES, _RIGHT, 0.6), (_SCORES, _RIGHT, 0.8), (_SCORES, _RIGHT, 0.3)),
        {
            "exchanged: first the wrong ones that are kept, then the right ones refused": (
                lambda scores, right, doubt: (
                    int((right & (scores < doubt)).sum()),
                    int((~right & (scores >= doubt)).sum()),
                )
            ),
            "only what is below the threshold is refused; at it, an answer is kept": (
                lambda scores, right, doubt: (
                    int((~right & (scores > doubt)).sum()),
                    int((right & (scores <= doubt)).sum()),
                )
            ),
            "these are the wrong ones refused and the right ones kept, which is no cost": (
                lambda scores, right, doubt: (
                    int((~right & (scores < doubt)).sum()),
                    int((right & (scores >= doubt)).sum()),
                )
            ),
        },
    ),
    "10.4": Exercise(
        lambda _run: 19,
        (),
        {
            "these are all that are not read; the locator missed some of them": lambda _run: 29,
            "these are the locator's: they were not found at all": lambda _run: 10,
            "these were found and read": lambda _run: 171,
        },
    ),
}
