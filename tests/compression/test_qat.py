"""Training for INT8: what is trained, exported and computed is the same network each time."""

import numpy as np
import onnx
import paddle
import pytest
from onnx import helper, numpy_helper
from support.graphs import public_classifier

from mnist_rknn import recipe_file
from mnist_rknn.compression import (
    activation_ranges,
    fake_quantization,
    finetune,
    integer_engine,
    qdq,
)
from mnist_rknn.conversion import inference
from mnist_rknn.errors import PipelineError

IMAGE = recipe_file.load("smoke").image.model_copy(update={"height": 16, "width": 16})


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(5).integers(0, 256, (24, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def slim(tmp_path_factory):
    path = tmp_path_factory.mktemp("qat") / "plain.slim.onnx"
    generator = np.random.default_rng(3)
    constants = {
        "w0": generator.normal(0, 0.3, (3, 3, 3, 3)).astype(np.float32),
        "b0": generator.normal(0, 0.1, 3).astype(np.float32),
    }
    front = (
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], "conv0", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["x0"], "relu0"),
    )
    model = public_classifier(front=front, constants=constants)
    for node in model.graph.node:
        if node.op_type == "Conv":  # as slim graphs say it
            node.attribute.append(helper.make_attribute("kernel_shape", [3, 3]))
    onnx.save(model, str(path))
    return path


def prepare(images):
    return inference.normalize(images, IMAGE)


def network(path, pictures, bits, algorithm="normal"):
    ranges = activation_ranges.of_network(
        activation_ranges.observed(path, pictures, IMAGE), bits, algorithm
    )
    return fake_quantization.QuantizedNetwork(onnx.load(str(path)), ranges, IMAGE, bits)


@pytest.fixture(scope="module")
def tuned(slim, pictures):
    """A network of 8 bits, trained for a few steps so that scales and weights have moved."""
    found = network(slim, pictures, 8)
    many = np.concatenate([pictures] * 11)
    finetune.fit(found, many, np.arange(len(many)) % 10, prepare, 1, 0.01, 1)
    return found


