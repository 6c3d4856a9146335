"""The pictures of the notebooks. Every function returns a matplotlib figure.

Colours are from the palette of Okabe and Ito, which people with any colour vision can tell
apart.
"""

import textwrap
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import onnx
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import (
    EngFormatter,
    LogFormatter,
    LogFormatterMathtext,
    LogLocator,
    NullLocator,
)

from .language import _
from .records import Layer, LayerError, Stages

BLUE, ORANGE, GREEN, RED, GRAY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"


def use_style() -> None:
    """Settings for all figures: small files, quiet axes, and a font that has Chinese characters."""
    from matplotlib import font_manager

    from . import fonts

    plt.rcParams.update(
        {
            "figure.dpi": 90,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.axisbelow": True,
            "axes.unicode_minus": False,
            "legend.frameon": False,
            "text.parse_math": False,  # a class may be called $5
            "figure.constrained_layout.use": True,
        }
    )
    font = str(fonts.cjk_font())
    if font not in {known.fname for known in font_manager.fontManager.ttflist}:
        font_manager.fontManager.addfont(font)
    family = font_manager.FontProperties(fname=font).get_name()
    plt.rcParams["font.family"] = ["DejaVu Sans", family]  # the first that has a glyph


def finished(figure: Figure) -> Figure:
    """Take a figure off pyplot's list, so that a notebook shows it once, as a cell's value."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_formatter(), LogFormatterMathtext):  # nobody reads its TeX
            axis.set_major_formatter(LogFormatter())
            axis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
    plt.close(figure)
    return figure


def image_grid(
    images: np.ndarray, titles: Sequence[str], columns: int = 10, title: str = ""
) -> Figure:
    """Pictures in rows with a caption each.

    Args:
        images: uint8 [N, H, W, 3] in RGB order, or [N, H, W] gray.
    """
    rows = max(1, -(-len(images) // columns))
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * 0.95, rows * 1.15 + 0.3), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, caption in zip(axes.flat, images, titles, strict=False):
        if image is None:
            continue
        step = max(1, max(image.shape[:2]) // 160)  # a photograph would only swell the notebook
        axis.imshow(image[::step, ::step], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(textwrap.shorten(caption, 24, placeholder="…"), fontsize=8)
    figure.suptitle(title)
    return finished(figure)


def misread(
    images: np.ndarray, classes: np.ndarray, answers: np.ndarray, labels: Sequence[str]
) -> Figure | str:
    """The first thirty pictures with a wrong answer, "true class → answer" above each.

    Args:
        images: uint8 [N, H, W, 3] in RGB order.
        classes: true classes, integer [N].
        answers: integer [N].
        labels: names of the classes.

    Returns:
        A sentence where there are none.
    """
    wrong = np.flatnonzero(answers != classes)[:30]
    if not len(wrong):
        return _("none is misread")
    captions = [f"{labels[classes[i]]} → {labels[answers[i]]}" for i in wrong]
    return image_grid(images[wrong], captions)


def rows(groups: dict[str, Sequence[np.ndarray]]) -> Figure:
    """Pictures of several kinds, a row a kind, with its name in front.

    Args:
        groups: by name, uint8 [H, W, 3] each.
    """
    columns = max(map(len, groups.values()))
    figure, axes = plt.subplots(
        len(groups), columns, figsize=(columns * 0.95 + 1, len(groups)), squeeze=False
    )
    for line, (name, images) in zip(axes, groups.items(), strict=True):
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        for axis in line:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return finished(figure)


def filter_grid(filters: np.ndarray, title: str) -> Figure:
    """Filters of a convolution, the darkest blue the most negative weight, red the most positive.

    Args:
        filters: float [N, size, size].
    """
    columns = min(12, len(filters))
    rows = -(-len(filters) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * 0.75, rows * 0.8 + 0.4), squeeze=False
    )
    reach = np.abs(filters).max()
    for axis in axes.flat:
        axis.axis("off")
    for axis, weights in zip(axes.flat, filters, strict=False):
        axis.imshow(weights, cmap="RdBu_r", vmin=-reach, vmax=reach)
    figure.suptitle(title, fontsize=11)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, hspace=0.15, wspace=0.15)
    return finished(figure)


def class_balance(classes: dict[str, np.ndarray], labels: Sequence[str]) -> Figure:
    """Images of each class in each split.

    Args:
        classes: for each split its name and the class of every image, integer [N].
    """
    figure, axis = plt.subplots(figsize=(max(7, 0.2 * len(labels)), 2.6))
    width = 0.8 / len(classes)
    for position, (name, values) in enumerate(classes.items()):
        counts = np.bincount(values, minlength=len(labels))
        places = np.arange(len(labels)) + (position - (len(classes) - 1) / 2) * width
        color = (BLUE, ORANGE, GREEN)[position % 3]
        axis.bar(places, counts, width, label=f"{name} ({len(values):,})", color=color)
    axis.set(xticks=range(len(labels)), ylabel=_("images"), title=_("Images of each class"))
    upright = sum(map(len, labels)) > 60
    axis.set_xticklabels(labels, rotation=90 if upright else 0)
    axis.legend(ncols=len(classes), loc="upper left", bbox_to_anchor=(0, 1.3), fontsize=8)
    return finished(figure)


def learning_curves(history: dict[str, list[float]]) -> Figure:
    """Loss, accuracy and learning rate of a training, as `engine.read_history` returns them."""
    figure, (left, right, rate) = plt.subplots(1, 3, figsize=(10, 2.8))
    epochs = history["epoch"]
    for axis, kind, label in (
        (left, "loss", _("cross-entropy loss")),
        (right, "top1", _("top-1 accuracy, %")),
    ):
        for split, color in (("train", BLUE), ("val", ORANGE)):
            values = np.array(history[f"{split}_{kind}"]) * (100 if kind == "top1" else 1)
            axis.plot(
                epochs,
                values,
                "o-",
                color=color,
                markersize=4,
                label={"train": _("train"), "val": _("val")}[split],
            )
        axis.set(xlabel=_("epoch"), title=label, xticks=epochs[:: max(1, len(epochs) // 10)])
    left.legend()
    rate.plot(history["lr_epoch"], history["lr"], color=GREEN)
    rate.set(xlabel=_("epochs gone by"), title=_("learning rate"), ylim=(0, None))
    return finished(figure)


def operator_bars(before: dict[str, int], after: dict[str, int]) -> Figure:
    """Operators of a graph before and after slimming."""
    names = sorted({*before, *after}, key=lambda name: (-before.get(name, 0), name))
    figure, axis = plt.subplots(figsize=(7, 0.28 * len(names) + 0.9))
    places = np.arange(len(names))
    for offset, counts, label, color in (
        (-0.2, before, f"paddle2onnx ({sum(before.values())})", GRAY),
        (0.2, after, f"onnxslim ({sum(after.values())})", GREEN),
    ):
        values = [counts.get(name, 0) for name in names]
        bars = axis.barh(places + offset, values, 0.38, label=label, color=color)
        axis.bar_label(bars, labels=[str(v) if v else "" for v in values], fontsize=8, padding=2)
    axis.set(yticks=places, title=_("Operators in the graph"))
    axis.set_yticklabels(names)
    axis.invert_yaxis()
    axis.legend(loc="lower right")
    return finished(figure)


def graph_drawing(models: dict[str, onnx.ModelProto], limit: int = 28) -> Figure:
    """The graphs of ONNX models beside each other, input on top, a box an operator.

    Args:
        models: titles and models.
        limit: operators drawn of each; the rest is counted.
    """
    layouts = {title: _layout(model, limit) for title, model in models.items()}
    height = max(max(y for _, y, _ in boxes.values()) for boxes, _, _ in layouts.values()) + 2
    figure, axes = plt.subplots(
        1, len(models), figsize=(3.4 * len(models), 0.36 * height + 0.5), squeeze=False
    )
    for axis, (title, (boxes, edges, hidden)) in zip(axes.flat, layouts.items(), strict=True):
        for source, target in edges:
            start, end = boxes[source][:2], boxes[target][:2]
            arrow = {"arrowstyle": "-|>", "color": GRAY, "shrinkA": 7, "shrinkB": 7, "lw": 0.8}
            axis.annotate("", end, start, arrowprops=arrow)
        for x, y, (text, color) in boxes.values():
            shape = FancyBboxPatch(
                (x - 0.42, y - 0.3), 0.84, 0.6, boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=color, edgecolor="none", zorder=2,
            )  # fmt: skip
            axis.add_patch(shape)
            axis.text(x, y, text, ha="center", va="center", fontsize=7, color="white", zorder=3)
        columns = [x for x, _, _ in boxes.values()]
        axis.set_xlim(min(columns) - 0.8, max(columns) + 0.8)
        axis.set_ylim(height - 0.8, -0.8)
        more = _(" ({count} more below)").format(count=hidden) if hidden else ""
        axis.set_title(title + more)
        axis.axis("off")
    return finished(figure)


_OPERATOR_COLORS = defaultdict(
    lambda: GRAY,
    Conv=BLUE, Gemm=BLUE, MatMul=BLUE, Relu=GREEN, HardSwish=GREEN, HardSigmoid=GREEN,
    Softmax=RED, BatchNormalization=ORANGE, GlobalAveragePool="#56B4E9", MaxPool="#56B4E9",
)  # fmt: skip


def _layout(model: onnx.ModelProto, limit: int) -> tuple[dict, list, int]:
    """Boxes by node index as (column, row, (text, colour)), edges, and the count left out.

    A node's row is one below the lowest of what it reads; nodes of one row stand beside
    each other.
    """
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    shown = nodes[:limit]
    producer = {output: index for index, node in enumerate(shown) for output in node.output}
    rows: dict[int, int] = {}
    in_row: dict[int, int] = defaultdict(int)
    boxes = {-1: (0.0, 0, (model.graph.input[0].name, "#333333"))}
    edges = []
    for index, node in enumerate(shown):
        sources = [producer[name] for name in node.input if name in producer]
        rows[index] = 1 + max((rows[source] for source in sources), default=0)
        column = in_row[rows[index]]
        in_row[rows[index]] += 1
        boxes[index] = (float(column), rows[index], (node.op_type, _OPERATOR_COLORS[node.op_type]))
        edges += [(source, index) for source in sources]
        if model.graph.input[0].name in node.input:
            edges.append((-1, index))
    return boxes, edges, len(nodes) - len(shown)


def quantization_grid(values: np.ndarray, low: float, high: float, title: str) -> Figure:
    """Histogram of a tensor's float values over the 256 values that INT8 has.

    Args:
        values: float, any shape.
        low, high: the float values of the INT8 numbers -128 and 127.
    """
    values = values.ravel()
    step = (high - low) / 255
    figure, (wide, close) = plt.subplots(1, 2, figsize=(8.5, 2.8), width_ratios=(3, 2))
    wide.hist(values, bins=120, color=BLUE, alpha=0.8)
    wide.axvspan(
        low,
        high,
        color=GREEN,
        alpha=0.12,
        label=_("INT8 reaches {low:.2f} to {high:.2f}").format(low=low, high=high),
    )
    clipped = float(((values < low) | (values > high)).mean())
    used = len(np.unique(np.rint((values.clip(low, high) - low) / step))) if step else 1
    wide.set(
        title=_("{title}: uses {used} of the 256 values").format(title=title, used=used),
        xlabel=_("value"),
        ylabel=_("how often"),
        yscale="log",
    )
    wide.legend(
        title=_("{clipped:.3g} % clipped").format(clipped=100 * clipped),
        loc="upper right",
        frameon=True,
    )
    center = float(np.median(values))
    window = (center - 8 * step, center + 8 * step)
    near = values[(values >= window[0]) & (values <= window[1])]
    close.hist(near, bins=80, color=BLUE, alpha=0.8)
    for line in low + step * np.arange(256):
        if window[0] <= line <= window[1]:
            close.axvline(line, color=RED, lw=0.8)
    close.set(
        title=_("close up: one step is {step:.4f}").format(step=step),
        xlabel=_("value"),
        xlim=window,
        yscale="log",
    )
    return finished(figure)


def confusion(matrices: dict[str, np.ndarray], labels: Sequence[str]) -> Figure:
    """Confusion matrices beside each other; the diagonal is left white so that errors show.

    Args:
        matrices: titles and int [C, C]; rows are true classes, columns answers.
    """
    size = min(14.0, max(3.0, 0.36 * len(labels)))
    font = min(7.0, 7 * size / (0.36 * len(labels)))  # a hundred classes: as small as need be
    figure, axes = plt.subplots(
        1, len(matrices), figsize=((size + 0.6) * len(matrices), size + 0.6), squeeze=False
    )
    for axis, (title, matrix) in zip(axes.flat, matrices.items(), strict=True):
        errors = matrix.astype(float).copy()
        np.fill_diagonal(errors, 0)
        axis.imshow(errors, cmap="Oranges", vmin=0, vmax=max(1.0, errors.max()))
        for row, column in np.argwhere(matrix > 0):
            on_diagonal = row == column
            dark = errors[row, column] > 0.6 * max(1.0, errors.max())
            axis.text(
                column, row, matrix[row, column], ha="center", va="center", fontsize=font,
                color=GRAY if on_diagonal else "white" if dark else "black",
            )  # fmt: skip
        axis.set(xlabel=_("answer"), ylabel=_("true class"), title=title)
        upright = max(map(len, labels)) > 2
        letters = min(10.0, 1.4 * font)
        axis.set_xticks(range(len(labels)), labels, rotation=90 if upright else 0, fontsize=letters)
        axis.set_yticks(range(len(labels)), labels, fontsize=letters)
        axis.spines[:].set_visible(False)
    return finished(figure)


def stage_accuracy(stages: Stages) -> Figure:
    """Top-1 accuracy of each stage with its 95 % interval."""
    figure, axis = plt.subplots(figsize=(6, 0.5 * len(stages) + 0.9))
    for row, stage in enumerate(stages.values()):
        share = stage.accuracy
        low, top1, high = (100 * value for value in (share.low, share.top1, share.high))
        color = ORANGE if row == len(stages) - 1 else BLUE
        axis.errorbar(
            top1, row, xerr=[[top1 - low], [high - top1]], fmt="o", color=color, capsize=4
        )
        axis.annotate(
            f"{top1:.2f} %",
            (top1, row),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axis.set(
        xlabel=_("top-1 accuracy, % (bar: 95 % Wilson interval)"), ylim=(len(stages) - 0.4, -0.7)
    )
    axis.set_yticks(range(len(stages)), list(stages))
    axis.grid(axis="x", alpha=0.3)
    return finished(figure)


def layer_cost(layers: Sequence[Layer]) -> Figure:
    """The compiler's estimate of cycles and KB moved, layer by layer, in execution order."""
    shown = [layer for layer in layers if layer.operator not in ("InputOperator", "OutputOperator")]
    names = [f"{layer.id} {layer.operator}" for layer in shown]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 0.26 * len(shown) + 1), sharey=True)
    places = np.arange(len(shown))
    left.barh(places, [layer.cycles for layer in shown], color=BLUE)
    right.barh(places, [layer.traffic_kb for layer in shown], color=ORANGE)
    left.set(yticks=places, title=_("cycles (compiler estimate)"))
    left.set_yticklabels(names, fontsize=8)
    left.invert_yaxis()
    right.set(title=_("KB read and written (compiler estimate)"))
    return finished(figure)


