"""What a lesson shows beside what was measured: drawings that explain an idea, and folded text.

Every drawing is a matplotlib figure, made from the numbers it is given.
"""

import html
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from .language import _
from .plots import BLUE, GRAY, GREEN, RED, finished


class Folded:
    """Text under a heading that opens it; where there is no HTML, the text is just printed."""

    def __init__(self, heading: str, text: str):
        self.heading, self.text = heading, text

    def _repr_html_(self) -> str:
        heading, text = html.escape(self.heading), html.escape(self.text)
        return f"<details><summary>{heading}</summary><pre>{text}</pre></details>"

    def __repr__(self) -> str:
        return f"{self.heading}\n{self.text}"


def network_blocks(parts: Sequence[tuple[str, tuple[int, ...]]]) -> Figure:
    """A network as boxes: as large as the picture is by then, as deep as there are channels.

    Args:
        parts: what each does, and channels, height and width of what it hands on; from the picture
            to the answer.
    """
    figure, axis = plt.subplots(figsize=(9, 2.9))
    largest, left = max(height for _, (_, height, _) in parts), 0.0
    colors = {"picture": GRAY, "answer": RED}
    for number, (does, (channels, height, width)) in enumerate(parts):
        side, depth = 0.3 + 2.2 * height / largest, 0.06 + 0.6 * channels / 64
        color = colors.get(does, GREEN if does.startswith("maximum") else BLUE)
        _box(axis, left, side, depth, color)
        middle = left + (side + depth) / 2
        axis.text(middle, -0.15, does, ha="center", va="top", fontsize=8)
        size = f"{channels} x {height} x {width}"
        axis.text(middle, side + depth + 0.1, size, ha="center", va="bottom", fontsize=8)
        left += side + depth + 0.15
        if number < len(parts) - 1:
            arrow = {"arrowstyle": "-|>", "color": GRAY}
            axis.annotate("", (left + 0.75, 0.15), (left, 0.15), arrowprops=arrow)
        left += 0.9
    axis.set(xlim=(-0.4, left - 0.5), ylim=(-0.9, 3.2), aspect="equal")
    axis.set_title(_("channels x rows x columns of what each part hands on"), fontsize=10)
    axis.axis("off")
    return finished(figure)


def _box(axis: Axes, left: float, side: float, depth: float, color: str) -> None:
    """A cuboid seen from the front, its depth drawn to the upper right."""
    front = Rectangle((left, 0), side, side)
    right, top = left + side, side
    upper = [(left, top), (left + depth, top + depth), (right + depth, top + depth), (right, top)]
    beside = [(right, 0), (right + depth, depth), (right + depth, top + depth), (right, top)]
    for patch, alpha in ((front, 1.0), (Polygon(upper), 0.7), (Polygon(beside), 0.5)):
        patch.set(facecolor=color, edgecolor="white", alpha=alpha)
        axis.add_patch(patch)


def layer_steps(maps: dict[str, np.ndarray]) -> Figure:
    """What a layer does with a picture, step by step; red is positive, blue negative.

    Args:
        maps: by title, float [H, W]; the first is the picture itself, in gray.
    """
    figure, axes = plt.subplots(1, len(maps), figsize=(1.75 * len(maps), 2.1))
    for number, (axis, (title, values)) in enumerate(zip(axes, maps.items(), strict=True)):
        reach = float(np.abs(values).max()) or 1.0
        axis.imshow(values, cmap="RdBu_r" if number else "gray", vmin=-reach, vmax=reach)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(
            _("{min:.1f} to {max:.1f}").format(min=values.min(), max=values.max()), fontsize=8
        )
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return finished(figure)


def number_line(low: float, high: float, values: Sequence[float]) -> Figure:
    """How float values become INT8 numbers when a range is given.

    Args:
        low, high: the float values of the INT8 numbers -128 and 127.
        values: examples; those outside the range are clipped.
    """
    scale = (high - low) / 255
    zero_point = round(-128 - low / scale)
    figure, axis = plt.subplots(figsize=(8.5, 2.8))
    reach = max(map(abs, (low, high, *values))) * 1.15
    places = {number: low + scale * (number + 128) for number in (-128, -64, 0, 64, 127)}
    for height, text in ((1, "float"), (0, "INT8")):
        axis.plot((-reach, reach), (height, height), color=GRAY, lw=1)
        axis.text(-reach, height + 0.07, text, color=GRAY, fontsize=9)
    axis.axvspan(low, high, color=GREEN, alpha=0.12)
    for number, place in places.items():
        axis.plot(place, 0, "|", color="black", ms=9)
        axis.text(place, -0.14, f"{number}", ha="center", va="top", fontsize=8)
    for value in values:
        number = int(np.clip(np.rint(value / scale) + zero_point, -128, 127))
        inside = low <= value <= high
        color = BLUE if inside else RED
        end = low + scale * (number + 128)
        arrow = {"arrowstyle": "-|>", "color": color, "lw": 1}
        axis.annotate("", (end, 0.03), (value, 0.97), arrowprops=arrow)
        text = f"{value:g}" if inside else _("{value:g}\nclipped").format(value=value)
        axis.text(value, 1.06, text, ha="center", va="bottom", fontsize=9, color=color)
        axis.text(end, 0.06, f" {number}", ha="left", va="bottom", fontsize=8, color=color)
    axis.set(
        ylim=(-0.35, 1.55), xlim=(-reach, reach),
        title=_("range {low:g} to {high:g}: scale (one step) {scale:.5f}, zero point "
"{zero_point}").format(low=low, high=high, scale=scale, zero_point=zero_point),
    )  # fmt: skip
    axis.axis("off")
    return finished(figure)


def softmax_twice(logits: np.ndarray, labels: Sequence[str]) -> Figure:
    """The logits of one picture, their Softmax, and the Softmax of that.

    Args:
        logits: float [C].
        labels: names of the classes.
    """
    once = softmax(logits)
    figure, axes = plt.subplots(1, 3, figsize=(8.5, 2.3))
    rows = (
        ("logits", logits, BLUE),
        ("Softmax", once, GREEN),
        ("Softmax twice", softmax(once), RED),
    )
    for axis, (title, values, color) in zip(axes, rows, strict=True):
        axis.bar(range(len(labels)), values, color=color)
        best = int(np.argmax(values))
        axis.set_title(
            _("{title}: {labels} has {values:.2f}").format(
                title=title, labels=labels[best], values=values[best]
            ),
            fontsize=10,
        )
        axis.set_xticks(range(len(labels)), labels, fontsize=8)
        axis.axhline(0, color=GRAY, lw=0.5)
        if title != "logits":
            axis.set_ylim(0, 1)
    return finished(figure)


def softmax(values: np.ndarray) -> np.ndarray:
    """Softmax of a vector, float64 [C]."""
    powers = np.exp(np.asarray(values, np.float64) - np.max(values))
    return powers / powers.sum()
