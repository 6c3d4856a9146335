"""Pictures of whole frames, for notebook 10 and for what `evaluate --frames` draws."""

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ..language import _
from ..plots import BLUE, GRAY, GREEN, ORANGE, RED, finished
from ..records import Doubt


def frame_row(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int = 0) -> Figure:
    """Camera frames beside each other, each as large as the page allows.

    Args:
        pictures: uint8 [H, W] gray, or [H, W, 3] in BGR order, of any size.
        columns: 0 is one row.
    """
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    aspects = [picture.shape[0] / picture.shape[1] for picture in pictures]
    tall = [
        min(0.35 + max(aspects[row * columns : (row + 1) * columns]) * 9 / columns, 5.2)
        for row in range(rows)
    ]
    figure, axes = plt.subplots(
        rows, columns, figsize=(9, sum(tall)), squeeze=False, height_ratios=tall
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, caption in zip(axes.flat, pictures, captions, strict=False):
        step = max(1, picture.shape[1] * columns // 1000)  # more would only swell the notebook
        shown = picture[::step, ::step]
        shown = shown if shown.ndim == 2 else shown[..., ::-1]
        axis.imshow(shown, cmap="gray", vmin=0, vmax=255)
        axis.set_title(textwrap.shorten(caption, 100 // columns, placeholder="…"), fontsize=9)
    return finished(figure)


def inked(ink: np.ndarray) -> np.ndarray:
    """Ink, uint8 [H, W], dark on white, at twice its strength so that one can see it."""
    return np.clip(255 - 2 * ink.astype(np.int32), 0, 255).astype(np.uint8)


def pieces(names: np.ndarray) -> np.ndarray:
    """Pieces of ink in colours, uint8 [H, W, 3], BGR.

    Args:
        names: integer [H, W]: from 1 the number of the pixel's piece, 0 for paper, -1 for ink
            that is no piece's.
    """
    cycle = [_bgr(color) for color in (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9", "#000000")]
    colors = np.array([_bgr("#FFFFFF"), *cycle, _bgr("#D0D0D0")], np.uint8)
    order = np.unique(names[names > 0])
    place = np.searchsorted(order, names) % len(cycle) + 1
    return colors[np.where(names > 0, place, np.where(names < 0, -1, 0))]


def _bgr(color: str) -> tuple[int, ...]:
    return tuple(int(color[at : at + 2], 16) for at in (5, 3, 1))


def boxed(
    picture: np.ndarray,
    boxes: Sequence[Sequence[int]],
    texts: Sequence[str] = (),
    right: Sequence[bool] = (),
    true: Sequence[Sequence[int]] = (),
    widths: tuple[int, int] = (480, 960),
) -> np.ndarray:
    """A copy of a frame with boxes: in green what was found and in red what is wrong of it, thin
    and in blue where the digits are.

    Args:
        picture: uint8 [H, W, 3], BGR.
        boxes, true: x, y, width, height, in pixels of the frame.
        texts: written beside each box.
        right: of each box; all are, if it is empty.
        widths: the copy is at least, and at most, so many pixels wide.
    """
    least, most = widths
    factor = min(max(1.0, least / picture.shape[1]), most / picture.shape[1])
    size = [max(1, round(side * factor)) for side in picture.shape[1::-1]]
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    drawn = cv2.resize(picture, size, interpolation=way)
    for x, y, w, h in (_scaled(box, factor) for box in true):
        cv2.rectangle(drawn, (x - 3, y - 3), (x + w + 3, y + h + 3), _bgr(BLUE), 1)
    for box, text, good in zip_longest(boxes, texts[: len(boxes)], right[: len(boxes)]):
        x, y, w, h = _scaled(box, factor)
        color = _bgr(RED if good is False else GREEN)
        cv2.rectangle(drawn, (x, y), (x + w, y + h), color, 2)
        cv2.putText(drawn, text or "", (x, max(18, y - 6)), cv2.FONT_HERSHEY_SIMPLEX, 0.7, color,
                    2, cv2.LINE_AA)  # fmt: skip
    return drawn


def _scaled(box: Sequence[int], factor: float) -> list[int]:
    return [round(side * factor) for side in box]


def doubt(rows: Sequence[Doubt], chosen: float) -> Figure:
    """What a threshold of the score keeps of the wrong answers, and refuses of the right ones.

    Args:
        rows: by rising threshold.
        chosen: the programs' own threshold.
    """
    figure, axis = plt.subplots(figsize=(7, 3))
    thresholds = [row.threshold for row in rows]
    kept = [100 * row.wrong_kept / max(1, row.wrong) for row in rows]
    refused = [100 * row.right_refused / max(1, row.right) for row in rows]
    for values, color, style, label in (
        (kept, RED, "-", f"wrong answers that are kept, % of {rows[0].wrong}"),
        (refused, BLUE, "--", f"right answers that are refused, % of {rows[0].right}"),
    ):
        axis.plot(thresholds, values, color=color, ls=style, label=label)
    axis.axvline(chosen, color=GRAY, lw=1)
    axis.annotate(f"--doubt: {chosen}", (chosen, 97), (-6, 0), textcoords="offset points",
                  ha="right", fontsize=8, color=GRAY)  # fmt: skip
    axis.set(xlabel=_("threshold of the score"), xlim=(0, 1), ylim=(0, 104))
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.25), ncols=2, fontsize=8)
    return finished(figure)
