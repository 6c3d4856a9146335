"""The pictures of the lab's notebooks. Every function returns a matplotlib figure."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..plots import BLUE, GRAY, GREEN, ORANGE, finished
from ..records import Accuracy


def codebook(values: np.ndarray, shared: np.ndarray, title: str) -> Figure:
    """A layer's weights as a histogram, with the values that they are to take as lines.

    Args:
        values: float, of any shape.
        shared: the codebook, [K].
    """
    figure, axis = plt.subplots(figsize=(8, 2.6))
    axis.hist(values.ravel(), bins=200, color=BLUE, alpha=0.7)
    for value in shared:
        axis.axvline(value, color=ORANGE, lw=0.8)
    axis.set(yscale="log", xlabel="weight", ylabel="how many", title=title)
    axis.text(
        0.99, 0.95, f"orange: the {len(shared)} values of the codebook", ha="right", va="top",
        transform=axis.transAxes, fontsize=8,
    )  # fmt: skip
    return finished(figure)


def staircase(x: np.ndarray, forward: np.ndarray, backward: np.ndarray, title: str) -> Figure:
    """What fake quantization makes of numbers, and the gradient that it lets through.

    Args:
        x: [N], ascending.
        forward, backward: [N], what comes out, and the gradient that reaches `x`.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.8))
    axes[0].plot(x, x, color=GRAY, lw=1, ls="--", label="float")
    axes[0].step(x, forward, color=ORANGE, where="mid", label="fake-quantized")
    axes[0].set(title=title, xlabel="number", ylabel="what becomes of it")
    axes[0].legend(fontsize=8)
    slope = np.zeros_like(x)
    axes[1].plot(x, slope, color=GRAY, lw=1, ls="--", label="slope of the staircase")
    axes[1].plot(x, backward, color=ORANGE, label="straight through")
    axes[1].set(title="the gradient", xlabel="number", ylim=(-0.1, 1.2))
    axes[1].legend(fontsize=8, loc="center")
    plt.close(figure)  # or a notebook would show it twice
    return figure


