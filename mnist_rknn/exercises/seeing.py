"""Exercises on the machine, on pictures, on the camera and on sets of one's own: 00, 01, 07, 09."""

import platform
import re
from typing import Any

import numpy as np

from ..checking import Exercise
from ..pipeline.environment import REQUIREMENTS, pinned_packages
from .changing import change

_PICTURE = np.array([[0, 1, 128], [254, 255, 127]], np.uint8)
_CLASSES = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5])
_TRAIN, _TEST = np.array([11, 12, 12, 12, 13, 14]), np.array([13, 15, 12, 13, 16, 17])
_KINDS = np.array(["thin", "small", "small", "thin", "shadow", "small"])
_RIGHT = np.array([True, False, True, True, False, True])
_DIGESTS = np.array(["a3", "77", "a3", "0c", "a3", "77", "e1"])
_PHOTO = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


def _hashes(package: str) -> int:
    """How many files of a package the lock allows."""
    text = REQUIREMENTS.read_text(encoding="utf-8")
    own = re.search(rf"^{re.escape(package)}==(?:.*\n)(?:    --hash.*\n)*", text, re.MULTILINE)
    return own[0].count("--hash") if own else 0


def _one_of(right: str, mistakes: dict[str, str]) -> Exercise:
    """A question with letters to choose from.

    Args:
        mistakes: what to say, and the letter that is told so.
    """
    return Exercise(
        lambda _run: right, (), {said: (lambda _run, x=x: x) for said, x in mistakes.items()}
    )


def _by_kind(kinds: np.ndarray, right: np.ndarray) -> list[float]:
    return [float(right[kinds == kind].mean()) for kind in np.unique(kinds)]


def _members(digests: np.ndarray) -> Any:
    _, counts = np.unique(digests, return_counts=True)
    return counts[counts > 1]


