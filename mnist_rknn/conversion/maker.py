"""The maker's recipe files and export command, with this project's gates.

Format: `configs/*.yaml` and `utils/export.py` of LockzhinerAI/LockzhinerVisionModule. Mean and
std are written in the order blue, green, red; `config.type` says whether they count from 0 to 1
(`fp32`) or are pixel values (`int8`).
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import onnx
import onnxslim
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..data import pictures
from ..errors import PipelineError
from ..files import relative, write_text
from ..recipe import FEWEST_CALIBRATION_IMAGES, Recipe
from ..recipe_file import parse_yaml
from ..records import Compilation
from . import calibration, gates, onnx_graph, preflight, rknn_toolkit

LIST_CURE = "write one picture file a line into it"
Three = Annotated[list[float], Field(min_length=3, max_length=3)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LoadOnnx(_Part):
    """`load_onnx`: what is fixed in the graph."""

    inputs: Annotated[list[str], Field(min_length=1, max_length=1)]
    input_size_list: Annotated[list[list[int]], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[str], Field(min_length=1, max_length=1)]


class Config(_Part):
    """`config`: normalisation, blue first, and quantization."""

    mean: Three
    std: Three
    type: Literal["fp32", "int8"] = "fp32"
    quantized_dtype: str = rknn_toolkit.QUANTIZED_DTYPE
    quantized_algorithm: Literal["normal", "kl_divergence", "mmse"] = "normal"
    optimization_level: int = Field(3, ge=0, le=3)

    def in_pixels(self) -> tuple[list[float], list[float]]:
        """Mean and std in pixel units, in the file's order."""
        scale = 255.0 if self.type == "fp32" else 1.0
        return [scale * value for value in self.mean], [scale * value for value in self.std]


class Build(_Part):
    """`build`: the calibration list, relative to the working folder."""

    do_quantization: bool = True
    dataset: str = "./dataset.txt"


class MakerRecipe(_Part):
    """One of the maker's recipe files."""

    load_onnx: LoadOnnx
    config: Config
    build: Build


def load(path: Path) -> MakerRecipe:
    """Read and check one of the maker's recipe files.

    Raises:
        PipelineError: no such file, not YAML, or a key or value that cannot work.
    """
    name = relative(path)
    if not path.is_file():
        raise PipelineError(f"{name} is missing: give one of the maker's recipe files")
    try:
        content = parse_yaml(path)
        found = MakerRecipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise PipelineError(f"{name}: {key}: {first['msg'].lower()}") from None
    if not found.build.do_quantization:
        raise PipelineError(f"{name}: build.do_quantization: the RV1106 NPU has no float mode")
    if found.config.quantized_dtype != rknn_toolkit.QUANTIZED_DTYPE:
        raise PipelineError(
            f"{name}: config.quantized_dtype: {found.config.quantized_dtype} does not run on the "
            f"RV1106 as it should: use {rknn_toolkit.QUANTIZED_DTYPE}"
        )
    mean, std = found.config.in_pixels()
    if not all(0 <= value <= 255 for value in mean) or not all(0 < value <= 255 for value in std):
        raise PipelineError(
            f"{name}: config.type is {found.config.type}, so mean and std become {mean} and {std} "
            "in pixels: fp32 is for values from 0 to 1, int8 for pixel values"
        )
    if found.config.type == "int8" and max(found.config.std) <= 1:
        raise PipelineError(
            f"{name}: config.type is int8 and std is {found.config.std}: values from 0 to 1 need "
            "type fp32; the toolkit would take them without a word"
        )
    size = found.load_onnx.input_size_list[0]
    if len(size) != 4 or size[:2] != [1, 3] or min(size) < 1 or size[3] % 16:
        raise PipelineError(
            f"{name}: load_onnx.input_size_list: {size} must be [1, 3, H, W], W a multiple of 16, "
            "as the NPU reads rows in steps of 16 pixels"
        )
    return found


