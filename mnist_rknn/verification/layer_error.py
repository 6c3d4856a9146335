"""Which layer loses what: rknn-toolkit2's `accuracy_analysis`, parsed.

The toolkit runs one picture through the float graph and through the simulator and writes
`error_analysis.txt`: for each layer the cosine and the Euclidean distance between the two, once
with the errors of all layers before it ("entire", here *accumulated*) and once with a float
input ("single").
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PipelineError
from ..files import relative
from ..language import _
from ..records import LayerError, LayerErrors, Loss

_NUMBER = r"([\d.eE+-]+|nan|inf)"
_ROW = re.compile(rf"\[(\w+)\] +(\S+) +{_NUMBER} +\| +{_NUMBER} +{_NUMBER} +\| +{_NUMBER}")

# What to try where a kind of layer loses much.
ADVICE = {
    "Conv": "its channels may differ much in range: rknn.quantized_method=channel, or more weight "
    "decay in training",
    "Relu": "a few large values may stretch its range: rknn.quantized_algorithm=kl_divergence or "
    "mmse, or more calibration pictures",
    "Add": "both sides share one scale after it: look at the ranges of the two",
    "exSwish": "its curve has few steps near zero: HardSwish or ReLU in the network",
    "Sigmoid": "its curve has few steps at the ends: HardSigmoid in the network",
    "GlobalAveragePool": "it averages many small numbers: a maximum keeps more of a scale",
}
_OTHER_ADVICE = "try rknn.quantized_algorithm=mmse, and look at the calibration pictures"

NOTHING_LOST = 0.999
"""A layer whose cosine is above needs no cure."""


def parse(report: Path) -> list[dict[str, Any]]:
    """Rows of one `error_analysis.txt`, in execution order.

    Layers that were melted into the next one have no figures and are left out.

    Returns:
        For each layer `operator`, `name` (the ONNX tensor it writes), and for `accumulated` and
        `single` a dict of `cosine` (-1 to 1) and `distance` (Euclidean, in the layer's own units).

    Raises:
        PipelineError: no such file, or no rows in it.
    """
    if not report.is_file():
        raise PipelineError(
            _("{report} is missing: accuracy_analysis did not write it").format(
                report=relative(report)
            )
        )
    rows = [
        {
            "operator": operator,
            "name": name,
            "accumulated": {"cosine": float(cosine), "distance": float(distance)},
            "single": {"cosine": float(single_cosine), "distance": float(single_distance)},
        }
        for operator, name, cosine, distance, single_cosine, single_distance in _ROW.findall(
            report.read_text(encoding="utf-8")
        )
    ]
    if not rows:
        raise PipelineError(
            _(
                "{report} holds no rows: rknn-toolkit2 writes it in another form; use "
                "the version that requirements.txt pins"
            ).format(report=relative(report))
        )
    return rows


def combine(pictures: list[list[dict[str, Any]]]) -> LayerErrors:
    """Figures over several pictures.

    Args:
        pictures: `parse` of each picture; all of the same network.
    """
    layers = [
        LayerError(
            operator=rows[0]["operator"],
            name=rows[0]["name"],
            accumulated=_loss([row["accumulated"] for row in rows]),
            single=_loss([row["single"] for row in rows]),
        )
        for rows in zip(*pictures, strict=True)
    ]
    names = [layer.name for layer in worst(layers)]
    return LayerErrors(pictures=len(pictures), layers=layers, worst=names)


def _loss(rows: list[dict[str, float]]) -> Loss:
    cosines = [row["cosine"] for row in rows]
    return Loss(
        cosine=float(np.mean(cosines)),
        lowest=float(np.min(cosines)),
        distance=float(np.mean([row["distance"] for row in rows])),
    )


def worst(layers: Sequence[LayerError], count: int = 5) -> list[LayerError]:
    """The layers that lose most by themselves, by the cosine of the single layer, worst first.

    The input and pure changes of format, which compute nothing, are left out.
    """
    computing = [
        layer
        for layer in layers
        if layer.operator not in ("Input", "exDataConvert", "Reshape", "Transpose")
    ]
    return sorted(computing, key=lambda layer: layer.single.cosine)[:count]


def advice(layer: LayerError) -> str:
    """What to try next for a layer, by its kind; nothing where it loses next to nothing."""
    if layer.single.cosine >= NOTHING_LOST:
        return "loses next to nothing: leave it as it is"
    return ADVICE.get(layer.operator, _OTHER_ADVICE)
