"""The scales and zero points that two quantizers chose for a network's tensors, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import yaml
from onnx import numpy_helper

from ..errors import PipelineError
from ..language import _

Ranges = dict[str, dict[str, Any]]


def chosen_by_toolkit(configuration: str) -> Ranges:
    """What rknn-toolkit2 chose for each tensor that has one scale: the inputs of layers.

    Args:
        configuration: text of the `.quantization.cfg` that its hybrid quantization writes.

    Returns:
        By name of the tensor: `min`, `max`, `scale` and `zero_point`, a list of one each.
    """
    rows = yaml.safe_load(configuration)["quantize_parameters"]
    return {
        name: row for name, row in rows.items() if row["dtype"] == "int8" and len(row["scale"]) == 1
    }


def range_table(ranges: Ranges) -> pd.DataFrame:
    """`chosen_by_toolkit` as a table, a line a tensor."""
    columns = ["min", "max", "scale", "zero_point"]
    rows = {name: [row[column][0] for column in columns] for name, row in ranges.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def first_in_graph(names: Sequence[str], ranges: Ranges, model: Path) -> str:
    """The first of some tensors that has a range and that the ONNX model computes.

    Raises:
        PipelineError: there is none.
    """
    computed = {name for node in onnx.load(str(model)).graph.node for name in node.output}
    for name in names:
        if name in ranges and name in computed:
            return name
    raise PipelineError(
        _("none of {names} has a range and is in {name}: run 05_convert again").format(
            names=", ".join(names), name=model.name
        )
    )


def comparison(quantized: Path, ranges: Ranges) -> pd.DataFrame:
    """Scales and zero points that stand in a QDQ graph, beside those of rknn-toolkit2.

    Args:
        quantized: ONNX model as `onnxruntime.quantization.quantize_static` writes it.
        ranges: as `chosen_by_toolkit` returns them; a tensor that is not there gets blanks.
    """
    stored = _stored(quantized)
    rows = {}
    for name, scale in stored.items():
        if not name.endswith("_scale") or scale.ndim:
            continue
        tensor = name.removesuffix("_scale")
        other = ranges.get(tensor) or ranges.get(f"{tensor}_int8")
        scale_of_other, zero_point = (
            (other["scale"][0], other["zero_point"][0]) if other else (np.nan, "-")
        )
        own = int(stored[f"{tensor}_zero_point"])
        rows[tensor] = [float(scale), scale_of_other, own, zero_point]
    columns = ["scale, onnxruntime", "scale, RKNN", "zero point, onnxruntime", "zero point, RKNN"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def output_step(quantized: Path) -> float:
    """The scale of a QDQ graph's output."""
    name = onnx.load(str(quantized)).graph.output[0].name
    return float(_stored(quantized)[f"{name}_scale"])


def _stored(quantized: Path) -> dict[str, np.ndarray]:
    graph = onnx.load(str(quantized)).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
