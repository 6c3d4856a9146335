"""One interface over four engines: Paddle, ONNX, slim ONNX, and the RKNN simulator.

Each engine is a function from pictures, uint8 [N, H, W, 3] in the network's colour order, to
float32 [N, classes]. ONNX, slim ONNX and the simulator answer with logits. Paddle's export
ends in Softmax, so its answer is the logarithm of that: the logits, less one number a picture.
`log_softmax` makes the others comparable.
"""

import multiprocessing
import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PipelineError
from ..files import relative
from ..recipe import Export, Image, Recipe
from . import rknn_toolkit

BATCH = 100
SMALLEST = np.finfo(np.float32).tiny  # keeps the logarithm of a vanished probability finite


def normalize(images: np.ndarray, image: Image) -> np.ndarray:
    """float32 [N, 3, H, W] = (pixel - mean) / std of uint8 [N, H, W, 3]."""
    mean = np.asarray(image.mean, np.float32)
    std = np.asarray(image.std, np.float32)
    return np.ascontiguousarray(((images.astype(np.float32) - mean) / std).transpose(0, 3, 1, 2))


def in_network_order(images: np.ndarray, image: Image) -> np.ndarray:
    """Pictures in the colour order the recipe trains with; `images` are RGB."""
    return images if image.color_order == "rgb" else np.ascontiguousarray(images[..., ::-1])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithm of the Softmax of each row, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def run_paddle(folder: Path, images: np.ndarray, image: Image) -> np.ndarray:
    """Log-probabilities of a Paddle inference model.

    Args:
        folder: holds `inference.json` (or `.pdmodel`) and `inference.pdiparams`.
    """
    from paddle import inference

    model = folder / "inference.json"
    if not model.is_file():
        model = folder / "inference.pdmodel"
    if not model.is_file():
        raise PipelineError(f"{relative(folder)} holds no inference model: run 02_train first")
    config = inference.Config(str(model), str(folder / "inference.pdiparams"))
    config.disable_gpu()
    config.disable_mkldnn()  # plain float32 kernels: this stage is the reference
    config.set_cpu_math_library_num_threads(1)
    config.disable_glog_info()
    predictor = inference.create_predictor(config)
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    result = predictor.get_output_handle(predictor.get_output_names()[0])
    outputs = []
    for batch in _batches(images):
        source.copy_from_cpu(normalize(batch, image))
        predictor.run()
        outputs.append(result.copy_to_cpu())
    return np.log(np.maximum(np.concatenate(outputs), SMALLEST))


def run_onnx(
    path: Path,
    images: np.ndarray,
    image: Image,
    tensor: str | None = None,
    as_written: bool = False,
) -> np.ndarray:
    """Output of an ONNX model in onnxruntime.

    Args:
        path: the model; a fixed batch dimension of 1 is honoured.
        tensor: name of an inner tensor to return instead of the graph's output.
        as_written: run each node as it stands. Otherwise onnxruntime replaces the nodes of a
            quantized graph by integer kernels of its own, which round elsewhere (measured: 8
            output steps of difference on a network where this way differs by 1).

    Raises:
        PipelineError: if the graph has no such tensor.
    """
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    if tensor and tensor not in [output.name for output in model.graph.output]:
        inner = [name for node in model.graph.node for name in node.output]
        if tensor not in inner:
            raise PipelineError(
                f"{path.name} has no tensor {tensor!r}; choose one of {', '.join(inner)}"
            )
        del model.graph.output[:]
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    source = session.get_inputs()[0]
    size = source.shape[0] if isinstance(source.shape[0], int) else BATCH
    outputs = [
        session.run([tensor] if tensor else None, {source.name: normalize(batch, image)})[0]
        for batch in _batches(images, size)
    ]
    return np.concatenate(outputs).astype(np.float32)


def _batches(images: np.ndarray, size: int = BATCH) -> Iterator[np.ndarray]:
    for start in range(0, len(images), size):
        yield images[start : start + size]


def require_alike(difference: float, wanted: Export) -> None:
    """Check that the exported graphs answer as Paddle does.

    Args:
        difference: the largest between the logits of two stages, or their logarithms.

    Raises:
        PipelineError: more than the recipe allows, or no number.
    """
    if not difference <= wanted.max_difference:
        raise PipelineError(
            f"the answers differ by {difference:.1e}, more than export.max_difference "
            f"{wanted.max_difference:g}: the export changed the network; try another export.opset"
        )


# --- RKNN simulator -------------------------------------------------------------------


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
        workers: number of processes; a process does 1,000 to 1,500 pictures of 32x32 a second.
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
            workers,
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
        for output in self._pool.map(_run_in_worker, _batches(images, 250)):
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
        raise PipelineError(f"{relative(path)} is missing: run 05_convert first")
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
    quantized = recipe.rknn.do_quantization
    with rknn_toolkit.captured(log):
        rknn = rknn_toolkit.build(arguments, onnx_file, calibration_list, log, quantized)
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
        raise PipelineError(f"{relative(golden)} is damaged: run 05_convert again") from None
    if not np.array_equal(run_simulator(rknn, images), logits):
        raise PipelineError(
            "the simulator does not give the golden answers: this is not the model that 05_convert "
            "exported; give the settings and the toolkit of the run, or run 05_convert again"
        )


def run_simulator(rknn: Any, images: np.ndarray) -> np.ndarray:
    """Logits float32 [N, classes] of uint8 [N, H, W, 3] from an initialised `RKNN` object.

    Raises:
        PipelineError: pictures that are normalised already, or no answer.
    """
    if images.dtype != np.uint8:
        raise PipelineError(
            f"the RKNN simulator was given {images.dtype}: it normalises pictures itself, as the "
            "NPU does, and takes the values of others without a word; give uint8, 0 to 255"
        )
    outputs = []
    for picture in images:
        # NHWC is what the board takes; saying so avoids a warning a call.
        answer = rknn.inference(inputs=[picture[None]], data_format=["nhwc"])
        if answer is None:
            raise PipelineError("the RKNN simulator gave no answer: run 05_convert again")
        outputs.append(answer[0].reshape(1, -1))
    return np.concatenate(outputs).astype(np.float32)
