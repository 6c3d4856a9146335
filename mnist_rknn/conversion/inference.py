"""One interface over four engines: Paddle, ONNX, slim ONNX, and the RKNN simulator.

Each engine is a function from pictures, uint8 [N, H, W, 3] in the network's colour order, to
float32 [N, classes]. ONNX, slim ONNX and the simulator answer with logits. Paddle's export
ends in Softmax, so its answer is the logarithm of that: the logits, less one number a picture.
`log_softmax` makes the others comparable.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import PipelineError
from ..files import relative
from ..language import _
from ..recipe import Export, Image

BATCH = 100
VANISHED = -60.0  # logarithms below are of probabilities near float32's limit of 1e-38
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
        raise PipelineError(
            _("{folder} holds no inference model: run 02_train first").format(
                folder=relative(folder)
            )
        )
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
                _("{name} has no tensor {tensor!r}; choose one of {inner}").format(
                    name=path.name, tensor=tensor, inner=", ".join(inner)
                )
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


def largest_difference(paddle: np.ndarray, logits: np.ndarray) -> float:
    """How far logits are from Paddle's answer, as logarithms of probabilities.

    Args:
        paddle: log-probabilities, [N, C].
        logits: [N, C].
    """
    difference = np.abs(log_softmax(logits) - paddle)
    return float(difference[paddle > VANISHED].max())


def require_alike(difference: float, wanted: Export) -> None:
    """Check that the exported graphs answer as Paddle does.

    Args:
        difference: the largest between the logits of two stages, or their logarithms.

    Raises:
        PipelineError: more than the recipe allows, or no number.
    """
    if not difference <= wanted.max_difference:
        raise PipelineError(
            _(
                "the answers differ by {difference:.1e}, more than "
                "export.max_difference {max_difference:g}: the export changed the "
                "network; try another export.opset"
            ).format(difference=difference, max_difference=wanted.max_difference)
        )
