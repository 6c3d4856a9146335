"""The picture of what networks cost on the NPU, for the report."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ..language import _
from ..plots import BLUE, GRAY, finished


def cost_map(points: Sequence[dict]) -> Figure:
    """Accuracy against estimated cycles; networks that were not trained stand on the axis.

    Args:
        points: `name`, `cycles` (compiler estimate) and `accuracy` (top-1 from 0 to 1, simulator)
            or None where it is not measured.
    """
    figure, axis = plt.subplots(figsize=(8.5, 3.2))
    measured = [point for point in points if point["accuracy"] is not None]
    floor = 100 * min((point["accuracy"] for point in measured), default=0.9)
    ceiling = 100 * max((point["accuracy"] for point in measured), default=1.0)
    room = max(0.2, ceiling - floor)
    for number, point in enumerate(sorted(points, key=lambda point: point["cycles"])):
        known = point["accuracy"] is not None
        height = 100 * point["accuracy"] if known else floor - room
        axis.plot(point["cycles"], height, "o" if known else "|", color=BLUE if known else GRAY,
                  ms=8 if known else 14)  # fmt: skip
        axis.annotate(
            point["name"], (point["cycles"], height), (0, 9 if known or number % 2 else -18),
            textcoords="offset points", ha="center", fontsize=8,
            color=plt.rcParams["text.color"] if known else GRAY,
        )  # fmt: skip
    axis.axhline(floor - room, color=GRAY, lw=0.5)
    axis.set(
        xscale="log",
        xlabel=_("cycles (compiler estimate, a lower bound)"),
        ylabel=_("top-1 of test images, % (simulator)"),
        ylim=(floor - 1.8 * room, ceiling + 0.6 * room),
    )
    axis.margins(x=0.15)
    axis.text(0.01, 0.03, _("grey: cost only, accuracy not measured"), transform=axis.transAxes,
              fontsize=8, color=GRAY)  # fmt: skip
    return finished(figure)
