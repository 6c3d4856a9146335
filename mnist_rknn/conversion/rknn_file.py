"""Reading `.rknn` files without rknn-toolkit2, which accepts one cut to half.

The layout, found by looking at files of toolkit 2.3.2 and 2.5.0 (little-endian):

| offset    | content                                                         |
|-----------|-----------------------------------------------------------------|
| 0x00      | magic `RKNN` and four zero bytes                                |
| 0x08      | u64 version: 0x1004 = mini (RV1103, RV1106), 6 = full           |
| 0x10      | u64 n, length of the payload                                    |
| 0x40      | payload of n bytes: weights, command lists, a settings text     |
| 0x40 + n  | u64 m, then m bytes of JSON: platform, tensors, toolkit version |

The file ends exactly there. In files of version 1 the payload begins at 0x18 (so the reader of
`rknncli`); of versions but the two above only chip and toolkit are read.
"""

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from .. import file_kinds
from ..errors import Cure, Finding
from ..files import relative
from ..language import _, later
from . import damage, rknn_description
from .rknn_description import Description, Origin, Tensor
from .rknn_toolkit import PLATFORM

MAGIC = b"RKNN\0\0\0\0"
MINI, FULL = 0x1004, 6
HEADER, OLD_HEADER = 0x40, 0x18
MODULE_MB = 256  # all the memory the module has: no larger file is read
_AGAIN = Cure(
    later("run 05_convert again"), later("copy it again, in binary mode, or convert it again")
)
_CONVERT = Cure(later("run 05_convert"), later("convert its ONNX model with `mnist-rknn export`"))
_OTHER_KINDS = {
    "onnx": "convert it with `mnist-rknn export`",
    "gz": "unpack it with gunzip",
    "zip": "unpack it and name the .rknn file in it",
}


@dataclass(frozen=True)
class RknnFile:
    """What a `.rknn` file says of itself."""

    version: int  # of the file's form
    target_platforms: list[str]
    toolkit: str
    inputs: list[Tensor]  # none of a form that is not known
    outputs: list[Tensor]
    custom_string: str | None  # of a mini model: what RKNN.config(custom_string=...) was given
    size: int  # bytes of the whole file

    @property
    def labels(self) -> list[str] | None:
        """Class names that the custom string holds, if it is one of ours."""
        found = re.fullmatch(r"labels=(.*);onnx=[0-9a-f]{12}", self.custom_string or "")
        if not found:
            return None
        try:
            listed = json.loads(found[1])
        except ValueError:
            listed = None
        return listed if isinstance(listed, list) else found[1].split(",")

    @property
    def mini(self) -> bool:
        """Whether it is of the kind for chips as small as the RV1106."""
        return self.version >> 8 == MINI >> 8

    @property
    def is_known(self) -> bool:
        """Whether more than chip and toolkit is read of files of its version."""
        return self.version in (MINI, FULL)

    @property
    def input(self) -> Tensor:
        """The picture, of a file without `problems`."""
        return self.inputs[0]

    @property
    def output(self) -> Tensor:
        """The logits, of a file without `problems`."""
        return self.outputs[0]


def read(path: Path) -> RknnFile:
    """Parse a `.rknn` file.

    Raises:
        Finding: not an `.rknn` file, cut short, changed on the way, or of an unknown version.
    """
    name = relative(path)
    if path.is_dir():
        raise Finding(
            _("{name} is a folder").format(name=name),
            Cure(_AGAIN.step, _("name the .rknn file in it")),
        )
    if not path.is_file():
        raise Finding(
            _("{name} is missing").format(name=name),
            Cure(_("run 05_convert first"), _("name a .rknn file")),
        )
    if path.stat().st_size > MODULE_MB << 20:
        raise Finding(
            _(
                "{name} has {st_size:,} MB, more than all the memory of the module ({module_mb} MB)"
            ).format(name=name, st_size=path.stat().st_size >> 20, module_mb=MODULE_MB),
            Cure(*["it is no model for it"] * 2),
        )
    content = path.read_bytes()
    if content[:4] != MAGIC[:4]:
        raise _no_rknn(path)
    if len(content) < HEADER:
        raise Finding(_("{name} is cut short within its header").format(name=name), _AGAIN)
    version, length = struct.unpack_from("<QQ", content, 8)
    if changed := damage.of(content):
        raise Finding(f"{name} {changed}", _AGAIN)
    if content[4:8] != MAGIC[4:] or not _is_version(version):
        raise Finding(
            _("{name} has the unknown version {version:#x}").format(name=name, version=version),
            _AGAIN,
        )
    if version in (MINI, FULL):
        return _read(name, content, version, HEADER + length)
    return _read_origin(name, content, version, length)


