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
