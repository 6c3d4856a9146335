"""rknn-toolkit2, made to say what it knows and to stop when it should.

The toolkit answers with return codes, prints the compiler's tables to the C library's
standard output, and explains errors in words of its own. Here its output is captured, its
codes are checked, and its tables become data.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from ..capture import log_handlers_to, output_to
from ..errors import Cure, Finding, PipelineError
from ..files import relative
from ..language import _, later
from ..recipe import Recipe
from ..records import Compilation, Layer
from . import torch_standin

# What leaves no choice on this module; `recipe.REFUSED` says why.
PLATFORM = "rv1106"
QUANTIZED_DTYPE = "w8a8"

# Operators the RV1106 runtime can run on its CPU (Rockchip's V2.3.2 operator list).
CPU_OPERATORS = frozenset(
    [
        "Concat",
        "DataConvert",
        "Div",
        "exLayerNorm",
        "Exp",
        "Gather",
        "ReduceL2",
        "ReduceMax",
        "Reshape",
        "ScatterND",
        "Softmax",
        "InputOperator",
        "OutputOperator",
    ]
)

# What the toolkit says, what it means, and what mends it. Looked for in its log and exceptions, in
# order. Before it is called, our own checks look for most of this: they know the line or the name.
_LIST = Cure(later("run 04_calibration"), later("write one picture file a line into the list"))
_PICTURE = Cure(
    later("run `mnist-rknn run 01 --force`"), later("take it off the list, or get it again")
)
_GRAPH = Cure(later("run 03_export again"), later("export the network to ONNX again"))
TRANSLATIONS = (
    (
        r"are constants, The model is invalid",
        "every weight is 0, so the answer is the same for every picture",
        Cure(later("train again with 02_train"), later("give the model that was trained")),
    ),
    (r"is invalid!", "a calibration image is missing or damaged", _PICTURE),
    (r"Unsupport file", "a line of the calibration list is no picture file", _LIST),
    (r"dataset.*not (exist|found)|No such file.*txt", "the calibration list is missing", _LIST),
    (r"list index out of range", "the ONNX graph is empty", _GRAPH),
    (
        r"opset.*(not support|unsupport|<=)|Unsupport onnx opset",
        "the ONNX opset is not one it reads",
        Cure(later("use 7 to 19 for export.opset"), later("export it with opset 7 to 19")),
    ),
    (
        r"invalid target_platform|target_platform.*(unsupport|not in)",
        "it does not know the chip",
        Cure(*[f"use {PLATFORM}"] * 2),
    ),
    (
        r"not support.*dtype|quantized_dtype",
        f"it cannot build this data type for {PLATFORM}",
        Cure(*[f"use {QUANTIZED_DTYPE}"] * 2),
    ),
    (
        r"contains? nan|float NaN|NaN to integer",
        "a std is 0 or a weight is not a number",
        Cure(
            later("correct image.std in the recipe, or train again"),
            later("correct std, or train again"),
        ),
    ),
    (
        r"no devices/emulators found|Get board target failed|get_board_info",
        "there is no board here",
        Cure(*["the simulator is init_runtime() without a target"] * 2),
    ),
    (
        r"input.?shape|input_size_list",
        "the input shape does not fit the graph",
        Cure(later("run 03_export"), later("write the graph's own into load_onnx.input_size_list")),
    ),
)
_UNKNOWN = Cure(
    later("look into the log"),
    later("look into the log; an operator it does not know is best replaced in the network"),
)


def load_api() -> type:
    """The class `RKNN`, with a stand-in for PyTorch where it is not installed.

    Raises:
        PipelineError: the toolkit cannot be imported here.
    """
    torch_standin.install()
    try:
        from rknn.api import RKNN
    except ImportError as error:
        raise PipelineError(
            _("rknn-toolkit2 cannot be imported ({error}): run `make setup`").format(error=error)
        ) from None
    return RKNN


def require_version(wanted: str) -> None:
    """Check that the installed toolkit is the one the recipe asks for."""
    installed = metadata.version("rknn-toolkit2")
    if installed != wanted:
        raise PipelineError(
            _(
                "rknn.toolkit is {wanted}, {installed} is installed: run make with TOOLKIT={wanted}"
            ).format(wanted=wanted, installed=installed)
        )


def config_arguments(recipe: Recipe, custom_string: str = "") -> dict[str, Any]:
    """Arguments of `RKNN.config` for a recipe.

    Mean and std are in pixel units; the NPU computes (pixel - mean) / std itself.
    """
    arguments: dict[str, Any] = {
        "mean_values": [recipe.image.mean],
        "std_values": [recipe.image.std],
        "target_platform": PLATFORM,
        "quantized_dtype": QUANTIZED_DTYPE,
        "quantized_algorithm": recipe.rknn.quantized_algorithm,
        "quantized_method": recipe.rknn.quantized_method,
        "optimization_level": recipe.rknn.optimization_level,
        # Calibration pictures are read as RGB; the network may want BGR.
        "quant_img_RGB2BGR": recipe.image.color_order == "bgr",
    }
    if custom_string:
        arguments["custom_string"] = custom_string
    return arguments


@contextlib.contextmanager
def captured(log: Path) -> Iterator[None]:
    """Send what the toolkit and its compiler print in the block to the file `log`.

    The block runs in a scratch folder, as the toolkit drops `check*.onnx` files where it is;
    paths in it must be absolute.

    Raises:
        PipelineError: the toolkit raised something; the message is in plain words, the
            original stands in the log.
    """
    with (
        output_to(log) as file,
        log_handlers_to(file),
        _scratch_folder(),
    ):
        try:
            yield
        except PipelineError:
            raise
        except Exception as error:  # the toolkit raises everything from ValueError to IndexError
            file.write(f"\n{type(error).__name__}: {error}\n")
            file.flush()
            raise failure("rknn-toolkit2", log) from error


@contextlib.contextmanager
def _scratch_folder() -> Iterator[None]:
    """Work in a temporary folder; `contextlib.chdir` needs Python 3.11."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        try:
            yield
        finally:
            os.chdir(before)


