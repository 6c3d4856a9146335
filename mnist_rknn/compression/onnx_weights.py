"""The weights of an ONNX model, apart from its graph."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from ..errors import PipelineError
from ..files import replacing
from .packed_file import Packed


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Every float32 tensor that the model brings with it, by name."""
    return {
        tensor.name: numpy_helper.to_array(tensor).copy()
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }


def nonzero(values: Mapping[str, np.ndarray]) -> int:
    """How many of the weights are not zero."""
    return sum(int(np.count_nonzero(array)) for array in values.values())


def graph_alone(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the values of `weights`: names and shapes stay."""
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    for tensor in alone.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
    return alone


def with_weights(model: onnx.ModelProto, values: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """The model with these values in the place of its own.

    Args:
        model: whole, or from `graph_alone`.
        values: float32 by name, as `weights` gives them.

    Raises:
        PipelineError: the names or shapes are another network's.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    own = {
        tensor.name: tensor
        for tensor in found.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }
    shapes = {name: list(tensor.dims) for name, tensor in own.items()}
    if shapes != {name: list(array.shape) for name, array in values.items()}:
        raise PipelineError("the weights are of another network: their names or shapes differ")
    for name, array in values.items():
        own[name].CopyFrom(numpy_helper.from_array(array.astype(np.float32), name))
    return found


def write_whole(packed: Packed, path: Path) -> None:
    """Write what a packed file holds as an ONNX model.

    Raises:
        PipelineError: it holds weights and no graph, or those of another.
    """
    if not packed.graph:
        raise PipelineError(
            "the packed file holds weights alone and no graph: only the program that has the "
            "network can use it"
        )
    whole = with_weights(onnx.load_from_string(packed.graph), packed.arrays())
    with replacing(path) as temporary:
        onnx.save(whole, str(temporary))
