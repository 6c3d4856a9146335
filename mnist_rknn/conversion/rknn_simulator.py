"""The RKNN simulator of rknn-toolkit2: the answers of a run's INT8 model, on the PC.

It runs the graph in memory, not the `.rknn` file, so a model is built for it anew; a run's own is
checked against the golden answers of 05_convert before it is used for anything.
"""

import multiprocessing
import os
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PipelineError
from ..files import relative
from ..language import _
from ..machine import cores
from ..recipe import Recipe
from . import rknn_toolkit

BATCH = 250  # pictures that go to a process at once


class Simulator:
    """The INT8 model in rknn-toolkit2's PC simulator, in parallel processes.

    The simulator runs a graph that was built in its own process; it does not read `.rknn`
    files. So every process builds the model from the slim ONNX and the calibration list,
    which gives the same weights every time (a test compares the outputs).

    Args:
        recipe: mean, std and quantization settings.
        onnx_file: the slim ONNX model.
        calibration_list: the list of pictures.
        log: file for the toolkit's output; each process appends its number.
        workers: number of processes, at most one a core; each does 1,000 to 1,500 pictures of
            32x32 a second.
        golden: as in `build`; every process checks its model.
    """

    def __init__(
        self,
        recipe: Recipe,
        onnx_file: Path,
        calibration_list: Path,
        log: Path,
        workers: int,
        golden: Path | None = None,
    ):
        self._pool = ProcessPoolExecutor(
            min(workers, cores()),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_build_in_worker,
            initargs=(recipe, onnx_file, calibration_list, log, golden),
        )

    @classmethod
    def of_run(cls, recipe: Recipe, folder: Path, log: Path) -> "Simulator":
        """A run's own model, which must give the golden answers before it gives others."""
        return cls(recipe, *model_files(recipe, folder), log, recipe.verify.workers, golden(folder))

    def run(
        self, images: np.ndarray, progress: Callable[[int], None] = lambda _: None
    ) -> np.ndarray:
        """Logits float32 [N, classes] of uint8 [N, H, W, 3].

        Args:
            progress: called with the number of pictures finished since the last call.
        """
        outputs = []
        starts = range(0, len(images), BATCH)
        batches = [images[start : start + BATCH] for start in starts]
        for output in self._pool.map(_run_in_worker, batches):
            outputs.append(output)
            progress(len(output))
        return np.concatenate(outputs)

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


_worker_model = None


def _build_in_worker(
    recipe: Recipe, onnx_file: Path, calibration_list: Path, log: Path, golden: Path | None
) -> None:
    global _worker_model
    _worker_model = None
    try:
        _worker_model = build(
            recipe, onnx_file, calibration_list, log.with_suffix(f".{os.getpid()}.log"), golden
        )
    except PipelineError as error:
        _worker_model = error  # an exception here would be reported as a broken pool


def _run_in_worker(images: np.ndarray) -> np.ndarray:
    if isinstance(_worker_model, PipelineError):
        raise _worker_model
    return run_simulator(_worker_model, images)


def golden(folder: Path) -> Path:
    """The golden answers of a run, `golden.npz`.

    Raises:
        PipelineError: they are not there, so that nothing says which model was exported.
    """
    path = folder / "golden.npz"
    if not path.is_file():
        raise PipelineError(
            _("{path} is missing: run 05_convert first").format(path=relative(path))
        )
    return path


def model_files(recipe: Recipe, folder: Path) -> tuple[Path, Path]:
    """What a run's model is built from: the slim ONNX model and the calibration list."""
    return folder / f"{recipe.name}.slim.onnx", folder / "calibration.txt"


def build_of_run(recipe: Recipe, folder: Path, log: Path) -> Any:
    """`build` a run's own model, and check it against the golden answers."""
    return build(recipe, *model_files(recipe, folder), log, golden(folder))


def build(
    recipe: Recipe,
    onnx_file: Path,
    calibration_list: Path,
    log: Path,
    golden: Path | None = None,
) -> Any:
    """Build a model for the simulator.

    Args:
        golden: `golden.npz` of the run whose model this must be; None for any other model.

    Returns:
        An `RKNN` object, ready for `run_simulator`.

    Raises:
        PipelineError: the build fails, or gives other answers than the golden ones.
    """
    rknn_toolkit.require_version(recipe.rknn.toolkit)
    arguments = rknn_toolkit.config_arguments(recipe)
    with rknn_toolkit.captured(log):
        rknn = rknn_toolkit.build(arguments, onnx_file, calibration_list, log)
        rknn_toolkit.require_success("init_runtime", rknn.init_runtime(), log)
        shape = (1, recipe.image.height, recipe.image.width, 3)
        run_simulator(rknn, np.zeros(shape, np.uint8))  # the first call prepares and prints
    if golden is not None:
        _require_golden(rknn, golden)
    log.unlink(missing_ok=True)  # it went well; a failure keeps its log
    return rknn


def _require_golden(rknn: Any, golden: Path) -> None:
    try:
        with np.load(golden) as arrays:
            images, logits = arrays["images"], arrays["logits"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise PipelineError(
            _("{golden} is damaged: run 05_convert again").format(golden=relative(golden))
        ) from None
    if not np.array_equal(run_simulator(rknn, images), logits):
        raise PipelineError(
            _(
                "the simulator does not give the golden answers: this is not the model "
                "that 05_convert exported; use the toolkit that the run was made with, "
                "or run 05_convert again"
            )
        )


def run_simulator(rknn: Any, images: np.ndarray) -> np.ndarray:
    """Logits float32 [N, classes] of uint8 [N, H, W, 3] from an initialised `RKNN` object.

    Raises:
        PipelineError: pictures that are normalised already, or no answer.
    """
    if images.dtype != np.uint8:
        raise PipelineError(
            _(
                "the RKNN simulator was given {dtype}: it normalises pictures itself, "
                "as the NPU does, and takes the values of others without a word; give "
                "uint8, 0 to 255"
            ).format(dtype=images.dtype)
        )
    outputs = []
    for picture in images:
        # NHWC is what the board takes; saying so avoids a warning a call.
        answer = rknn.inference(inputs=[picture[None]], data_format=["nhwc"])
        if answer is None:
            raise PipelineError(_("the RKNN simulator gave no answer: run 05_convert again"))
        outputs.append(answer[0].reshape(1, -1))
    return np.concatenate(outputs).astype(np.float32)