def _is_version(version: int) -> bool:
    """Whether it is of a kind that Rockchip has used: 1 to 6, and 0x1001 to 0x1004."""
    return version >> 8 in (FULL >> 8, MINI >> 8) and 0 < version & 0xFF <= FULL


def _no_rknn(path: Path) -> Finding:
    name, kind = relative(path), file_kinds.of(path)
    if not kind.key:
        return Finding(
            _("{name} does not begin with RKNN, so it is no .rknn file").format(name=name), _AGAIN
        )
    cure = _OTHER_KINDS.get(kind.key, kind.cure)
    cure = "name the .rknn file" if cure == file_kinds.NOT_HERE else cure
    return Finding(
        _("{name} is {what}, no .rknn file").format(name=name, what=kind.what),
        Cure(_AGAIN.step, cure),
    )


def _read(name: str, content: bytes, version: int, trailer: int) -> RknnFile:
    if len(content) < trailer + 8:
        raise Finding(
            _("{name} is cut short: {count} bytes, its header announces at least {trailer}").format(
                name=name, count=len(content), trailer=trailer + 8
            ),
            _AGAIN,
        )
    (length,) = struct.unpack_from("<Q", content, trailer)
    if len(content) != trailer + 8 + length:
        raise Finding(
            _("{name} has {count} bytes, its header announces {trailer}").format(
                name=name, count=len(content), trailer=trailer + 8 + length
            ),
            _AGAIN,
        )
    if length > rknn_description.LARGEST_TEXT:
        raise Finding(
            _("{name} has a description of {length:,} bytes, too long").format(
                name=name, length=length
            ),
            _AGAIN,
        )
    payload = content[HEADER:trailer]
    try:
        description = Description.model_validate(json.loads(content[trailer + 8 :]))
        return RknnFile(
            version=version,
            target_platforms=description.target_platform,
            toolkit=description.version,
            inputs=description.tensors("input", payload),
            outputs=description.tensors("output", payload),
            custom_string=rknn_description.custom_string(payload) if version == MINI else None,
            size=len(content),
        )
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError):
        # ValueError: no JSON, no UTF-8, a wrong type; the last three: ast, on a hostile text
        raise Finding(
            _("{name} has a description that cannot be read").format(name=name), _AGAIN
        ) from None


def _read_origin(name: str, content: bytes, version: int, payload: int) -> RknnFile:
    """Chip and toolkit of a file whose form is known no further."""
    for header in (OLD_HEADER, HEADER):
        trailer = header + payload
        if len(content) < trailer + 8:
            continue
        (length,) = struct.unpack_from("<Q", content, trailer)
        try:
            text = content[trailer + 8 : trailer + 8 + min(length, rknn_description.LARGEST_TEXT)]
            origin = Origin.model_validate(json.loads(text))
        except (ValueError, RecursionError):
            continue
        chips = origin.target_platform
        chips = [chips] if isinstance(chips, str) else chips
        return RknnFile(version, chips, origin.version, [], [], None, len(content))
    raise Finding(
        _(
            "{name} is of version {version:#x}, an older form, and does not say for which chip"
        ).format(name=name, version=version),
        _AGAIN,
    )


def problems(file: RknnFile) -> list[Finding]:
    """Why the module would refuse or misread a parsed file; empty if nothing.

    Only what the file itself can say: whether mean and std are the ones the network was
    trained with, only its recipe knows (`require_deployable`).
    """
    found = []
    if PLATFORM not in file.target_platforms:
        chips = ", ".join(map(str, file.target_platforms)) or "no chip"
        found.append((f"the .rknn file is for {chips}, the module is an {PLATFORM}", _CONVERT))
    if not file.is_known:
        found.append(
            (
                f"it is a file of version {file.version:#x}, made by toolkit "
                f"{file.toolkit or '(which it does not say)'}; the RV1106 runs {MINI:#x}, and "
                "nothing more is read of others",
                _CONVERT,
            )
        )
    elif not file.mini:
        found.append(
            (
                "the .rknn file is a full model, which the RV1106 runtime cannot load: it was "
                "built with dynamic_input or for a larger chip",
                _CONVERT,
            )
        )
    if file.is_known:
        found += _tensor_problems(file)
    return [Finding(cause, cure) for cause, cure in found]