def require_success(call: str, code: int, log: Path) -> None:
    """Check the return code of a toolkit call; every later call would return -1 too.

    Raises:
        PipelineError: the code is not 0; the message is what the log says, in plain words.
    """
    if code != 0:
        raise failure(f"RKNN.{call}", log)


def build(
    arguments: dict[str, Any],
    onnx_file: Path,
    calibration_list: Path,
    log: Path,
    verbose: bool = False,
) -> Any:
    """Build a model, with the calls that 05_convert shows one by one.

    To be called within `captured(log)`.

    Args:
        arguments: of `RKNN.config`.
        verbose: print the compiler's tables, for `parse_log`.

    Returns:
        An `RKNN` object, built.

    Raises:
        PipelineError: a call fails; the message is in plain words.
    """
    rknn = load_api()(verbose=verbose)
    require_success("config", rknn.config(**arguments), log)
    require_success("load_onnx", rknn.load_onnx(model=str(onnx_file)), log)
    code = rknn.build(do_quantization=True, dataset=str(calibration_list))
    require_success("build", code, log)
    return rknn


def failure(call: str, log: Path) -> Finding:
    """What the last error in a toolkit log means, in plain words."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    text = re.sub(r"\x1b\[[\d;]*m", "", text)  # its colours
    errors = [
        line.strip()
        for line in text.splitlines()
        if re.match(r"\s*E\s|.*\bERROR\b|\w*(Error|Exception):", line)
    ]
    errors = [re.sub(r"^E\s+(RKNN: \[[\d:.]+\] )?", "", line) for line in errors]
    noise = ("===", "---", "Traceback", "ValueError: Traceback", "rknn-toolkit2 version")
    errors = [line for line in errors if line and not line.startswith(noise)]
    reason, cure = errors[-1][:200] if errors else "no reason given", _UNKNOWN
    for pattern, meaning, mending in TRANSLATIONS:
        said = [line for line in errors if re.search(pattern, line, re.IGNORECASE)]
        if said:
            reason, cure = f"{meaning} (its words: {said[-1][:120]})", mending
            break
    return Finding(
        _("{call} failed, {log} has the whole log: {reason}").format(
            call=call, log=relative(log), reason=reason
        ),
        cure,
    )


def parse_log(log: Path) -> Compilation:
    """The layer table and memory figures from the log of `build` with `verbose=True`.

    Raises:
        PipelineError: the log holds no table, so nothing is known about the layers.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    start = text.rfind("Network Layer Information Table")
    rows = re.findall(
        r"D RKNN: \[[\d:.]+\] (\d+) +(\S+) +(\S+) +(CPU|NPU) +(.+?) +(\d+)/(\d+)/(\d+) +"
        r"([\d.]+) +(\S.*?) *$",
        text[start:] if start >= 0 else "",
        re.MULTILINE,
    )
    weights = re.findall(r"Total Weight Memory Size: ([\d.]+)KB", text)
    internal = re.findall(r"Total Internal Memory Size: ([\d.]+)KB", text)
    if not rows or not weights or not internal:
        raise PipelineError(
            _(
                "{log} holds no layer table: build with RKNN(verbose=True); without it "
                "nobody knows whether the board takes the model"
            ).format(log=relative(log))
        )
    layers = []
    for number, operator, dtype, target, shapes, ddr, npu, total, traffic, name in rows:
        input_shape, output_shape = shapes.rsplit(maxsplit=1)
        layers.append(
            Layer(
                id=int(number),
                operator=operator,
                dtype=dtype,
                target=target,
                input_shape=input_shape.strip(),
                output_shape=output_shape,
                ddr_cycles=int(ddr),
                npu_cycles=int(npu),
                cycles=int(total),
                traffic_kb=float(traffic),
                name=name,
            )
        )
    return Compilation(
        cycles=sum(layer.cycles for layer in layers),
        weights_kb=float(weights[-1]),
        internal_kb=float(internal[-1]),
        layers=layers,
    )


def require_runnable(compilation: Compilation) -> None:
    """The gate on the layer table: INT8 on the NPU, or an operator the board's CPU has.

    Raises:
        PipelineError: names the layer and why the board would refuse it.
    """
    for layer in compilation.layers:
        if layer.target == "CPU" and layer.operator not in CPU_OPERATORS:
            raise PipelineError(
                _(
                    "layer {id} ({name}) would run on the CPU, and the RV1106 runtime has "
                    "no CPU {operator}: rknn_init would fail on the board; replace the "
                    "operator in the network"
                ).format(id=layer.id, name=layer.name, operator=layer.operator)
            )
        if layer.dtype != "INT8":
            raise PipelineError(
                _(
                    "layer {id} ({name}) is {dtype}, not INT8: the board would refuse or "
                    "misread it; leave Softmax out and quantize every layer"
                ).format(id=layer.id, name=layer.name, dtype=layer.dtype)
            )
