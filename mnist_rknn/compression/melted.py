"""Weights that a batch norm was melted into, as a codebook and a number for each channel."""

import numpy as np
import onnx
from onnx import numpy_helper

from ..errors import PipelineError
from . import onnx_weights, packed_file, sharing


def unmelted(
    model: onnx.ModelProto, shared: list[sharing.Shared]
) -> tuple[dict[str, packed_file.Tensor], onnx.ModelProto]:
    """What a packed file takes of a network whose batch norms are melted into its weights.

    A melted weight is a value of the codebook times a number of its channel. The graph gets this
    product back as a node, so that the codebook suffices.

    Args:
        model: slim ONNX; its weights are those of `shared`, each channel scaled.
        shared: of the weights, in the order of the graph.

    Returns:
        The tensors by name, and the graph without their values.

    Raises:
        PipelineError: a weight is none of these.
    """
    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    values: dict[str, packed_file.Tensor] = dict(onnx_weights.weights(model))
    matrices = [name for name, array in values.items() if len(_shape(array)) > 1]
    if len(matrices) != len(shared):
        raise PipelineError(f"the graph has {len(matrices)} weights and not {len(shared)}")
    products, scales = [], []
    for number, (name, found) in enumerate(zip(_as_used(model, matrices), shared, strict=True)):
        melted = np.asarray(values[name])
        if melted.ndim == 2:
            found = _turned(found, melted)
        axes = tuple(range(1, melted.ndim))
        plain = found.values
        factor = (melted * plain).sum(axes, keepdims=True) / (plain**2).sum(axes, keepdims=True)
        if not np.allclose(melted, factor * plain, rtol=1e-4, atol=1e-6):
            raise PipelineError(f"{name} is no weight of the codebook, with its channels scaled")
        values[name] = found
        if melted.ndim == 4:
            scale = f"s{number}"
            values[scale] = factor.astype(np.float32)
            scales.append(numpy_helper.from_array(factor.astype(np.float32), scale))
            products.append(onnx.helper.make_node("Mul", [name, scale], [f"{name}x"]))
            for node in graph.graph.node:
                for place, used in enumerate(node.input):
                    if used == name:
                        node.input[place] = f"{name}x"
    graph.graph.initializer.extend(scales)
    nodes = [*products, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return _renamed(values, onnx_weights.graph_alone(graph))


def _shape(tensor: packed_file.Tensor) -> tuple[int, ...]:
    return tensor.indices.shape if isinstance(tensor, sharing.Shared) else tensor.shape


def _as_used(model: onnx.ModelProto, names: list[str]) -> list[str]:
    """The names in the order in which the nodes use them."""
    used = [name for node in model.graph.node for name in node.input]
    return sorted(names, key=used.index)


def _turned(found: sharing.Shared, melted: np.ndarray) -> sharing.Shared:
    """The matrix as the graph has it: Paddle's, or its transpose."""
    if melted.shape == found.indices.shape and np.allclose(melted, found.values, atol=1e-6):
        return found
    return sharing.Shared(found.codebook, np.ascontiguousarray(found.indices.T))


def _renamed(
    values: dict[str, packed_file.Tensor], graph: onnx.ModelProto
) -> tuple[dict[str, packed_file.Tensor], onnx.ModelProto]:
    """Names of one or two letters, as they cost bytes; those of input and output stay."""
    kept = {value.name for value in (*graph.graph.input, *graph.graph.output)}
    names: dict[str, str] = {"": ""}

    def short(name: str) -> str:
        if name in kept:
            return name
        return names.setdefault(name, f"{len(names):x}")

    for tensor in graph.graph.initializer:
        tensor.name = short(tensor.name)
    for number, node in enumerate(graph.graph.node):
        node.name = f"n{number}"
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
        node.ClearField("doc_string")
    del graph.graph.value_info[:]
    return {short(name): value for name, value in values.items()}, graph
