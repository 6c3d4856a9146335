"""Reading `.rknn` files without rknn-toolkit2, which accepts one cut to half.

The layout, found by looking at files of toolkit 2.3.2 and 2.5.0 (little-endian):

| offset    | content                                                         |
|-----------|-----------------------------------------------------------------|
| 0x00      | magic `RKNN` and four zero bytes                                |
| 0x08      | u64 version: 0x1004 = mini (RV1103, RV1106), 6 = full           |
| 0x10      | u64 n, length of the payload                                    |
| 0x40      | payload of n bytes: weights, command lists, a settings text     |
| 0x40 + n  | u64 m, then m bytes of JSON: platform, tensors, toolkit version |

The file ends exactly there. In the payload of a mini model stands a FlatBuffer with the
identifier `RKNN`; field 8 of its root table is the custom string. Nothing read from a file is
trusted: offsets are checked, sizes are limited.
"""

import ast
import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..errors import PipelineError
from ..files import relative
from .rknn_toolkit import PLATFORM

MAGIC = b"RKNN\0\0\0\0"
MINI, FULL = 0x1004, 6
HEADER = 0x40
MODULE_MB = 256  # all the memory the module has: no larger file is read
_LARGEST_TEXT = 1 << 20  # bytes of the settings text in the payload, and of the JSON
_CUSTOM_STRING = 8  # its field in the FlatBuffer's root table


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

    def quantization(self) -> tuple[float, int]:
        """Scale and zero point of an INT8 tensor.

        Raises:
            PipelineError: the file gives the tensor no range: it is not INT8.
        """
        if self.scale is None or self.zero_point is None:
            raise PipelineError(f"{self.name} is {self.dtype}, not INT8: run 05_convert again")
        return self.scale, self.zero_point


@dataclass(frozen=True)
class RknnFile:
    """What a `.rknn` file says of itself."""

    mini: bool
    target_platforms: list[str]
    toolkit: str
    input: Tensor
    output: Tensor
    custom_string: str | None  # of a mini model: what RKNN.config(custom_string=...) was given
    size: int  # bytes of the whole file


# What is read of the JSON behind the payload, and of the settings text in it.


class _Type(BaseModel):
    vx_type: str


class _Entry(BaseModel):
    tensor_id: int
    url: str
    size: list[int]
    dtype: _Type


class _Edge(BaseModel):
    left: str
    right_tensor_id: int


class _Description(BaseModel):
    target_platform: list[str]
    version: str
    norm_tensor: list[_Entry]
    graph: list[_Edge]


class _Attributes(BaseModel):
    mean: list[float] | None = None
    std: list[float] | None = None


class _Range(BaseModel):
    min: list[float] = []
    max: list[float] = []


class _Settings(BaseModel):
    attrs: dict[str, _Attributes] = {}
    quant_tab: dict[str, _Range] = {}


def read(path: Path) -> RknnFile:
    """Parse a `.rknn` file.

    Raises:
        PipelineError: not an `.rknn` file, cut short, or of an unknown version.
    """
    name = relative(path)
    again = "run 05_convert again"
    if not path.is_file():
        raise PipelineError(f"{name} is missing: run 05_convert first")
    if path.stat().st_size > MODULE_MB << 20:
        raise PipelineError(
            f"{name} has {path.stat().st_size >> 20:,} MB, more than all the memory of the module "
            f"({MODULE_MB} MB): it is no model for it"
        )
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
    if length > _LARGEST_TEXT:
        raise PipelineError(f"{name} has a description of {length:,} bytes, too long: {again}")
    payload = content[HEADER:trailer]
    try:
        description = _Description.model_validate(json.loads(content[trailer + 8 :]))
        settings = _settings(payload)
        entries = {entry.tensor_id: entry for entry in description.norm_tensor}
        tensors = {
            edge.left: _tensor(entries[edge.right_tensor_id], settings)
            for edge in description.graph
        }
        return RknnFile(
            mini=version == MINI,
            target_platforms=description.target_platform,
            toolkit=description.version,
            input=tensors["input"],
            output=tensors["output"],
            custom_string=_custom_string(payload) if version == MINI else None,
            size=len(content),
        )
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError):
        # ValueError: no JSON, no UTF-8, a wrong type; the last three: ast, on a hostile text
        raise PipelineError(f"{name} has a description that cannot be read: {again}") from None


def _settings(payload: bytes) -> _Settings:
    """The settings text in the payload: a Python literal with means, stds and ranges."""
    start = payload.find(b"{'attrs': {")
    text = payload[start : start + _LARGEST_TEXT].partition(b"\0")[0] if start >= 0 else b""
    end = re.search(rb"'dynamic_shapes': \{.*?\}\}", text, re.DOTALL)
    return _Settings.model_validate(ast.literal_eval(text[: end.end()].decode()) if end else {})


def _custom_string(payload: bytes) -> str | None:
    """The custom string, read from the FlatBuffer (flatbuffers.dev/internals); None if absent."""
    start = payload.find(b"RKNN") - 4
    if start < 0:
        return None
    try:
        root = start + struct.unpack_from("<I", payload, start)[0]
        fields = root - struct.unpack_from("<i", payload, root)[0]
        if fields < 0 or struct.unpack_from("<H", payload, fields)[0] < 6 + 2 * _CUSTOM_STRING:
            return None
        offset = struct.unpack_from("<H", payload, fields + 4 + 2 * _CUSTOM_STRING)[0]
        if offset == 0:
            return None
        text = root + offset + struct.unpack_from("<I", payload, root + offset)[0]
        length = struct.unpack_from("<I", payload, text)[0]
        found = payload[text + 4 : text + 4 + length]
        return found.decode() if len(found) == length <= _LARGEST_TEXT else None
    except (struct.error, UnicodeDecodeError):
        return None