@pytest.mark.parametrize(("bits", "numbers"), [(2, 4), (4, 16), (8, 256)])
def test_fake_quantized_numbers_are_those_that_the_bits_can_stand_for(bits, numbers):
    x = paddle.linspace(-300, 300, 5001)
    found = fake_quantization.fake_quantize(x, paddle.to_tensor(0.5), 1, bits).numpy()
    steps = np.unique(found) / 0.5 + 1
    assert steps.tolist() == list(range(-numbers // 2, numbers // 2))


def test_the_gradient_goes_straight_through_and_stops_at_the_limits():
    x = paddle.to_tensor([-9.0, -0.3, 0.3, 9.0], stop_gradient=False)
    scale = paddle.to_tensor(0.25, stop_gradient=False)
    fake_quantization.fake_quantize(x, scale, 0, 4).sum().backward()
    assert x.grad.numpy().tolist() == [0, 1, 1, 0]
    # Of the limits the limit itself, of the others what rounding did to them, in steps.
    assert float(scale.grad) == pytest.approx(-8 + (-1 + 1.2) + (1 - 1.2) + 7)


def test_both_weights_and_scales_are_trained(slim, pictures, tuned):
    before = network(slim, pictures, 8).state_dict()
    after = tuned.state_dict()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == set(before) and any("log_scale" in name for name in moved)


def test_the_file_computes_what_was_trained(tuned, pictures, tmp_path):
    path = tmp_path / "qat.onnx"
    onnx.save(qdq.write(tuned.integers()), str(path))
    written = inference.run_onnx(path, pictures, IMAGE, as_written=True)
    trained = finetune.answers(tuned, pictures, prepare)
    step = tuned.integers().layers[-1].output.scale
    assert np.abs(written - trained).max() < 2.5 * step  # Paddle rounds halves away from zero
    assert np.ptp(written) > 20 * step  # so that two steps are little


def test_the_integer_engine_is_within_one_step_of_onnxruntime(tuned, pictures, tmp_path):
    model = qdq.write(tuned.integers())
    path = tmp_path / "qat.onnx"
    onnx.save(model, str(path))
    written = inference.run_onnx(path, pictures, IMAGE, as_written=True)
    whole = integer_engine.run(model, prepare(pictures))
    assert whole.values.dtype == np.int8
    assert np.abs(whole.real() - written).max() < 1.5 * whole.scale


def test_ranges_of_8_bits_cover_what_was_seen(slim, pictures):
    seen = activation_ranges.observed(slim, pictures, IMAGE)
    for name, chosen in activation_ranges.of_network(seen, 8).items():
        restored = activation_ranges.quantized(seen[name], chosen, 8)
        assert np.abs(restored - seen[name]).max() < 1.01 * chosen.scale, name
    last = list(seen)[-1]
    coarse = activation_ranges.of_network(seen, 4)
    assert coarse[last] == activation_ranges.of_network(seen, 8)[last]


def test_mmse_errs_less_than_normal_where_a_value_stands_alone():
    values = np.append(np.random.default_rng(1).normal(size=4000), 40.0)
    errors = {
        name: np.square(
            activation_ranges.quantized(values, activation_ranges.choose(values, 4, name), 4)
            - values
        )[:-1].mean()
        for name in activation_ranges.ALGORITHMS
    }
    assert errors["mmse"] < errors["normal"] / 2
    with pytest.raises(PipelineError, match="no algorithm 'best': there are normal, kl"):
        activation_ranges.choose(values, 4, "best")


def test_an_uneven_network_gives_the_same_float_answers_and_worse_integers(
    slim, pictures, tmp_path
):
    path = tmp_path / "hard.onnx"
    onnx.save(activation_ranges.uneven(onnx.load(str(slim)), 300, IMAGE), str(path))
    even, uneven = (inference.run_onnx(one, pictures, IMAGE) for one in (slim, path))
    assert np.abs(even - uneven).max() < 1e-4 * np.ptp(even)
    errors = [
        np.abs(finetune.answers(network(one, pictures, 8), pictures, prepare) - even).mean()
        for one in (slim, path)
    ]
    assert errors[1] > 4 * errors[0]
    with pytest.raises(PipelineError, match="spread 1: choose a number above 1"):
        activation_ranges.uneven(onnx.load(str(slim)), 1, IMAGE)


def test_a_network_of_very_different_channels_learns_as_an_even_one(slim, pictures, tmp_path):
    path = tmp_path / "hard.onnx"
    onnx.save(activation_ranges.uneven(onnx.load(str(slim)), 300, IMAGE), str(path))
    first, second = (network(one, pictures, 8) for one in (slim, path))
    for one, other in zip(first.convolutions.values(), second.convolutions.values(), strict=True):
        relative = one.relative_weight.numpy(), other.relative_weight.numpy()
        assert np.abs(np.abs(relative[0]) - np.abs(relative[1])).max() < 1e-2
        assert not np.allclose(one.weight.numpy(), other.weight.numpy(), rtol=0.5)


@pytest.mark.parametrize("bits", [0, 1, 9, 4.0, True])
def test_bits_that_are_none_are_one_line(bits):
    with pytest.raises(PipelineError, match=f"bits {bits}: .* choose a whole number from 2 to 8"):
        fake_quantization.require_bits(bits)


def test_a_network_of_fewer_bits_is_not_exported_as_if_the_chip_had_them(slim, pictures):
    with pytest.raises(PipelineError, match="has 4 bits and the NPU computes with 8"):
        network(slim, pictures, 4).integers()


def without(model, name):
    """The graph without a node; who read it reads what it read."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    node = next(node for node in found.graph.node if node.name == name)
    found.graph.node.remove(node)
    for other in found.graph.node:
        other.input[:] = [node.input[0] if n == node.output[0] else n for n in other.input]
    return found


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (("x_quantized", "x_dequantized"), "none stands before Conv"),
        (("x_dequantized",), "QuantizeLinear x_quantized is read by a Conv"),
        (("r_quantized", "r_dequantized"), "none stands behind Conv"),
        (("r_weight",), "none stands before Conv .*, on r_weight_quantized"),
        (("r_bias",), "none stands before Conv .*, on r_bias_quantized"),
    ],
)
def test_a_missing_pair_is_named(tuned, pictures, gone, said):
    model = qdq.write(tuned.integers())
    qdq.require_pairs(model, "whole.onnx")
    for name in gone:
        model = without(model, name)
    with pytest.raises(PipelineError, match=f"^broken.onnx: a pair of .* is missing: ({said})"):
        integer_engine.run(model, prepare(pictures[:1]), "broken.onnx")


def test_two_halves_of_a_pair_with_other_scales_are_no_pair(tuned):
    model = qdq.write(tuned.integers())
    model.graph.initializer.append(numpy_helper.from_array(np.float32(9), "other"))
    node = next(node for node in model.graph.node if node.name == "r_dequantized")
    node.input[1] = "other"
    with pytest.raises(PipelineError, match="the two of r have another scale or zero point"):
        qdq.require_pairs(model, "broken.onnx")


def test_a_float_graph_and_an_unknown_operator_are_one_line(slim, tuned, pictures):
    with pytest.raises(PipelineError, match="it holds none at all"):
        integer_engine.run(onnx.load(str(slim)), prepare(pictures[:1]))
    model = qdq.write(tuned.integers())
    model.graph.node.append(helper.make_node("Softmax", [model.graph.output[0].name], ["p"]))
    with pytest.raises(PipelineError, match="the integer engine knows no Softmax; it knows Quan"):
        integer_engine.run(model, prepare(pictures[:1]))
