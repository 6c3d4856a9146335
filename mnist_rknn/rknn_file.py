"""Reading `.rknn` files without rknn-toolkit2, which accepts one cut to half.

The layout, found by looking at files of toolkit 2.3.2 and 2.5.0 (little-endian):

| offset    | content                                                         |
|-----------|-----------------------------------------------------------------|
| 0x00      | magic `RKNN` and four zero bytes                                |
| 0x08      | u64 version: 0x1004 = mini (RV1103, RV1106), 6 = full           |
| 0x10      | u64 n, length of the payload                                    |
| 0x40      | payload of n bytes: weights, command lists, a settings text     |
| 0x40 + n  | u64 m, then m bytes of JSON: platform, tensors, toolkit version |

The file ends exactly there.
"""

import ast
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import PipelineError
from .files import relative

MAGIC = b"RKNN\0\0\0\0"
MINI, FULL = 0x1004, 6
HEADER = 0x40


@dataclass(frozen=True)
class Tensor:
    """An input or output of the model. Shape is [N, C, H, W] for the input."""

    name: str
    shape: list[int]
    dtype: str
    range: tuple[float, float] | None  # float values the INT8 range stands for
    mean: list[float] | None = None  # pixel units, inputs only
    std: list[float] | None = None

    @property
    def scale(self) -> float | None:
        """Float value of one INT8 step: value = (q - zero_point) * scale."""
        return (self.range[1] - self.range[0]) / 255 if self.range else None

    @property
    def zero_point(self) -> int | None:
        """The INT8 number that stands for 0.0, from -128 to 127."""
        if not self.range or not self.scale:
            return None
        return max(-128, min(127, round(-128 - self.range[0] / self.scale)))


@dataclass(frozen=True)
class RknnFile:
    """What a `.rknn` file says of itself."""

    mini: bool
    target_platforms: list[str]
    toolkit: str
    input: Tensor
    output: Tensor
    payload: bytes

    def holds_text(self, text: str) -> bool:
        """Whether a text, such as the custom string, stands in the payload."""
        return text.encode() in self.payload


def read(path: Path) -> RknnFile:
    """Parse a `.rknn` file.

    Raises:
        PipelineError: not an `.rknn` file, cut short, or of an unknown version.
    """
    name = relative(path)
    again = "run 05_convert again"
    if not path.is_file():
        raise PipelineError(f"{name} is missing: run 05_convert first")
    content = path.read_bytes()
    if content[:8] != MAGIC:
        raise PipelineError(f"{name} does not begin with RKNN, so it is no .rknn file: {again}")
    if len(content) < HEADER:
        raise PipelineError(f"{name} is cut short within its header: {again}")
    version, payload_length = struct.unpack_from("<QQ", content, 8)
    if version not in (MINI, FULL):
        raise PipelineError(f"{name} has the unknown version {version:#x}: {again}")
    trailer = HEADER + payload_length
    if len(content) < trailer + 8:
        raise PipelineError(
            f"{name} is cut short: {len(content)} bytes, its header announces "
            f"at least {trailer + 8}: {again}"
        )
    (length,) = struct.unpack_from("<Q", content, trailer)
    if len(content) != trailer + 8 + length:
        raise PipelineError(
            f"{name} has {len(content)} bytes, its header announces {trailer + 8 + length}: {again}"
        )
    payload = content[HEADER:trailer]
    try:
        description = json.loads(content[trailer + 8 :])
        settings = _settings(payload)
        tensors = {
            (edge["left"]): _tensor(description["norm_tensor"], edge["right_tensor_id"], settings)
            for edge in description["graph"]
        }
        return RknnFile(
            mini=version == MINI,
            target_platforms=list(description["target_platform"]),
            toolkit=str(description["version"]),
            input=tensors["input"],
            output=tensors["output"],
            payload=payload,
        )
    except (ValueError, KeyError, TypeError, IndexError, SyntaxError, RecursionError):
        raise PipelineError(f"{name} has a description that cannot be read: {again}") from None


def _settings(payload: bytes) -> dict[str, Any]:
    """The settings text in the payload: a Python literal with means, stds and ranges."""
    match = re.search(rb"\{'attrs': \{.*?'dynamic_shapes': \{[^\0]*?\}\}", payload, re.DOTALL)
    return ast.literal_eval(match[0].decode()) if match else {}


def _tensor(tensors: list[dict], tensor_id: int, settings: dict[str, Any]) -> Tensor:
    tensor = next(t for t in tensors if t["tensor_id"] == tensor_id)
    name = tensor["url"]
    attributes = settings.get("attrs", {}).get(name, {})
    table = settings.get("quant_tab", {}).get(name)
    return Tensor(
        name=name,
        shape=[int(size) for size in tensor["size"]],
        dtype=tensor["dtype"]["vx_type"],
        range=(table["min"][0], table["max"][0]) if table and table["min"] else None,
        mean=attributes.get("mean"),
        std=attributes.get("std"),
    )


def require_deployable(
    file: RknnFile, platform: str, input_shape: list[int], mean: list[float], std: list[float]
) -> None:
    """Check a parsed file against what the module's SDK needs.

    Args:
        input_shape: [1, 3, H, W].
        mean, std: three values each, pixel units.

    Raises:
        PipelineError: names what is wrong and why the board would refuse or misread it.
    """
    if platform not in file.target_platforms:
        raise PipelineError(
            f"the .rknn file is for {', '.join(file.target_platforms)}, the module is a "
            f"{platform}: set rknn.target_platform and run 05_convert"
        )
    if not file.mini:
        raise PipelineError(
            "the .rknn file is a full model, which the RV1106 runtime cannot load: it was "
            "built with dynamic_input or for a larger chip; run 05_convert"
        )
    for role, tensor in (("input", file.input), ("output", file.output)):
        if tensor.dtype != "int8":
            raise PipelineError(
                f"the {role} {tensor.name} is {tensor.dtype}, the module's SDK works on int8: "
                "quantize the model and leave Softmax out"
            )
    if file.input.shape != input_shape:
        raise PipelineError(f"the input is {file.input.shape}, the recipe's image is {input_shape}")
    if file.input.mean != mean or file.input.std != std:
        raise PipelineError(
            f"the .rknn file normalises with mean {file.input.mean} and std {file.input.std}, the "
            f"recipe with {mean} and {std}: run 05_convert"
        )
