"""What an `.rknn` file says of itself: the JSON behind its payload, and two texts within it.

In the payload of a mini model stands a FlatBuffer with the identifier `RKNN`; field 8 of its root
table is the custom string. Nothing read here is trusted: offsets are checked, sizes are limited.
"""

import ast
import re
import struct
from dataclasses import dataclass

from pydantic import BaseModel

from ..errors import Cure, Finding
from ..language import _

LARGEST_TEXT = 1 << 20  # bytes of the settings text in the payload, and of the JSON
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
            Finding: the file gives the tensor no range: it is not INT8.
        """
        if self.scale is None or self.zero_point is None:
            raise Finding(
                _("{name} is {dtype}, not INT8").format(name=self.name, dtype=self.dtype),
                Cure(_("run 05_convert again"), _("quantize the model")),
            )
        return self.scale, self.zero_point


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
    left_tensor_id: int = 0
    right_tensor_id: int


class Description(BaseModel):
    """The JSON: chip and toolkit, and the model's inputs and outputs."""

    target_platform: list[str]
    version: str
    norm_tensor: list[_Entry]
    graph: list[_Edge]

    def tensors(self, side: str, payload: bytes) -> list["Tensor"]:
        """Inputs or outputs in their order, with what the payload says of them.

        Args:
            side: "input" or "output".
        """
        settings = _settings(payload)
        entries = {entry.tensor_id: entry for entry in self.norm_tensor}
        edges = [edge for edge in self.graph if edge.left == side]
        edges.sort(key=lambda edge: edge.left_tensor_id)
        return [_tensor(entries[edge.right_tensor_id], settings) for edge in edges]


class Origin(BaseModel):
    """The part of it that files of every version have."""

    target_platform: list[str] | str
    version: str = ""


class _Attributes(BaseModel):
    mean: list[float] | None = None
    std: list[float] | None = None


class _Range(BaseModel):
    min: list[float] = []
    max: list[float] = []


class _Settings(BaseModel):
    attrs: dict[str, _Attributes] = {}
    quant_tab: dict[str, _Range] = {}


def _settings(payload: bytes) -> _Settings:
    """The settings text in the payload: a Python literal with means, stds and ranges."""
    start = payload.find(b"{'attrs': {")
    text = payload[start : start + LARGEST_TEXT].partition(b"\0")[0] if start >= 0 else b""
    end = re.search(rb"'dynamic_shapes': \{.*?\}\}", text, re.DOTALL)
    return _Settings.model_validate(ast.literal_eval(text[: end.end()].decode()) if end else {})


def custom_string(payload: bytes) -> str | None:
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
        return found.decode() if len(found) == length <= LARGEST_TEXT else None
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
