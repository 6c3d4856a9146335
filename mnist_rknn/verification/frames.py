"""Whole camera frames: are their digits found, and read."""

import hashlib
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd

from ..files import PROJECT
from ..recipe import Image
from ..records import Doubt, FrameGroup, Ratio
from .frame_folders import ALL, Box, Frame
from .metrics import probabilities, resampled, wilson

Predict = Callable[[np.ndarray], np.ndarray]
"""Logits [N, C] of uint8 [N, H, W, 3] in the network's size and colour order."""

IOU = 0.5  # overlap from which a digit counts as found
LEAST_ASPECT = 0.4  # a narrower box counts as this part of its height wide
DOUBTS = (0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)  # scores below which a digit is in doubt


@dataclass(frozen=True)
class Answer:
    """What was read in a frame, in reading order."""

    digits: str
    boxes: tuple[Box, ...]
    scores: tuple[float, ...]  # of each digit, 0-1
    more: int = 0  # digits that were found and not read

    @property
    def text(self) -> str:
        """The digits, and what was left out."""
        return f"{self.digits} and {self.more} more" if self.more else self.digits


# --- reading --------------------------------------------------------------------------


def deployed_reader() -> Any:
    """The module `reading` of the Python program for the board: it needs numpy alone."""
    folder = str(PROJECT / "deploy" / "python")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module("reading")


def as_input(crop: np.ndarray, image: Image) -> np.ndarray:
    """A BGR crop in the size and the colour order of the network, uint8 [H, W, 3]."""
    smaller = crop.shape[0] > image.height or crop.shape[1] > image.width
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(crop, (image.width, image.height), interpolation=method)
    return resized if image.color_order == "bgr" else np.ascontiguousarray(resized[..., ::-1])


def readings(pages: Sequence[Any], predict: Predict, image: Image, doubt: float = 0.0) -> list:
    """What the program on the module reads of frames, with all crops of a round at once.

    The program asks the classifier for one crop after the other, and what it asks depends on the
    answers. So the frames are read with the answers there are; what they asked beyond is answered
    in one call, and they are read anew, until nothing more is asked.

    Args:
        pages: of `deploy/python/locator.py`.
        doubt: as the program's own.

    Returns:
        For each page a `Reading` of `deploy/python/reading.py`.
    """
    program = deployed_reader()
    known: dict[bytes, tuple[int, float]] = {}
    while True:
        asked: dict[bytes, np.ndarray] = {}

        def classify(crop: np.ndarray, asked: dict = asked) -> tuple[int, float]:
            key = hashlib.blake2b(crop.tobytes(), digest_size=16).digest()
            if key not in known:
                asked[key] = as_input(crop, image)
            return known.get(key, (0, 1.0))  # so sure that nothing is asked because of it

        found = [program.read_page(page, classify, doubt) for page in pages]
        if not asked:
            return found
        chances = probabilities(predict(np.stack(list(asked.values()))))
        best = chances.argmax(axis=1)
        scores = chances.max(axis=1)
        known.update(
            (key, (int(label), float(score)))
            for key, label, score in zip(asked, best, scores, strict=True)
        )


def answers(
    pictures: Sequence[np.ndarray], predict: Sequence[Predict], image: Image, labels: str
) -> list[list[Answer]]:
    """What the program on the module would say of each frame, with each of several models.

    Args:
        pictures: uint8 [H, W, 3], BGR.
        predict: a function a model.
        labels: a character a class.
    """
    pages = [deployed_reader().Page(picture) for picture in pictures]
    return [
        [
            Answer(
                "".join(labels[digit.label] for digit in read.digits),
                tuple(digit.box for digit in read.digits),
                tuple(digit.score for digit in read.digits),
                read.more,
            )
            for read in readings(pages, model, image)
        ]
        for model in predict
    ]


# --- figures --------------------------------------------------------------------------