def tone_histograms(worlds: dict[str, np.ndarray]) -> Figure:
    """How often each gray tone occurs in sets of pictures.

    Args:
        worlds: names and uint8 [N, H, W, 3].
    """
    figure, axis = plt.subplots(figsize=(7, 2.6))
    for (name, pictures), color in zip(worlds.items(), (BLUE, ORANGE, GREEN), strict=False):
        counts, edges = np.histogram(pictures.mean(axis=-1), bins=64, range=(0, 255))
        axis.stairs(counts / counts.sum(), edges, fill=True, alpha=0.5, color=color, label=name)
    axis.set(xlabel=_("gray tone, 0 black to 255 white"), ylabel=_("share of pixels"), yscale="log")
    axis.legend()
    return finished(figure)


def distortion_bars(models: dict[str, dict[str, float]], label: str = "") -> Figure:
    """Accuracy of models under one distortion at a time, or other shares by kind.

    Args:
        models: for each model, accuracy from 0 to 1 by distortion.
        label: says what the shares are; else top-1 accuracy.
    """
    names = list(next(iter(models.values())))
    figure, axis = plt.subplots(figsize=(7, 0.36 * len(names) + 0.9))
    width = 0.8 / len(models)
    for position, ((model, shares), color) in enumerate(
        zip(models.items(), (GRAY, ORANGE, BLUE), strict=False)
    ):
        places = np.arange(len(names)) + (position - (len(models) - 1) / 2) * width
        bars = axis.barh(
            places, [100 * shares[name] for name in names], width, color=color, label=model
        )
        axis.bar_label(bars, fmt="%.0f", fontsize=8, padding=2)
    axis.set(xlabel=label or _("top-1 accuracy, %"), xlim=(0, 108))
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.legend(loc="upper center", ncols=len(models), bbox_to_anchor=(0.5, 1.12))
    return finished(figure)


