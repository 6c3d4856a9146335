"""The maker's export command, `utils/export.py`, with this project's gates.

Its recipe files are read in `maker_recipe`; the graph is brought into the toolkit's form in
`foreign_graph` and `module_input`, the calibration list in `picture_list`.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from .. import text
from ..errors import PipelineError, told_to_owners
from ..files import relative
from ..language import _
from ..records import Compilation
from . import (
    foreign_graph,
    gates,
    graph_check,
    maker_recipe,
    module_input,
    onnx_graph,
    picture_list,
    preflight,
    rknn_file,
    rknn_toolkit,
)

Say = Callable[[str], None]


def export(
    config_path: Path,
    model_load_path: Path,
    model_save_path: Path,
    target_platform: str,
    say: Say = print,
    to_rgb: bool = False,
    pad_to: int | None = None,
) -> Compilation:
    """Convert an ONNX model as the maker's `utils/export.py` does, and refuse what cannot work.

    Args:
        say: called with a line for every warning and for the result.
        to_rgb: make a graph for gray pictures, or with channels last, take the module's.
        pad_to: height and width of the module's picture, of which the graph reads the middle.

    Raises:
        PipelineError: a wrong recipe, graph or list, or a model the RV1106 would refuse. The
            file at `model_save_path` is then as it was.
    """
    if target_platform.lower() != rknn_toolkit.PLATFORM:
        raise PipelineError(
            _(
                "--target_platform {target_platform}: the Lockzhiner Vision Module is an RV1106"
            ).format(target_platform=target_platform)
        )
    with told_to_owners():
        recipe = maker_recipe.load(config_path)
        place = _list_of(recipe.dataset, config_path)
        listed = picture_list.read(place)
        read = [config_path, model_load_path, place]
        read += [entry.file for entry in listed.entries]
        target = _target(model_save_path, read)
        return _convert(recipe, listed, model_load_path, target, (to_rgb, pad_to), say)


def _list_of(written: str, config_path: Path) -> Path:
    """The calibration list, seen from the working folder, whichever system wrote its path.

    Raises:
        PipelineError: it lies beside the recipe file only.
    """
    place = Path(written)
    if not place.exists():
        place = Path(text.slashed(written)).expanduser()
    if not place.exists() and (config_path.parent / place).exists():
        raise PipelineError(
            _(
                "build.dataset: {written} is seen from the working folder, and lies "
                "beside {config_path}: run the command in {parent}"
            ).format(
                written=written,
                config_path=relative(config_path),
                parent=relative(config_path.parent),
            )
        )
    return place


def _target(path: Path, read: list[Path]) -> Path:
    """Where the model goes.

    Raises:
        PipelineError: a folder, a file that is no model of an earlier export, or one that is read.
    """
    name, target = relative(path), path.resolve()
    if target.is_dir():
        raise PipelineError(
            _("--model_save_path {name} is a folder: name a file, {name}/model.rknn").format(
                name=name
            )
        )
    if target in [other.resolve() for other in read]:
        raise PipelineError(
            _(
                "--model_save_path {name} is a file that the export reads: name another one, .rknn"
            ).format(name=name)
        )
    if target.exists() and target.suffix != ".rknn":
        with target.open("rb") as file:
            if not file.read(4).startswith(rknn_file.MAGIC[:4]):
                raise PipelineError(
                    _(
                        "--model_save_path {name} is there already, and is no .rknn file: name "
                        "another one"
                    ).format(name=name)
                )
    there = next(folder for folder in target.parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise PipelineError(
            _(
                "--model_save_path {name}: nothing can be written there ({strerror}): "
                "name another folder"
            ).format(name=name, strerror=error.strerror)
        ) from None
    return target


def _convert(
    recipe: maker_recipe.MakerRecipe,
    listed: picture_list.Listed,
    model_load_path: Path,
    target: Path,
    options: tuple[bool, int | None],
    say: Say,
) -> Compilation:
    images = picture_list.open_images(listed)
    fitted = prepare(recipe, images, model_load_path, *options)
    size = (fitted.shape[2], fitted.shape[3])
    warnings = picture_list.warnings(images, fitted.inner, size, fitted.of_colour)
    for line in (*recipe.remarks, *fitted.remarks, *listed.remarks, *warnings):
        say(line)
    compilation = _build(recipe, fitted, images, target)
    for remark in rknn_file.remarks(rknn_file.read(target)):
        say(f"warning: {remark}")
    say(
        f"{relative(target)}: {fitted.classes} classes, {compilation.cycles:,} cycles, "
        f"{compilation.weights_kb:g} KB of weights, {compilation.internal_kb:g} KB internal "
        "(compiler estimate; board: not measured)"
    )
    return compilation


class Prepared(NamedTuple):
    """A graph that takes the module's picture, and what goes with it."""

    model: onnx.ModelProto
    shape: list[int]  # of its input, [1, 3, H, W]
    inner: tuple[int, int]  # height and width of the picture that the network reads of it
    of_colour: bool  # and whether it reads its colours
    classes: int
    mean: list[float]  # of three channels, in pixels
    std: list[float]
    fed: np.ndarray  # the listed pictures as the module would give them, uint8 [N, H, W, 3]
    remarks: list[str]