def export(
    config_path: Path,
    model_load_path: Path,
    model_save_path: Path,
    target_platform: str,
    say: Callable[[str], None] = print,
) -> Compilation:
    """Convert an ONNX model as the maker's `utils/export.py` does, and refuse what cannot work.

    Args:
        say: called with a line for every warning and for the result.

    Raises:
        PipelineError: a wrong recipe, graph or list, or a model the RV1106 would refuse. The
            file at `model_save_path` is then as it was.
    """
    if target_platform.lower() != rknn_toolkit.PLATFORM:
        raise PipelineError(
            f"--target_platform {target_platform}: the Lockzhiner Vision Module is an RV1106"
        )
    recipe = load(config_path)
    size = recipe.load_onnx.input_size_list[0]
    listed = Path(recipe.build.dataset)
    files = calibration.read_list(listed, LIST_CURE)
    _warn_of_pictures(files, size, say)
    mean, std = recipe.config.in_pixels()
    if len(set(mean)) > 1 or len(set(std)) > 1:
        say(
            "warning: mean and std are written blue first, and the toolkit reads calibration "
            "pictures red first: the ranges come from exchanged channels; for gray pictures use "
            "three equal values"
        )
    with tempfile.TemporaryDirectory() as scratch:
        slim = Path(scratch) / "slim.onnx"
        onnx.save(_slim(model_load_path, recipe, size), str(slim))
        absolute = Path(scratch) / "calibration.txt"
        calibration.write_list(absolute, files)
        arguments = {
            "mean_values": [mean],
            "std_values": [std],
            "target_platform": rknn_toolkit.PLATFORM,
            "quantized_dtype": recipe.config.quantized_dtype,
            "quantized_algorithm": recipe.config.quantized_algorithm,
            "optimization_level": recipe.config.optimization_level,
        }
        log = model_save_path.resolve().with_suffix(".log")
        with rknn_toolkit.captured(log):
            rknn = rknn_toolkit.build(arguments, slim, absolute, log, verbose=True)
        compilation = rknn_toolkit.parse_log(log)
        target = model_save_path.resolve()
        with gates.exporting(target, compilation, size, mean, std) as temporary:
            export_log = target.with_suffix(".export.log")
            with rknn_toolkit.captured(export_log):
                code = rknn.export_rknn(str(temporary))
                rknn_toolkit.require_success("export_rknn", code, export_log)
        rknn.release()
        export_log.unlink(missing_ok=True)  # it went well; a failure keeps its log
    say(
        f"{relative(model_save_path)}: {compilation.cycles:,} cycles, "
        f"{compilation.weights_kb:g} KB of weights, {compilation.internal_kb:g} KB internal "
        "(compiler estimate; board: not measured)"
    )
    return compilation


def _slim(path: Path, recipe: MakerRecipe, size: list[int]) -> onnx.ModelProto:
    """The graph with the recipe's fixed shape and named output, checked."""
    model = onnx_graph.load(path)
    [wanted_input], [wanted_output] = recipe.load_onnx.inputs, recipe.load_onnx.outputs
    name = onnx_graph.input_of(model).name
    if wanted_input != name:
        raise PipelineError(
            f"load_onnx.inputs: the graph has no input {wanted_input!r}; its input is {name!r}"
        )
    logits = onnx_graph.find_logits(model)
    tensors = {output for node in model.graph.node for output in node.output}
    if wanted_output not in tensors:
        raise PipelineError(
            f"load_onnx.outputs: the graph has no tensor {wanted_output!r}; the logits are likely "
            f"{logits!r}"
        )
    slim = onnxslim.slim(
        model,
        input_shapes=[f"{name}:{','.join(map(str, size))}"],
        outputs=[wanted_output],
    )
    if wanted_output != logits:
        try:
            onnx_graph.require_logits(slim)
        except PipelineError as error:
            raise PipelineError(
                f"load_onnx.outputs: {wanted_output!r}: {error}; the logits are likely {logits!r}"
            ) from None
    preflight.check_convertible(slim, size)
    return slim


def _warn_of_pictures(files: list[Path], size: list[int], say: Callable[[str], None]) -> None:
    """Refuse pictures that cannot be read; warn of what the toolkit takes silently."""
    images = [calibration.open_image(file, LIST_CURE) for file in files]
    other = sum(image.shape[:2] != (size[2], size[3]) for image in images)
    if other:
        say(
            f"warning: {other} of {len(files)} calibration pictures are not {size[3]}x{size[2]}; "
            "the toolkit squeezes them"
        )
    flat = sum(image.std() < pictures.MIN_CONTRAST for image in images)
    if flat:
        say(f"warning: {flat} of {len(files)} calibration pictures are one flat tone")
    if len(files) < FEWEST_CALIBRATION_IMAGES:
        say(
            f"warning: {len(files)} calibration pictures are few; "
            f"{FEWEST_CALIBRATION_IMAGES} or more find the ranges"
        )


def write_recipe(path: Path, recipe: Recipe, model: onnx.ModelProto, listed: Path) -> None:
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