def logit_steps(picture: np.ndarray, named: str, logits: np.ndarray, whole: np.ndarray,
                scale: float, labels: Sequence[str]) -> Figure:  # fmt: skip
    """The float logits of a picture, and what INT8 numbers make of them.

    Args:
        picture: uint8 [H, W, 3].
        named: its label.
        logits: float [classes].
        whole: [classes], the INT8 answer as real numbers.
        scale: one step of it.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 2.8), width_ratios=(1, 3))
    left.imshow(picture)
    left.set(xticks=[], yticks=[], title=f"label {named}")
    places = np.arange(len(labels))
    right.bar(places, logits, 0.7, color=GRAY, alpha=0.6, label="float")
    right.plot(places, whole, "o", color=ORANGE, label=f"whole numbers, in steps of {scale:.3f}")
    right.set(xticks=places, xticklabels=labels, xlabel="class", ylabel="logit")
    right.legend(fontsize=8)
    return finished(figure)


def sparsity_curves(
    curves: dict[str, dict[float, list[Accuracy]]], at: float | None = None
) -> Figure:
    """Accuracy against the share of weights removed, with the 95 % intervals of all seeds.

    Args:
        curves: by name; for each share an accuracy for each seed.
        at: share to mark.
    """
    figure, axis = plt.subplots(figsize=(8, 3))
    for (name, curve), color in zip(curves.items(), (BLUE, ORANGE, GREEN), strict=False):
        _with_intervals(axis, {100 * share: cell for share, cell in curve.items()}, color, name)
    if at is not None:
        axis.axvline(100 * at, color=GRAY, ls="--", lw=1)
    axis.set(xlabel="weights removed, %", ylabel="top-1 of validation pictures, %", xlim=(0, 100))
    axis.legend(loc="lower left")
    axis.grid(axis="y", alpha=0.3)
    return finished(figure)


def _with_intervals(axis: Axes, curve: dict[float, list[Accuracy]], color: str, name: str) -> None:
    """Draw a curve of means over seeds, in percent, with their 95 % intervals."""
    places = sorted(curve)
    cells = [curve[place] for place in places]
    means = [100 * float(np.mean([seed.top1 for seed in cell])) for cell in cells]
    axis.plot(places, means, "o-", color=color, ms=4, label=name)
    low = [100 * min(seed.low for seed in cell) for cell in cells]
    high = [100 * max(seed.high for seed in cell) for cell in cells]
    axis.fill_between(places, low, high, color=color, alpha=0.15, lw=0)


def soft_answers(
    images: np.ndarray, named: Sequence[str], answers: dict[str, np.ndarray], labels: Sequence[str]
) -> Figure:
    """Pictures, each with bars of what is answered about it.

    Args:
        images: uint8 [N, H, W, 3].
        named: the label of each.
        answers: by name, shares [N, classes], at most three.
        labels: of the classes.
    """
    figure, axes = plt.subplots(
        2, len(images), figsize=(8.5, 3.6), squeeze=False, height_ratios=(1, 1.3), sharey="row"
    )
    places, width = np.arange(len(labels)), 0.8 / len(answers)
    for number, (picture, bars) in enumerate(axes.T):
        picture.imshow(images[number])
        picture.set(xticks=[], yticks=[], title=f"label {named[number]}")
        for turn, (name, shares) in enumerate(answers.items()):
            middle = places + (turn - (len(answers) - 1) / 2) * width
            color = (GRAY, ORANGE, BLUE)[turn]
            bars.bar(middle, shares[number], width, color=color, label=name)
        bars.set(xticks=places, xticklabels=labels)
    axes[1, 0].set(ylabel="share of the answer", ylim=(0, 1))
    axes[1, 0].legend(loc="upper left", fontsize=7)
    return finished(figure)


def knob_curves(knobs: dict[str, dict[float, list[Accuracy]]], without: list[Accuracy]) -> Figure:
    """Accuracy against each of some settings, beside that of the network without any of them.

    Args:
        knobs: by name of the setting; for each value an accuracy for each seed.
        without: an accuracy for each seed.
    """
    figure, axes = plt.subplots(1, len(knobs), figsize=(8.5, 2.8), sharey=True, squeeze=False)
    low, high = (100 * end(getattr(seed, name) for seed in without) for end, name in
                 ((min, "low"), (max, "high")))  # fmt: skip
    for axis, (name, curve) in zip(axes.flat, knobs.items(), strict=True):
        axis.axhspan(low, high, color=GRAY, alpha=0.2, lw=0)
        mean = 100 * float(np.mean([seed.top1 for seed in without]))
        axis.axhline(mean, color=GRAY, ls="--", label="alone")
        _with_intervals(axis, curve, ORANGE, "distilled")
        axis.set(xlabel=name)
        axis.grid(axis="y", alpha=0.3)
    axes[0, 0].set(ylabel="top-1 of validation pictures, %")
    axes[0, 0].legend(fontsize=8)
    return finished(figure)


def work_and_cycles(networks: dict[str, tuple[int, int]]) -> Figure:
    """Cycles (compiler estimate) against multiply-accumulates, both logarithmic.

    Args:
        networks: MACs and cycles by name; the line has as many cycles a MAC as the first of them.
    """
    figure, axis = plt.subplots(figsize=(8.5, 4))
    macs, cycles = np.array(list(networks.values()), float).T
    ends = np.array([macs.min() / 1.5, macs.max() * 1.5])
    axis.plot(ends, ends * cycles[0] / macs[0], "--", color=GRAY, lw=1)
    axis.plot(macs, cycles, "o", color=ORANGE)
    for name, x, y in zip(networks, macs, cycles, strict=True):
        axis.annotate(name, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8)
    axis.set(
        xscale="log", yscale="log", xlabel="multiply-accumulates for one picture",
        ylabel="NPU cycles (compiler estimate)", title="dashed: as many cycles a MAC as the first",
    )  # fmt: skip
    axis.grid(alpha=0.3)
    return finished(figure)


def proxy_and_full(
    cycles: Sequence[int], proxy: Sequence[float], full: Sequence[float], budget: int
) -> Figure:
    """What a search has seen, and what its ranking is worth.

    Args:
        cycles, proxy: of every network that kept the budget; proxy from 0 to 1.
        full: of the longer training, NaN where there was none.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3))
    shares, longer = 100 * np.asarray(proxy), 100 * np.asarray(full)
    left.plot(cycles, shares, "o", color=BLUE)
    left.axvline(budget, color=GRAY, ls="--", lw=1)
    left.set(xlabel="cycles (compiler estimate); dashed: budget", ylabel="short training, top-1 %")
    right.plot(shares, longer, "o", color=ORANGE)
    right.set(xlabel="short training, top-1 %", ylabel="longer training, top-1 %")
    return finished(figure)


def channel_scores(measures: dict[str, Sequence[np.ndarray]], layers: int = 4) -> Figure:
    """What each channel is worth, the best first, as a share of the layer's best.

    Args:
        measures: for each measure, scores [channels] of every layer.
        layers: show the first so many.
    """
    count = min(layers, min(map(len, measures.values())))
    figure, axes = plt.subplots(1, count, figsize=(8.5, 2.4), sharey=True, squeeze=False)
    for number, axis in enumerate(axes.flat):
        for (name, scores), color in zip(measures.items(), (GRAY, ORANGE), strict=False):
            ordered = np.sort(scores[number])[::-1]
            axis.plot(ordered / max(ordered[0], 1e-30), color=color, label=name)
        axis.set(title=f"convolution {number}", xlabel="channel, best first")
    axes[0, 0].legend(fontsize=8)
    axes[0, 0].set(ylabel="share of the best")
    return finished(figure)


def width_steps(cycles: dict[int, int], group: int) -> Figure:
    """Cycles (compiler estimate) against channels, multiples of `group` marked."""
    figure, axis = plt.subplots(figsize=(8, 2.8))
    counts = sorted(cycles)
    axis.plot(counts, [cycles[count] for count in counts], "o-", color=GRAY, ms=4)
    even = [count for count in counts if count % group == 0]
    axis.plot(even, [cycles[count] for count in even], "o", color=ORANGE, ms=8)
    axis.set(
        xlabel=f"channels of every convolution; orange: multiples of {group}",
        ylabel="cycles (compiler estimate)",
        xticks=counts,
        ylim=(0, None),
    )
    return finished(figure)