def prepare(
    recipe: maker_recipe.MakerRecipe,
    images: picture_list.Images,
    model_load_path: Path,
    to_rgb: bool = False,
    pad_to: int | None = None,
) -> Prepared:
    """Make a graph take the module's picture, and compare it with what it was.

    Args:
        to_rgb, pad_to: as in `export`.

    Raises:
        PipelineError: a graph that no option helps, or the option that does.
    """
    model = onnx_graph.load(model_load_path)
    graph = foreign_graph.open_graph(model, recipe.inputs, recipe.outputs)
    wanted = (pad_to, pad_to) if pad_to else None
    picture = module_input.picture_of(graph, recipe.input_size, wanted)
    inner, size = (picture.height, picture.width), module_input.target_size(picture, pad_to)
    if not to_rgb:
        module_input.require_the_modules(graph, picture)
    mean, std, remarks = _three_channels(recipe, picture)
    fed = picture_list.as_fed(images, inner, size)
    pixels = graph_check.normalised(fed[: graph_check.PICTURES], mean, std)

    foreign_graph.set_input_shape(graph, picture.dimensions)
    before = foreign_graph.only_output(graph.model, graph.output)
    answers = graph_check.answers(graph_check.session(before), graph_check.in_form(pixels, picture))
    remarks += graph_check.input_warnings(before, mean, std)
    is_changed = not picture.is_the_modules or size != inner
    shape = module_input.adapt(graph, picture, size) if is_changed else picture.dimensions
    slim = foreign_graph.slim(graph, shape)
    preflight.check_convertible(slim, shape)
    running = graph_check.session(slim)
    difference = graph_check.require_same(answers, graph_check.answers(running, pixels))
    graph_check.require_sense(running, answers)
    if is_changed:
        remarks.append(
            f"it answers as before: the largest difference of a logit is {difference:.1g} on "
            f"{len(pixels)} calibration pictures (float, on this PC)"
        )
    remarks += graph_check.output_warnings(before)
    classes = foreign_graph.require_classes(slim)
    name = relative(model_load_path)
    remarks = [*(f"{name}: {remark}" for remark in graph.remarks), *remarks]
    return Prepared(slim, shape, inner, picture.channels == 3, classes, mean, std, fed, remarks)


def _three_channels(
    recipe: maker_recipe.MakerRecipe, picture: module_input.Picture
) -> tuple[list[float], list[float], list[str]]:
    """Mean and std of the module's three channels, and a warning where their order matters.

    Raises:
        PipelineError: one value for colours, or several for gray.
    """
    values = {"mean": recipe.mean, "std": recipe.std}
    for key, found in values.items():
        if picture.channels == 3 and len(found) != 3:
            raise PipelineError(
                _(
                    "config.{key} has one value, and the picture three channels: write it "
                    "three times"
                ).format(key=key)
            )
        if picture.channels == 1 and len(set(found)) > 1:
            raise PipelineError(
                _(
                    "config.{key} is {found} in pixels, and a gray picture has one value "
                    "for all: write the one it was trained with"
                ).format(key=key, found=found)
            )
    mean, std = ([found[0]] * 3 if len(found) == 1 else found for found in values.values())
    if len(set(mean)) == len(set(std)) == 1:
        return mean, std, []
    return (
        mean,
        std,
        [
            "warning: mean and std are written blue first, and the toolkit reads calibration "
            "pictures red first: the ranges come from exchanged channels; for gray pictures use "
            "three equal values"
        ],
    )


def _build(
    recipe: maker_recipe.MakerRecipe, fitted: Prepared, images: picture_list.Images, target: Path
) -> Compilation:
    """Run rknn-toolkit2 between the gates; the model gets its name when it has passed them."""
    arguments = {
        "mean_values": [fitted.mean],
        "std_values": [fitted.std],
        "target_platform": rknn_toolkit.PLATFORM,
        "quantized_dtype": recipe.quantized_dtype,
        "quantized_algorithm": recipe.quantized_algorithm,
        "optimization_level": recipe.optimization_level,
    }
    is_padded = fitted.inner != tuple(fitted.shape[2:])
    log = _log_file(target)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        onnx.save(fitted.model, str(folder / "slim.onnx"))
        listed = picture_list.lay_out(images, folder, fitted.fed if is_padded else None)
        with rknn_toolkit.captured(log):
            rknn = rknn_toolkit.build(arguments, folder / "slim.onnx", listed, log, verbose=True)
        compilation = rknn_toolkit.parse_log(log)
        with (
            gates.exporting(
                target, compilation, fitted.shape, fitted.mean, fitted.std
            ) as temporary,
            rknn_toolkit.captured(log),
        ):
            code = rknn.export_rknn(str(temporary))
            rknn_toolkit.require_success("export_rknn", code, log)
        rknn.release()
    log.unlink(missing_ok=True)  # it went well; a failure keeps its log
    return compilation


def _log_file(target: Path) -> Path:
    """A file beside the model for the toolkit's output: none but an earlier one of its own."""
    number = 1
    while True:
        log = target.with_name(f"{target.stem}.export{f'-{number}' if number > 1 else ''}.log")
        if not log.exists() or _is_the_toolkits(log):
            return log
        number += 1


def _is_the_toolkits(log: Path) -> bool:
    with log.open("rb") as file:
        return b"rknn-toolkit2 version" in file.read(10_000)