def overlap(a: Box, b: Box) -> float:
    """Intersection over union; a box narrower than 0.4 of its height counts as that wide."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = (_widened(box) for box in (a, b))
    across = max(0.0, min(ax + aw, bx + bw) - max(ax, bx))
    along = max(0.0, min(ay + ah, by + bh) - max(ay, by))
    shared = across * along
    return shared / (aw * ah + bw * bh - shared)


def _widened(box: Box) -> tuple[float, float, float, float]:
    x, y, width, height = box
    wide = max(width, LEAST_ASPECT * height)
    return x - (wide - width) / 2, y, wide, height


def matches(true: Sequence[Box], found: Sequence[Box]) -> list[tuple[int, int]]:
    """Pairs (true, found) that overlap by `IOU`, each box in one pair at most, best first."""
    pairs = sorted(
        (
            (-share, i, j)
            for i, a in enumerate(true)
            for j, b in enumerate(found)
            if (share := overlap(a, b)) >= IOU
        ),
    )
    taken: list[tuple[int, int]] = []
    for _, i, j in pairs:
        if all(i != one and j != other for one, other in taken):
            taken.append((i, j))
    return sorted(taken)


def rightly_read(frame: Frame, answer: Answer) -> list[bool]:
    """Of every digit that was read, whether it stands there; `frame` has boxes."""
    met = {found: true for true, found in matches(frame.boxes or (), answer.boxes)}
    return [
        number in met and frame.digits[met[number]] == digit
        for number, digit in enumerate(answer.digits)
    ]


def edit_distance(a: str, b: str) -> int:
    """Insertions, deletions and replacements that make `b` of `a` (V. Levenshtein, 1966)."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


def figures(frames: Sequence[Frame], found: Sequence[Answer]) -> dict[str, FrameGroup]:
    """Figures by group, the last one of all frames."""
    pairs = list(zip(frames, found, strict=True))
    groups = sorted({frame.group for frame in frames} - {ALL})
    return {
        name: _figures([pair for pair in pairs if name in (ALL, pair[0].group)])
        for name in [*groups, ALL]
    }


def _figures(chosen: Sequence[tuple[Frame, Answer]]) -> FrameGroup:
    right = sum(frame.digits == answer.digits and not answer.more for frame, answer in chosen)
    low, high = wilson(right, len(chosen))
    counts = [len(frame.digits) for frame, _ in chosen]
    boxed = [(frame, answer) for frame, answer in chosen if frame.boxes is not None]
    met = [len(matches(frame.boxes or (), answer.boxes)) for frame, answer in boxed]
    true = [len(frame.digits) for frame, _ in boxed]
    return FrameGroup(
        frames=len(chosen),
        digits=sum(counts),
        right=Ratio(share=right / len(chosen), low=low, high=high, count=right, of=len(chosen)),
        edits=_ratio([edit_distance(a.digits, f.digits) for f, a in chosen], counts),
        recall=_ratio(met, true),
        precision=_ratio(met, [len(answer.boxes) for _, answer in boxed]),
        read=_ratio([sum(rightly_read(*pair)) for pair in boxed], true),
    )


def _ratio(counts: Sequence[int], of: Sequence[int]) -> Ratio | None:
    """Of all frames together, with an interval by resampling them; None if there is nothing."""
    count, total = sum(counts), sum(of)
    if not total:
        return None
    low, high = resampled(counts, of)
    return Ratio(share=count / total, low=low, high=high, count=count, of=total)


def doubts(frames: Sequence[Frame], found: Sequence[Answer]) -> list[Doubt]:
    """What `--doubt` would do with the digits that were read, where boxes are known."""
    pairs = [pair for pair in zip(frames, found, strict=True) if pair[0].boxes is not None]
    right = np.array([flag for pair in pairs for flag in rightly_read(*pair)], bool)
    scores = np.array([score for _, answer in pairs for score in answer.scores])
    return [trade_off(right, scores, threshold) for threshold in DOUBTS] if len(right) else []


def trade_off(right: np.ndarray, scores: np.ndarray, threshold: float) -> Doubt:
    """What is refused where digits of a lower score are.

    Args:
        right: bool [N], whether each digit was read rightly.
        scores: float [N], 0-1.
    """
    kept = scores >= threshold
    return Doubt(
        threshold=threshold,
        wrong=int((~right).sum()),
        wrong_kept=int((~right & kept).sum()),
        right=int(right.sum()),
        right_refused=int((right & ~kept).sum()),
    )


def table(groups: dict[str, FrameGroup]) -> pd.DataFrame:
    """The figures for people, a line a group."""

    def percent(ratio: Ratio | None) -> str:
        if ratio is None:
            return "-"
        return f"{100 * ratio.share:.1f} [{100 * ratio.low:.1f}, {100 * ratio.high:.1f}]"

    def edits(ratio: Ratio | None) -> str:
        return f"{ratio.share:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio else "-"

    return pd.DataFrame(
        {
            name: {
                "frames": row.frames,
                "digits": row.digits,
                "found %": percent(row.recall),
                "precision %": percent(row.precision),
                "found and read %": percent(row.read),
                "edits a digit": edits(row.edits),
                "frames right %": percent(row.right),
            }
            for name, row in groups.items()
        }
    ).T
