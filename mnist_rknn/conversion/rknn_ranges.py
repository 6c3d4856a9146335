"""The scales and zero points that rknn-toolkit2 chose for a network's tensors.

`build` keeps them to itself, but hybrid quantization writes them into a text file as its first
step. It is the same choice: the same pictures, algorithm and graph.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..errors import PipelineError
from ..files import relative
from ..language import _
from ..recipe import Recipe
from . import rknn_simulator, rknn_toolkit


class Quantization(NamedTuple):
    """How an INT8 tensor stands for real numbers: value = (q - zero_point) * scale."""

    scale: float
    zero_point: int


def of_run(recipe: Recipe, folder: Path, log: Path) -> dict[str, Quantization]:
    """Scale and zero point of each tensor of a run's model, by its name in the ONNX graph.

    Args:
        log: file for the toolkit's output; it stays only if something fails.

    Raises:
        PipelineError: the toolkit fails, or writes its file in another form.
    """
    slim, listed = rknn_simulator.model_files(recipe, folder)
    check = rknn_toolkit.require_success
    with rknn_toolkit.captured(log):  # works in a scratch folder, where the step drops its files
        rknn = rknn_toolkit.load_api()()
        check("config", rknn.config(**rknn_toolkit.config_arguments(recipe)), log)
        check("load_onnx", rknn.load_onnx(model=str(slim)), log)
        code = rknn.hybrid_quantization_step1(dataset=str(listed), proposal=False)
        check("hybrid_quantization_step1", code, log)
        texts = [path.read_text(encoding="utf-8") for path in Path().glob("*.quantization.cfg")]
        rknn.release()
    found = parse(yaml.safe_load(texts[0])) if texts else {}
    if not found:
        raise PipelineError(
            _(
                "rknn-toolkit2 wrote no scales (whole log: {log}): use the version "
                "that requirements.txt pins"
            ).format(log=relative(log))
        )
    log.unlink(missing_ok=True)
    return found


def parse(content: Mapping[str, Any]) -> dict[str, Quantization]:
    """Scales and zero points of a `*.quantization.cfg`, parsed as YAML.

    A tensor at the graph's ends is float there and has an INT8 twin named "..._int8", whose
    numbers are taken.
    """
    rows = content.get("quantize_parameters", {})
    found = {
        name: Quantization(float(row["scale"][0]), int(row["zero_point"][0]))
        for name, row in rows.items()
        if row["dtype"] == "int8" and len(row["scale"]) == 1
    }
    twins = {name.removesuffix("_int8"): row for name, row in found.items()}
    return twins | found