EXERCISES = {
    "00.1": Exercise(
        lambda _run: pinned_packages()["numpy"],
        (),
        {
            "that is the pin of onnx; look for the line that begins with numpy": (
                lambda _run: pinned_packages()["onnx"]
            ),
            "a version here has three parts, and the third counts too": (
                lambda _run: pinned_packages()["numpy"].rpartition(".")[0]
            ),
            "that is the version of Python; a package's stands behind its name and ==": (
                lambda _run: platform.python_version()
            ),
        },
    ),
    "00.2": Exercise(
        lambda _run: _hashes("numpy"),
        (),
        {
            "the line of the package itself is no hash": lambda _run: _hashes("numpy") + 1,
            "more than one file of this version may be installed, and each has its own hash": (
                lambda _run: 1
            ),
            "these are the hashes of the whole file; count those below numpy": (
                lambda _run: REQUIREMENTS.read_text(encoding="utf-8").count("--hash")
            ),
        },
    ),
    "00.3": change(
        "train.epochs=2",
        {
            "the section is missing: a key stands in one, as train.epochs": "epochs=2",
            "no blanks around the equals sign": "train.epochs = 2",
            "the key is epochs, with an s at its end": "train.epoch=2",
            "these are the epochs of the warm-up, in which the learning rate rises": (
                "train.warmup_epochs=2"
            ),
        },
    ),
    "00.4": Exercise(
        lambda _run: "jupyter kernel",
        (),
        {
            "this one says which Python asks; that is not always the one that runs the cells": (
                lambda _run: "python"
            ),
            "this one looks for folders of packages that come first, not for another Python": (
                lambda _run: "python path"
            ),
            "it fails too if that Python lacks packages; which check is about the Python itself?": (
                lambda _run: "packages"
            ),
        },
    ),
    "01.1": Exercise(
        lambda _run: 32,
        (),
        {
            "the NPU reads rows in steps of 16 pixels, and 28 is no multiple": lambda _run: 28,
            "16 is a multiple, but smaller than 28: columns would be lost": lambda _run: 16,
            "48 works, but it is not the smallest": lambda _run: 48,
        },
    ),
    "01.2": Exercise(
        lambda classes, count: np.bincount(classes, minlength=count),
        ((_CLASSES, 10), (_CLASSES[:4], 10), (_CLASSES[:4], 6)),
        {
            "the classes that have no picture are missing: each of them has 0": (
                lambda classes, count: np.bincount(classes)
            ),
            "only classes that occur are counted: class 0 has 0 pictures, and a place too": (
                lambda classes, count: np.unique(classes, return_counts=True)[1]
            ),
            "the order: a class has its own place, however many pictures it has": (
                lambda classes, count: np.sort(np.bincount(classes, minlength=count))
            ),
            "these are shares; numbers of pictures are asked for": (
                lambda classes, count: np.bincount(classes, minlength=count) / classes.size
            ),
        },
    ),
    "01.3": Exercise(
        lambda train, test: int(np.isin(test, train).sum()),
        ((_TRAIN, _TEST), (_TRAIN[:2], _TEST)),
        {
            "the other way round: these are training pictures that are in the test set": (
                lambda train, test: int(np.isin(train, test).sum())
            ),
            "a picture that stands in the test set twice counts twice": (
                lambda train, test: np.intersect1d(train, test).size
            ),
            "these are the ones that are not in both": (
                lambda train, test: int((~np.isin(test, train)).sum())
            ),
            "place by place: a copy may stand at any place of the other set": (
                lambda train, test: int(sum(a == b for a, b in zip(train, test, strict=False)))
            ),
        },
    ),
    "01.4": Exercise(
        lambda pixels, mean, std: (pixels.astype(float) - mean) / std,
        ((_PICTURE, 127.5, 127.5), (_PICTURE, 100.0, 50.0)),
        {
            "the order: first subtract the mean, then divide": (
                lambda pixels, mean, std: pixels / std - mean
            ),
            "the mean is missing: black would be 0": lambda pixels, mean, std: pixels / std,
            "the mean is added; it must be subtracted": (
                lambda pixels, mean, std: (pixels + mean) / std
            ),
            "mean and std are pixel values here, 0 to 255: do not divide pixels by 255": (
                lambda pixels, mean, std: (pixels / 255 - mean) / std
            ),
        },
    ),
    "07.1": change(
        "dataset.redraw=null",
        {
            "YAML's word for nothing is null; None is Python's": "dataset.redraw=None",
            "null switches it off; false is a value, and this key holds a section": (
                "dataset.redraw=false"
            ),
            "the section is missing: it is a key of dataset": "redraw=null",
            "this takes out the digits that are drawn from strokes; the others stay redrawn": (
                "dataset.redraw.drawn=0"
            ),
        },
    ),
    "07.2": Exercise(
        lambda picture: 255 - picture,
        ((_PICTURE,), (_PICTURE[:, ::-1],)),
        {
            "bytes wrap around: 0 - 1 is 255. White is 255, so count down from there": (
                lambda picture: (-picture.astype(int)) % 256
            ),
            "white is 255; 1 is white only where pixels are shares": (
                lambda picture: (1 - picture.astype(int)) % 256
            ),
            "the result is negative: a pixel is a byte, 0 to 255": (
                lambda picture: 1.0 - picture.astype(float)
            ),
            "this has two tones only; gray must become gray": (
                lambda picture: np.where(picture < 128, 255, 0)
            ),
        },
    ),
    "07.3": Exercise(
        _by_kind,
        ((_KINDS, _RIGHT), (_KINDS[:4], _RIGHT[:4])),
        {
            "these are numbers of right answers; divide each by how many there are of its kind": (
                lambda kinds, right: [int(right[kinds == kind].sum()) for kind in np.unique(kinds)]
            ),
            "divide by the pictures of that kind, not by all pictures": (
                lambda kinds, right: [
                    right[kinds == kind].sum() / kinds.size for kind in np.unique(kinds)
                ]
            ),
            "these are the wrong ones": (
                lambda kinds, right: [1 - share for share in _by_kind(kinds, right)]
            ),
            "one number for all kinds hides the bad one; give one for each": (
                lambda kinds, right: right.mean()
            ),
        },
    ),
    "07.4": _one_of(
        "d",
        {
            "it was trained on these: it may know them by heart": "a",
            "the same program drew these as drew the training pictures; it judges itself": "b",
            "another world, which is better; but it is still our own simulation": "c",
        },
    ),
    "09.1": change(
        "train.transforms=[{RandFlipImage: {flip_code: 1}}]",
        {
            "the section is missing: transforms is a key of train": (
                "transforms=[{RandFlipImage: {flip_code: 1}}]"
            ),
            "0 turns pictures upside down; 1 mirrors left and right": (
                "train.transforms=[{RandFlipImage: {flip_code: 0}}]"
            ),
            "a list is needed, as there may be several: put it into [ ]": (
                "train.transforms={RandFlipImage: {flip_code: 1}}"
            ),
        },
    ),
    "09.2": Exercise(
        lambda digests: len(digests) - len(set(digests.tolist())),
        ((_DIGESTS,), (_DIGESTS[:2],), (_DIGESTS[:5],)),
        {
            "these are the different pictures; how many are too many?": (
                lambda digests: len(set(digests.tolist()))
            ),
            "of each picture one is to stay: do not count the first": (
                lambda digests: int(_members(digests).sum())
            ),
            "this is how many pictures have copies; one may have several": (
                lambda digests: len(_members(digests))
            ),
        },
    ),
    "09.3": Exercise(
        lambda picture: np.rot90(picture, -1),
        ((_PHOTO,), (_PHOTO[:, :2],)),
        {
            "the other way: this turns it to the left": lambda picture: np.rot90(picture),
            "upside down: that is orientation 3": lambda picture: np.rot90(picture, 2),
            "mirrored: rows and columns are exchanged, and one of them must be reversed": (
                lambda picture: picture.swapaxes(0, 1)
            ),
            "this leaves it as the sensor saw it": lambda picture: picture,
        },
    ),
    "09.4": Exercise(
        lambda _run: 554,
        (),
        {
            "round up: with 553 the interval is a little wider than asked": lambda _run: 553,
            "the interval goes to both sides: half of it is 2.5 points": lambda _run: 139,
            "that is for a model with 95 %; one with 90 % has the wider interval": lambda _run: 292,
            "the square is missing: four times the pictures make it half as wide": lambda _run: 24,
        },
    ),
}