def _tensor(entry: _Entry, settings: _Settings) -> Tensor:
    attributes = settings.attrs.get(entry.url, _Attributes())
    table = settings.quant_tab.get(entry.url, _Range())
    return Tensor(
        name=entry.url,
        shape=entry.size,
        dtype=entry.dtype.vx_type,
        range=(table.min[0], table.max[0]) if table.min and table.max else None,
        mean=attributes.mean,
        std=attributes.std,
    )


def problems(file: RknnFile) -> list[str]:
    """Why the module would refuse or misread a parsed file, a line each; empty if nothing.

    Only what the file itself can say: whether mean and std are the ones the network was
    trained with, only its recipe knows (`require_deployable`).
    """
    found = []
    if PLATFORM not in file.target_platforms:
        found.append(
            f"the .rknn file is for {', '.join(map(str, file.target_platforms)) or 'no chip'}, the "
            f"module is an {PLATFORM}: run 05_convert"
        )
    if not file.mini:
        found.append(
            "the .rknn file is a full model, which the RV1106 runtime cannot load: it was "
            "built with dynamic_input or for a larger chip; run 05_convert"
        )
    for role, tensor in (("input", file.input), ("output", file.output)):
        if tensor.dtype != "int8":
            found.append(
                f"the {role} {tensor.name} is {tensor.dtype}, the module's SDK works on int8: "
                "quantize the model and leave Softmax out"
            )
    if len(file.input.shape) != 4 or file.input.shape[:2] != [1, 3]:
        found.append(
            f"the input is {file.input.shape}, the module's SDK feeds one picture of three "
            "channels, [1, 3, H, W]"
        )
    elif file.input.shape[3] % 16:
        found.append(
            f"the input is {file.input.shape[3]} pixels wide: the NPU reads rows in steps of 16; "
            "set image.width to a multiple of 16"
        )
    if len(file.output.shape) != 2 or file.output.shape[0] != 1:
        found.append(
            f"the output is {file.output.shape}, the module's SDK reads one row of logits, [1, C]"
        )
    if file.input.mean is None or file.input.std is None:
        found.append("no mean and std are in the file: the NPU would not normalise the picture")
    elif max(file.input.std) <= 1 and max(file.input.mean) <= 1 and file.input.mean != [0, 0, 0]:
        found.append(
            f"mean {file.input.mean} and std {file.input.std} look like fractions, and the NPU "
            "counts pixels from 0 to 255: multiply them by 255 and run 05_convert"
        )
    return found


def require_deployable(
    file: RknnFile,
    input_shape: list[int],
    mean: list[float],
    std: list[float],
    custom_string: str | None = None,
) -> None:
    """Check a parsed file against what the module's SDK needs and what its recipe says.

    Args:
        input_shape: [1, 3, H, W].
        mean, std: three values each, pixel units.
        custom_string: what the file was given to hold; None leaves it unchecked.

    Raises:
        PipelineError: names what is wrong and why the board would refuse or misread it.
    """
    for problem in problems(file):
        raise PipelineError(problem)
    if file.input.shape != input_shape:
        raise PipelineError(f"the input is {file.input.shape}, the recipe's image is {input_shape}")
    if file.input.mean != mean or file.input.std != std:
        raise PipelineError(
            f"the .rknn file normalises with mean {file.input.mean} and std {file.input.std}, the "
            f"recipe with {mean} and {std}: run 05_convert"
        )
    if custom_string is not None and file.custom_string != custom_string:
        raise PipelineError(
            f"the custom string of the .rknn file is {file.custom_string!r}, not "
            f"{custom_string!r}: it was made from another ONNX model; run 05_convert"
        )


def to_json(file: RknnFile, problems: list[str]) -> dict[str, Any]:
    """What `mnist-rknn inspect --json` prints."""
    tensors = {
        role: {
            "name": tensor.name,
            "shape": tensor.shape,
            "dtype": tensor.dtype,
            "scale": tensor.scale,
            "zero_point": tensor.zero_point,
            "mean": tensor.mean,
            "std": tensor.std,
        }
        for role, tensor in (("input", file.input), ("output", file.output))
    }
    return {
        "target_platforms": file.target_platforms,
        "kind": "mini" if file.mini else "full",
        "toolkit": file.toolkit,
        "bytes": file.size,
        **tensors,
        "custom_string": file.custom_string,
        "problems": problems,
    }


def text(file: RknnFile, problems: list[str], name: str) -> str:
    """The same for people."""
    kind = "mini model, what" if file.mini else "full model, which"
    runs = "the RV1106 runs" if file.mini else "the RV1106 cannot load"
    lines = [
        f"file      {name}, {file.size / 1024:,.1f} KB",
        f"chip      {', '.join(file.target_platforms)}",
        f"kind      {kind} {runs}",
        f"toolkit   {file.toolkit}",
    ]
    for role, tensor in (("input", file.input), ("output", file.output)):
        lines.append(f"{role:<9} {tensor.name}: {tensor.dtype} {tensor.shape}")
        if tensor.scale is not None:
            lines.append(f"          value = (q - ({tensor.zero_point})) * {tensor.scale:.6g}")
        if tensor.mean is not None:
            lines.append(f"          the NPU computes (pixel - {tensor.mean}) / {tensor.std}")
    lines.append(f"custom    {file.custom_string or 'none'}")
    lines += [f"problem   {problem}" for problem in problems]
    if not problems:
        lines.append("verdict   nothing wrong with it that a file can show; board: not measured")
    return "\n".join(lines)