def _tensor_problems(file: RknnFile) -> list[tuple[str, Cure]]:
    found = []
    for role, tensors in (("input", file.inputs), ("output", file.outputs)):
        if len(tensors) != 1:
            names = ", ".join(tensor.name for tensor in tensors)
            found.append(
                (
                    f"it has {len(tensors)} {role}s ({names}), and the module's classifier has one",
                    Cure(
                        _("run 03_export"),
                        _("export the network with one picture and one row of logits"),
                    ),
                )
            )
        found += [
            (
                f"the {role} {tensor.name} is {tensor.dtype}, the module's SDK works on int8",
                Cure(*["quantize the model and leave Softmax out"] * 2),
            )
            for tensor in tensors
            if tensor.dtype != "int8"
        ]
    return found + _shape_problems(file) + _normalisation_problems(file)


def _shape_problems(file: RknnFile) -> list[tuple[str, Cure]]:
    found = []
    for tensor in file.inputs[:1]:
        if len(tensor.shape) != 4 or tensor.shape[:2] != [1, 3]:
            found.append(
                (
                    f"the input is {tensor.shape}, the module's SDK feeds one picture of three "
                    "channels, [1, 3, H, W]",
                    Cure(_("run 03_export"), _("convert it with `mnist-rknn export --to-rgb`")),
                )
            )
    for tensor in file.outputs[:1]:
        if len(tensor.shape) != 2 or tensor.shape[0] != 1:
            found.append(
                (
                    f"the output is {tensor.shape}, the module's SDK reads one row of logits, "
                    "[1, C]",
                    Cure(_("run 03_export"), _("convert it with `mnist-rknn export`")),
                )
            )
    return found


def _normalisation_problems(file: RknnFile) -> list[tuple[str, Cure]]:
    for tensor in file.inputs[:1]:
        mean, std = tensor.mean, tensor.std
        if not mean or not std:
            return [
                (
                    "no mean and std are in the file: the NPU would not normalise the picture",
                    Cure(_("run 05_convert"), _("give them when it is converted")),
                )
            ]
        if max(std) <= 1 and max(map(abs, mean)) <= 1 and mean != [0, 0, 0]:
            return [
                (
                    f"mean {mean} and std {std} look like fractions, and the NPU counts pixels "
                    "from 0 to 255",
                    Cure(
                        _("multiply them by 255 and run 05_convert"),
                        _("multiply them by 255, or write type fp32, and convert it again"),
                    ),
                )
            ]
    return []


def remarks(file: RknnFile) -> list[str]:
    """What works, but not with every program; a sentence each."""
    width = file.inputs[0].shape[-1] if file.inputs and len(file.inputs[0].shape) == 4 else 0
    if width % 16 == 0:
        return []
    return [
        f"the input is {width} pixels wide, and the NPU reads rows in steps of 16: a program must "
        "leave a gap behind each row (the runtime's w_stride), and the maker's example does not; "
        "with its option --pad-to `mnist-rknn export` makes a model that needs none"
    ]


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
        Finding: names what is wrong and why the board would refuse or misread it.
    """
    for problem in problems(file):
        raise problem
    if file.input.shape != input_shape:
        raise Finding(
            _("the input is {shape}, the recipe's image is {input_shape}").format(
                shape=file.input.shape, input_shape=input_shape
            ),
            _CONVERT,
        )
    if file.input.mean != mean or file.input.std != std:
        raise Finding(
            _(
                "the .rknn file normalises with mean {mean} and std {std}, the recipe "
                "with {mean2} and {std2}"
            ).format(mean=file.input.mean, std=file.input.std, mean2=mean, std2=std),
            _CONVERT,
        )
    if custom_string is not None and file.custom_string != custom_string:
        raise Finding(
            _(
                "the custom string of the .rknn file is {custom_string!r}, not "
                "{custom_string2!r}: it was made from another ONNX model"
            ).format(custom_string=file.custom_string, custom_string2=custom_string),
            _CONVERT,
        )
