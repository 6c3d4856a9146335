"""Graphs the NPU could not take are refused by name of the tensor or layer."""

import numpy as np
import onnx
import pytest
from support.graphs import classifier

from mnist_rknn import recipe_file
from mnist_rknn.conversion import inference, onnx_graph
from mnist_rknn.errors import PipelineError


@pytest.mark.parametrize(
    "tail", [(), ("Softmax",), ("Identity", "Softmax"), ("Identity", "Softmax", "Identity")]
)
def test_logits_are_found_by_structure(tail):
    assert onnx_graph.find_logits(classifier(tail)) == "logits"


def test_wrong_name_lists_the_likely_tensor():
    with pytest.raises(PipelineError, match=r"no tensor 'Add\.53'; the logits are likely 'logits'"):
        onnx_graph.find_logits(classifier(("Softmax",)), "Add.53")


def test_name_override_is_taken():
    assert onnx_graph.find_logits(classifier(("Softmax",)), "c") == "c"


@pytest.mark.parametrize("batch", ["N", 0])
def test_dynamic_dimension_is_named(batch):
    with pytest.raises(PipelineError, match="tensor x has the dynamic shape"):
        onnx_graph.require_static(classifier(batch=batch), [1, 3, 48, 48])


def test_other_input_size_is_named():
    with pytest.raises(PipelineError, match=r"input is \[1, 3, 48, 48\], and the pictures are"):
        onnx_graph.require_static(classifier(), [1, 3, 32, 32])


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_softmax_left_in_is_refused(operator):
    with pytest.raises(PipelineError, match=f"ends in {operator}"):
        onnx_graph.require_logits(classifier((operator,)))
    onnx_graph.require_logits(classifier())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_onnx_file_cut_short(tmp_path, share):
    path = tmp_path / "cut.onnx"
    onnx.save(classifier(), str(path))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(PipelineError, match=r"cut\.onnx is (damaged|empty|cut short)"):
        onnx_graph.load(path)


def test_exported_and_slim_graph_answer_alike(tiny_run):
    """Same logits, Softmax gone, batch norm melted, shapes fixed."""
    run = recipe_file.load("smoke")
    full, slim = tiny_run / "smoke.onnx", tiny_run / "smoke.slim.onnx"
    model, slim_model = onnx_graph.load(full), onnx_graph.load(slim)
    counts = onnx_graph.operator_counts(slim_model)
    assert onnx_graph.operator_counts(model)["Softmax"] == 1
    assert not {"Softmax", "BatchNormalization", "Shape"} & set(counts)
    onnx_graph.require_static(slim_model, [1, 3, 48, 48])
    images = np.load(tiny_run / "golden.npz")["images"]
    logits = onnx_graph.find_logits(model)
    before = inference.run_onnx(full, images, run.image, logits)
    after = inference.run_onnx(slim, images, run.image)
    assert np.abs(before - after).max() < 1e-4
    paddle = inference.run_paddle(tiny_run / "train/best_model/inference", images, run.image)
    assert np.abs(paddle - inference.log_softmax(before)).max() < 1e-3


def test_tensor_that_only_the_converter_knows_is_named(tmp_path):
    path, image = tmp_path / "net.onnx", recipe_file.load("smoke").image
    onnx.save(classifier(("Softmax",)), str(path))
    with pytest.raises(PipelineError, match=r"no tensor 'c_mm'; choose one of c, logits, t0"):
        inference.run_onnx(path, np.zeros((1, 48, 48, 3), np.uint8), image, tensor="c_mm")
