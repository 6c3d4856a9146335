"""The maker's recipe files, `configs/*.yaml` of LockzhinerAI/LockzhinerVisionModule.

Mean and std are written in the order blue, green, red; `config.type` says whether they count from
0 to 1 (`fp32`) or are pixel values (`int8`).
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import yaml

from .. import file_kinds, recipe_file
from ..errors import PipelineError
from ..files import relative, write_text
from ..language import _
from ..recipe import Recipe
from . import onnx_graph, rknn_toolkit

DTYPES = {  # that build the one kind of model the RV1106 runs; the second is its older name
    rknn_toolkit.QUANTIZED_DTYPE: rknn_toolkit.QUANTIZED_DTYPE,
    "asymmetric_quantized-8": rknn_toolkit.QUANTIZED_DTYPE,
}
ALGORITHMS = ("normal", "kl_divergence", "mmse")
# Whose a file with such keys is, where it has none of the maker's sections.
STRANGERS: tuple[tuple[set[str], str], ...] = (
    ({"PreProcess", "PostProcess", "Hpi"}, "the inference.yml that PaddleX exports beside a model"),
    ({"CheckDataset", "Train", "Evaluate", "Predict"}, "a training file of PaddleX"),
    ({"Arch", "DataLoader", "Optimizer"}, "a training file of PaddleClas"),
    ({"models"}, "a model_config.yml of rknn-toolkit2"),
    ({"names", "nc"}, "a data set's file of YOLO"),
)
_FLAGS = {"target_platform": "--target_platform", "verbose": "--verbose"}


class Wrong(ValueError):
    """What is wrong with a value, to stand behind its key."""


@dataclass(frozen=True)
class MakerRecipe:
    """One of the maker's recipe files."""

    inputs: str  # name of the picture in the graph
    input_size: list[int]
    outputs: str  # name of the logits
    mean: list[float]  # pixel units, in the file's order; one value or three
    std: list[float]
    quantized_dtype: str
    quantized_algorithm: str
    optimization_level: int
    dataset: str  # the calibration list, relative to the working folder
    remarks: list[str]  # warnings, a sentence each


def load(path: Path) -> MakerRecipe:
    """Read and check one of the maker's recipe files.

    Raises:
        PipelineError: no such file, another kind of file, not YAML, or a key or value that cannot
            work; the message names it.
    """
    name = relative(path)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "missing"
        raise PipelineError(
            _("{name} is {kind}: give one of the maker's recipe files, LZ-*.yaml").format(
                name=name, kind=kind
            )
        )
    if (found_kind := file_kinds.of(path)).key not in (*file_kinds.TEXTS, "zeros"):
        raise PipelineError(
            _("{name} is {what}: give one of the maker's LZ-*.yaml").format(
                name=name, what=found_kind.what
            )
        )
    content = recipe_file.parse_yaml(path, every_value_as_text=False)
    _require_the_makers(content, name)
    written = recipe_file.parse_yaml(path, every_value_as_text=True)
    names = written["load_onnx"] if isinstance(written.get("load_onnx"), dict) else {}
    found: dict[str, Any] = {}
    for section, keys in _KEYS.items():
        found |= _section(name, section, content.get(section), names, keys)
    mean, std = (_pixels(found.pop(key), found["type"]) for key in ("mean", "std"))
    remarks = _check_normalisation(name, found.pop("type"), mean, std)
    if found.pop("do_quantization") is not True:
        raise PipelineError(
            _("{name}: build.do_quantization: the RV1106 NPU has no float mode").format(name=name)
        )
    return MakerRecipe(mean=mean, std=std, remarks=remarks, **found)


def _require_the_makers(content: Any, name: str) -> None:
    if content is None:
        raise PipelineError(
            _("{name} is empty: start from one of the maker's LZ-*.yaml").format(name=name)
        )
    if not isinstance(content, dict):
        raise PipelineError(
            _("{name} holds a {remark}, and a recipe file has the sections {keys}").format(
                name=name,
                remark="list" if isinstance(content, list) else "text",
                keys=", ".join(_KEYS),
            )
        )
    keys = set(map(str, content))
    if not keys & set(_KEYS):
        whose = next((whose for known, whose in STRANGERS if keys & known), "")
        if not whose and keys & (set(Recipe.model_fields) - {"name"}):
            raise PipelineError(
                _(
                    "{name} is a recipe of this project, not one of the maker's: use it "
                    "with `make rknn RECIPE={name}`"
                ).format(name=name)
            )
        found = f"is {whose}" if whose else f"has the keys {', '.join(sorted(keys)[:5])}"
        raise PipelineError(
            _(
                "{name} {found}, and has none of the maker's sections {keys}: give one "
                "of the maker's LZ-*.yaml"
            ).format(name=name, found=found, keys=", ".join(_KEYS))
        )
    for key in sorted(keys - set(_KEYS)):
        raise PipelineError(
            _("{name}: unknown key {key}: the sections are {keys}").format(
                name=name, key=key, keys=", ".join(_KEYS)
            )
        )