def layer_error(layers: Sequence[LayerError]) -> Figure:
    """What INT8 loses in each layer, in execution order, alone and with those before it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 0.26 * len(layers) + 1), sharey=True)
    places = np.arange(len(layers))
    for kind, color, marker in (("accumulated", GRAY, "o"), ("single", ORANGE, "D")):
        found = [getattr(layer, kind) for layer in layers]
        loss = [max(0.0, 1 - row.cosine) for row in found]
        distance = [row.distance for row in found]
        left.plot(loss, places, marker=marker, color=color, lw=1, ms=4, label=kind)
        right.plot(distance, places, marker=marker, color=color, lw=1, ms=4, label=kind)
    left.set(title=_("1 − cosine, 0 is no loss (simulator)"), xlim=(0, None), yticks=places)
    left.set_yticklabels([f"{layer.operator} {layer.name}" for layer in layers], fontsize=7)
    left.invert_yaxis()
    left.locator_params(axis="x", nbins=4)
    left.ticklabel_format(axis="x", style="sci", scilimits=(-2, 2))
    right.set(title=_("Euclidean distance (simulator)"), xlim=(0, None))
    for axis in (left, right):
        axis.grid(axis="y", alpha=0.2)
    right.legend()
    return finished(figure)


def study_curves(rows: Sequence[dict]) -> Figure:
    """Accuracy and lost cosine against the number of calibration pictures, with the spread.

    Args:
        rows: cells of the study: `algorithm`, `method`, `images`, `accuracy` and `cosine`.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2))
    groups: dict[tuple[str, str], dict[int, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[row["algorithm"], row["method"]][row["images"]].append(row)
    colors = {"normal": BLUE, "kl_divergence": ORANGE, "mmse": GREEN}
    for (algorithm, method), sizes in groups.items():
        counts = sorted(sizes)
        for axis, values in (
            (axes[0], [[100 * cell["accuracy"] for cell in sizes[n]] for n in counts]),
            (axes[1], [[1 - cell["cosine"] for cell in sizes[n]] for n in counts]),
        ):
            style = {"color": colors[algorithm], "ls": "-" if method == "channel" else "--"}
            middle = [float(np.mean(v)) for v in values]
            axis.plot(counts, middle, marker="o", ms=3, label=f"{algorithm}, {method}", **style)
            low, high = [min(v) for v in values], [max(v) for v in values]
            axis.fill_between(counts, low, high, color=style["color"], alpha=0.12, lw=0)
    for axis in axes:
        axis.set(xscale="log", xlabel=_("calibration pictures"))
        axis.set_xticks(sorted({row["images"] for row in rows}))
        axis.set_xticklabels(sorted({row["images"] for row in rows}), fontsize=8)
        axis.minorticks_off()
    axes[0].set(title=_("top-1 of validation pictures, % (simulator)"))
    axes[1].set(title=_("1 − mean cosine of the logits (simulator)"), yscale="log")
    axes[1].legend(fontsize=7, ncols=2)
    return finished(figure)


def agreement_hides(rows: Sequence[dict]) -> Figure:
    """Agreement of the answers against lost cosine: what one shows and the other does not.

    Args:
        rows: cells of the study: `agreement`, `cosine` and `calibration`, its kind.
    """
    figure, axis = plt.subplots(figsize=(8.5, 3.2))
    for kind, color in (("balanced", BLUE), (None, RED)):
        chosen = [row for row in rows if (row["calibration"] == "balanced") == (kind is not None)]
        axis.scatter(
            [1 - row["cosine"] for row in chosen],
            [100 * row["agreement"] for row in chosen],
            s=22, alpha=0.7, color=color,
            label=_("balanced lists") if kind else _("bad on purpose"),
        )  # fmt: skip
        for row in chosen if kind is None else ():
            axis.annotate(
                row["calibration"], (1 - row["cosine"], 100 * row["agreement"]), (5, 4),
                textcoords="offset points", fontsize=7,
            )  # fmt: skip
    axis.set(
        xscale="log",
        xlabel=_("1 − mean cosine of the logits: the damage (simulator)"),
        ylabel=_("answers as in float, %"),
    )
    axis.legend(loc="lower left")
    return finished(figure)


class Point(NamedTuple):
    """A network in one of the drawings of `tradeoffs`."""

    number: int  # in the table beside
    cost: float
    top1: float  # mean over seeds, from 0 to 1
    low: float  # of its interval
    high: float
    int8: bool  # in the simulator; else float
    best: bool  # on the Pareto front


def tradeoffs(panels: Sequence[Any]) -> Figure:
    """Accuracy against cost, the Pareto front marked.

    Args:
        panels: each with `title` of the pictures, `label` of the cost, and `points`; three costs
            for each kind of pictures.
    """
    rows = max(1, len(panels) // 3)
    figure, axes = plt.subplots(rows, 3, figsize=(9, 3.1 * rows), squeeze=False, sharey="row")
    for axis, panel in zip(axes.flat, panels, strict=False):
        best = sorted((point.cost, 100 * point.top1) for point in panel.points if point.best)
        if best:
            axis.plot(*zip(*best, strict=True), color=ORANGE, lw=1.5, drawstyle="steps-post")
        for point in panel.points:
            low, top1, high = (100 * value for value in (point.low, point.top1, point.high))
            axis.errorbar(
                point.cost, top1, yerr=[[top1 - low], [high - top1]], fmt="o", ms=5, capsize=2,
                color=ORANGE if point.best else BLUE, mfc=None if point.int8 else "none",
            )  # fmt: skip
            axis.annotate(
                str(point.number), (point.cost, top1), (5, 3), textcoords="offset points",
                fontsize=7,
            )  # fmt: skip
        axis.set(xscale="log", xlabel=panel.label)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.grid(axis="y", alpha=0.3)
    for axis, panel in zip(axes[:, 0], panels[::3], strict=False):
        axis.set(ylabel=_("top-1 of {title}, %").format(title=panel.title))
    note = _("orange: Pareto front; hollow: on this PC, others INT8 in the simulator")
    figure.suptitle(note, fontsize=9)
    return finished(figure)
