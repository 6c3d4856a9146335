"""What two quantizers chose, side by side."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import scales

CONFIGURATION = """
quantize_parameters:
  a: {dtype: int8, min: [0.0], max: [5.1], scale: [0.02], zero_point: [-128]}
  y_int8: {dtype: int8, min: [-1.0], max: [1.0], scale: [0.0078], zero_point: [0]}
  weights: {dtype: int8, min: [0.0, 0.0], max: [1.0, 1.0], scale: [0.1, 0.2], zero_point: [0, 0]}
  other: {dtype: float16, min: [0.0], max: [1.0], scale: [0.1], zero_point: [0]}
"""


@pytest.fixture
def quantized(tmp_path):
    """A graph x -> a -> y with the scales that onnxruntime would store."""
    stored = {"x_scale": 0.5, "a_scale": 0.021, "y_scale": 0.008}
    points = {"x_zero_point": 0, "a_zero_point": -128, "y_zero_point": 1}
    tensors = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in stored.items()]
    tensors += [numpy_helper.from_array(np.array(v, np.int8), n) for n, v in points.items()]
    tensors.append(numpy_helper.from_array(np.ones(3, np.float32), "w_scale"))  # of channels
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])  # noqa: E731
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Relu", ["a"], ["y"])]
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], tensors)
    onnx.save(helper.make_model(graph), str(tmp_path / "m.onnx"))
    return tmp_path / "m.onnx"


def test_tensors_with_one_scale_are_compared(quantized):
    ranges = scales.chosen_by_toolkit(CONFIGURATION)
    assert list(ranges) == ["a", "y_int8"]
    assert scales.range_table(ranges).loc["a"].tolist() == [0.0, 5.1, 0.02, -128.0]
    table = scales.comparison(quantized, ranges)
    assert list(table.index) == ["x", "a", "y"], "weights have a scale for each channel"
    assert table.loc["a"].tolist() == [pytest.approx(0.021), 0.02, -128, -128]
    assert table.loc["y"].tolist()[1:] == [0.0078, 1, 0], "the toolkit's own name of the output"
    assert np.isnan(table.loc["x", "scale, RKNN"])
    assert scales.output_step(quantized) == pytest.approx(0.008)


def test_the_first_tensor_that_can_be_looked_at(quantized):
    ranges = scales.chosen_by_toolkit(CONFIGURATION)
    assert scales.first_in_graph(["y_int8", "x", "a"], ranges, quantized) == "a"
    with pytest.raises(PipelineError, match="none of x"):
        scales.first_in_graph(["x"], ranges, quantized)