def _section(
    name: str, section: str, values: Any, texts: Any, keys: dict[str, "_Key"]
) -> dict[str, Any]:
    """The values of one section, by key."""
    if values is None:
        raise PipelineError(
            _("{name}: {section} is missing: it holds {keys}").format(
                name=name, section=section, keys=", ".join(keys)
            )
        )
    if not isinstance(values, dict):
        raise PipelineError(
            _("{name}: {section} must hold {keys}, not {values!r}").format(
                name=name, section=section, keys=", ".join(keys), values=values
            )
        )
    for key in values:
        if key not in keys:
            what = f"is the flag {_FLAGS[key]}, no key" if key in _FLAGS else "is unknown"
            raise PipelineError(
                _(
                    "{name}: {section}.{key} {what}: remove the line; the keys here are {keys}"
                ).format(name=name, section=section, key=key, what=what, keys=", ".join(keys))
            )
    found = {}
    for key, (read, default, as_text) in keys.items():
        value = (texts if as_text else values).get(key, default)
        try:
            if value is _WANTED:
                raise Wrong(f"is missing: {_EXAMPLES[key]}")
            if value is None or (value == "" and not as_text):
                raise Wrong(f"is empty: {_EXAMPLES[key]}")
            found[_FIELDS.get(key, key)] = read(value)
        except Wrong as wrong:
            raise PipelineError(f"{name}: {section}.{key} {wrong}") from None
    return found


# --- values ---------------------------------------------------------------------------


def _name(value: Any) -> str:
    """One tensor's name, as it is written: in YAML 21, on and 1e3 are no texts.

    It is empty where none is written: what to write, the graph says.
    """
    names = value if isinstance(value, list) else [value]
    if not names:
        return ""
    if len(names) > 1:
        shown = ", ".join(map(str, names[:3])) + (" ..." if len(names) > 3 else "")
        raise Wrong(
            f"names {len(names)} tensors ({shown}), and the module's classifier has one picture "
            "and one row of logits"
        )
    if not isinstance(names[0], str):
        raise Wrong(f"is {names[0]!r}, no name")
    return names[0]


