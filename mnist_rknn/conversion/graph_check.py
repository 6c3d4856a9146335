"""Whether the graph that goes to rknn-toolkit2 answers as the one that was brought, and sensibly.

Both are run in onnxruntime on the pictures of the calibration list.
"""

import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime

from ..errors import PipelineError
from ..language import _
from . import onnx_graph
from .module_input import Picture

PICTURES = 24  # of the list that are asked
LARGEST_DIFFERENCE = 1e-3  # of the largest logit: what another order of sums may make
_NARROWEST, _WIDEST = 0.3, 10  # of what a network takes, from a black pixel to a white one


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """The graph in onnxruntime, on one thread, in silence.

    Raises:
        PipelineError: it does not run there.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has a class for each of its statuses
        raise _does_not_run(error) from None


def _does_not_run(error: Exception) -> PipelineError:
    words = " ".join(str(error).split()).rpartition("] : ")[2][:160]
    return PipelineError(
        _(
            "the graph does not run as it is ({words}): export it again, for one "
            "picture at a time of the size that it was trained on"
        ).format(words=words)
    )


def answers(running: onnxruntime.InferenceSession, pictures: np.ndarray) -> np.ndarray:
    """float32 [N, C] of pictures [N, ...] in the form that the graph takes one in.

    Raises:
        PipelineError: the graph does not run.
    """
    name = running.get_inputs()[0].name
    try:
        found = [running.run(None, {name: picture[None]})[0].ravel() for picture in pictures]
    except Exception as error:  # as in `session`
        raise _does_not_run(error) from None
    return np.stack(found).astype(np.float32)


def normalised(images: np.ndarray, mean: list[float], std: list[float]) -> np.ndarray:
    """float32 [N, 3, H, W] of uint8 [N, H, W, 3], as the NPU computes it."""
    values = (images.astype(np.float32) - np.asarray(mean, np.float32)) / np.asarray(
        std, np.float32
    )
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def in_form(pictures: np.ndarray, picture: Picture) -> np.ndarray:
    """What a graph made for another picture is given for float32 [N, 3, H, W]."""
    height, width = pictures.shape[2:]
    top, left = (height - picture.height) // 2, (width - picture.width) // 2
    found = pictures[:, :, top : top + picture.height, left : left + picture.width]
    if picture.channels == 1:
        found = found.mean(axis=1, keepdims=True)
    elif picture.last:
        found = found.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(found.reshape(len(found), *picture.dimensions[1:]))


def require_same(before: np.ndarray, after: np.ndarray) -> float:
    """The largest difference between the answers of two graphs, [N, C] each.

    Raises:
        PipelineError: it is more than rounding.
    """
    difference = float(np.abs(before - after).max()) if before.shape == after.shape else np.inf
    if not difference <= LARGEST_DIFFERENCE * max(1.0, float(np.abs(before).max())):
        raise PipelineError(
            _(
                "the graph answers otherwise once its shapes are fixed, by "
                "{difference:.2g}: export it again, for one picture at a time"
            ).format(difference=difference)
        )
    return difference


def require_sense(running: onnxruntime.InferenceSession, found: np.ndarray) -> None:
    """Refuse a graph that answers with no number, or the same to every picture.

    Args:
        found: its answers to the calibration pictures.
    """
    if not np.isfinite(found).all():
        raise PipelineError(
            _(
                "the graph answers calibration pictures with values that are not "
                "finite: with this mean and std it overflows; write those it was "
                "trained with"
            )
        )
    shape = running.get_inputs()[0].shape
    noise = np.random.default_rng(0).normal(size=(2, *shape[1:])).astype(np.float32)
    one, other = answers(running, noise)
    if np.array_equal(one, other) and (found == found[0]).all():
        raise PipelineError(
            _(
                "the graph gives the same answer to every picture: its weights are all "
                "0, or nothing of the picture reaches the answer; give the model that "
                "was trained"
            )
        )


def output_warnings(model: onnx.ModelProto) -> list[str]:
    """A warning where the last operators leave the logits in another order."""
    end = onnx_graph.End(model, model.graph.output[0].name)
    return [
        f"warning: the graph ends in {node.op_type} ({node.name or node.output[0]}), which makes "
        "some logits alike, or the last the first: if the network was trained without it, write "
        f"what goes into it into load_onnx.outputs, {node.input[0]!r}"
        for node in end.cut[-1:]
    ]


def input_warnings(model: onnx.ModelProto, mean: list[float], std: list[float]) -> list[str]:
    """A warning where graph and recipe file both seem to normalise, or to an odd range."""
    inside = _inside(model)
    if inside is None:
        return []
    factor, offset = inside
    pixels = np.array([[0.0], [255.0]])
    ends = np.sort((pixels - mean) / std * factor + offset, axis=0)
    span = float((ends[1] - ends[0]).max())
    twice = np.any(offset != 0) and any(mean)
    if not twice and _NARROWEST <= span <= _WIDEST:
        return []
    return [
        "warning: the graph normalises its input itself, after mean and std of the recipe file: a "
        f"pixel from 0 to 255 becomes {ends[0].min():.3g} to {ends[1].max():.3g}; if the graph "
        "takes pixels as they are, write mean [0, 0, 0], std [1, 1, 1], type int8"
    ]


def _inside(model: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray] | None:
    """Factor and offset by which the first nodes scale the picture; None if they do not."""
    fixed, name = onnx_graph.values(model), onnx_graph.input_of(model).name
    factor, offset, found = np.ones(1), np.zeros(1), False
    while True:
        takers = [node for node in model.graph.node if name in node.input]
        if len(takers) != 1:
            break
        node = takers[0]
        others = [fixed[other] for other in node.input if other in fixed]
        if node.op_type in ("Add", "Sub", "Mul", "Div") and len(others) == 1:
            if others[0].size not in (1, 3):
                break
            factor, offset = _scaled(node, name, factor, offset, others[0].ravel())
            found = True
        elif node.op_type not in ("Cast", "Identity", "Reshape", "Transpose", "Slice"):
            break
        name = node.output[0]
    return (factor, offset) if found else None


def _scaled(node: onnx.NodeProto, name: str, factor: Any, offset: Any, by: Any) -> tuple[Any, Any]:
    """The line factor * x + offset after one node."""
    by = by.astype(np.float64)
    if node.op_type == "Mul":
        return factor * by, offset * by
    if node.op_type == "Add":
        return factor, offset + by
    if node.op_type == "Sub":
        return (factor, offset - by) if node.input[0] == name else (-factor, by - offset)
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        return factor / by, offset / by
