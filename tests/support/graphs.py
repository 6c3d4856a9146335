"""Small ONNX graphs."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def classifier(
    tail: tuple[str, ...] = (), batch: int | str = 1, inside: str | None = None
) -> onnx.ModelProto:
    """Convolution and flatten to ten logits, with operators of one input behind them.

    Args:
        inside: an operator before the convolution.
    """
    weights = np.random.default_rng(0).normal(0, 0.05, (10, 3, 48, 48)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Flatten", ["c"], ["logits"], name="flatten"),
    ]
    if inside:
        nodes.insert(0, helper.make_node(inside, ["x"], ["x0"], name=inside))
        nodes[1].input[0] = "x0"
    last = "logits"
    for number, operator in enumerate(tail):
        nodes.append(helper.make_node(operator, [last], [f"t{number}"], name=f"{operator}{number}"))
        last = f"t{number}"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 48, 48])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 7
    onnx.checker.check_model(model)
    return model


def public_classifier(
    source: tuple[str, list[int | str]] = ("x", [1, 3, 16, 16]),
    front: tuple = (),
    tail: tuple = (),
    constants: dict | None = None,
    dtype: type = np.float32,
    opset: int = 13,
    outputs: tuple[str, ...] = (),
) -> onnx.ModelProto:
    """A network as other people's exporters write them: pooling, two layers, ten logits.

    Args:
        source: name and dimensions of the picture; of 16x16 pixels.
        front, tail: nodes before the convolution, ending in "x0", and behind "logits".
        constants: of these nodes.
        outputs: names; the last tensor by default.
    """
    rng = np.random.default_rng(7)
    name, dimensions = source
    channels = 1 if 1 in dimensions[1:] or len(dimensions) < 4 else 3
    values = {
        "w1": rng.normal(0, 0.3, (4, channels, 3, 3)).astype(dtype),
        "b1": rng.normal(0, 0.1, 4).astype(dtype),
        "w2": rng.normal(0, 0.1, (10, 4 * 7 * 7)).astype(dtype),
        "b2": rng.normal(0, 0.1, 10).astype(dtype),
        **(constants or {}),
    }
    nodes = [
        *front,
        helper.make_node("Conv", ["x0" if front else name, "w1", "b1"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["features"], "flatten"),
        helper.make_node("Gemm", ["features", "w2", "b2"], ["logits"], "fc", transB=1),
        *tail,
    ]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    last = outputs or (nodes[-1].output[0],)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, kind, dimensions)],
        [helper.make_tensor_value_info(output, kind, None) for output in last],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 7
    return model