def _size(value: Any) -> list[int]:
    flat = value if isinstance(value, list) else [value]
    if flat and not any(isinstance(size, list) for size in flat):
        wanted = flat if all(_is_whole(size) for size in flat) else "[1, 3, H, W]"
        raise Wrong(f"is {value!r}, a list of lists is wanted: write [{wanted}]")
    if len(flat) != 1:
        raise Wrong(f"has {len(flat)} sizes, and the module's classifier has one picture")
    [size] = flat
    if not isinstance(size, list) or not all(_is_whole(number) and number > 0 for number in size):
        raise Wrong(f"is {value!r}: write whole numbers from 1, such as [[1, 3, 32, 32]]")
    return size


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _three(value: Any) -> list[float]:
    """Three numbers, or one for a gray picture; in one list or, as the toolkit has it, in two."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    numbers = value if isinstance(value, list) else [value]
    for number in numbers:
        if isinstance(number, str) and re.search(r"\d\s*[*/+-]\s*\d", number):
            raise Wrong(f"has {number!r}, no number: YAML does not calculate, write the result")
        real = isinstance(number, int | float) and not isinstance(number, bool)
        if not real or not math.isfinite(number):
            raise Wrong(f"has {number!r}, no number: write three, such as [0.5, 0.5, 0.5]")
    if len(numbers) not in (1, 3):
        comma = "; decimals have a point: 0.5" if len(numbers) == 6 else ""
        raise Wrong(f"has {len(numbers)} values, one for each of three channels is wanted{comma}")
    return [float(number) for number in numbers]


def _one_of(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise Wrong(f"is {value!r}: write {' or '.join(choices)}")
        return str(value)

    return read


def _dtype(value: Any) -> str:
    if value not in DTYPES:
        raise Wrong(
            f"is {value!r}, which the RV1106 does not run, or boards answered wrongly with: write "
            f"{rknn_toolkit.QUANTIZED_DTYPE}, or remove the line"
        )
    return DTYPES[value]


def _level(value: Any) -> int:
    if not _is_whole(value) or not 0 <= value <= 3:
        raise Wrong(f"is {value!r}: write 0, 1, 2 or 3")
    return int(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"is {value!r}: write True")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"is {value!r}, no file's name")
    return value


_WANTED = object()
_Key = tuple[Callable[[Any], Any], Any, bool]  # how it is read, its default, and if as it stands
_KEYS: dict[str, dict[str, _Key]] = {
    "load_onnx": {
        "inputs": (_name, "", True),
        "input_size_list": (_size, _WANTED, False),
        "outputs": (_name, "", True),
    },
    "config": {
        "mean": (_three, _WANTED, False),
        "std": (_three, _WANTED, False),
        "type": (_one_of("fp32", "int8"), "fp32", False),
        "quantized_dtype": (_dtype, rknn_toolkit.QUANTIZED_DTYPE, False),
        "quantized_algorithm": (_one_of(*ALGORITHMS), "normal", False),
        "optimization_level": (_level, 3, False),
    },
    "build": {
        "do_quantization": (_truth, True, False),
        "dataset": (_text, "./dataset.txt", False),
    },
}
_EXAMPLES = {
    "input_size_list": "write the graph's own, such as [[1, 3, 32, 32]]",
    "mean": "write three numbers, such as [0.5, 0.5, 0.5]",
    "std": "write three numbers, such as [0.5, 0.5, 0.5]",
    "type": "write fp32 or int8",
    "quantized_dtype": f"write {rknn_toolkit.QUANTIZED_DTYPE}",
    "quantized_algorithm": "write normal",
    "optimization_level": "write 3",
    "do_quantization": "write True",
    "dataset": "write the name of the calibration list, such as ./dataset.txt",
}
_FIELDS = {"input_size_list": "input_size"}


def _pixels(values: list[float], kind: str) -> list[float]:
    return [255 * value for value in values] if kind == "fp32" else values


def _check_normalisation(name: str, kind: str, mean: list[float], std: list[float]) -> list[str]:
    """Refuse mean and std of the wrong unit; returns warnings of odd ones.

    Args:
        mean, std: in pixels.
    """
    said = f"{name}: config.type is {kind}"
    if len(mean) != len(std):
        raise PipelineError(
            _("{name}: config.mean has {count} values, config.std {count2}").format(
                name=name, count=len(mean), count2=len(std)
            )
        )
    if min(std) <= 0:
        raise PipelineError(
            _("{name}: config.std is {std} in pixels: it must be above 0").format(
                name=name, std=std
            )
        )
    if max(std) > 255 or max(map(abs, mean)) > 255:
        raise PipelineError(
            _(
                "{said}, so mean and std become {mean} and {std} in pixels, beyond "
                "255: fp32 is for values from 0 to 1, int8 for pixel values"
            ).format(said=said, mean=mean, std=std)
        )
    fractions = max(std) < 1 or (max(std) == 1 and 0 < max(map(abs, mean)) <= 1)
    if kind == "int8" and fractions:
        raise PipelineError(
            _(
                "{said} and mean and std are {mean} and {std}: values from 0 to 1 need "
                "type fp32; the toolkit would take them without a word"
            ).format(said=said, mean=mean, std=std)
        )
    if min(mean) < 0:
        return [
            f"warning: config.mean {mean} is below 0: the NPU adds it to the pixels; remove the "
            "minus if the network was trained with the mean subtracted"
        ]
    return []


# --- writing --------------------------------------------------------------------------


def write(path: Path, recipe: Recipe, model: onnx.ModelProto, listed: Path) -> None:
    """Write the maker's recipe file for a model of ours, for the maker's `utils/export.py`.

    Args:
        model: the graph that the command will be given, `<recipe>.onnx`.
        listed: the calibration list, to lie in the working folder of the command, with its
            pictures where the list says.
    """
    image = recipe.image
    # Blue first; the NPU applies the values in the order in which the network was trained.
    turn = -1 if image.color_order == "rgb" else 1
    content: dict[str, Any] = {
        "load_onnx": {
            "inputs": [onnx_graph.input_of(model).name],
            "input_size_list": [[1, 3, image.height, image.width]],
            "outputs": [onnx_graph.find_logits(model, recipe.export.logits)],
        },
        "config": {
            "mean": image.mean[::turn],
            "std": image.std[::turn],
            "type": "int8",
            "quantized_dtype": rknn_toolkit.QUANTIZED_DTYPE,
            "quantized_algorithm": recipe.rknn.quantized_algorithm,
            "optimization_level": recipe.rknn.optimization_level,
        },
        "build": {"do_quantization": True, "dataset": f"./{listed.name}"},
    }
    write_text(path, yaml.safe_dump(content, sort_keys=False, default_flow_style=None))
