"""The same network in other runtimes: files of ours are read by them, and answer the same."""

import os
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.graphs import public_classifier

from mnist_rknn import recipe_file
from mnist_rknn.compression import (
    activation_ranges,
    integer_engine,
    ncnn_files,
    qdq,
    runtimes,
    symmetric_weights,
    tflite,
)
from mnist_rknn.conversion import inference, integer_network
from mnist_rknn.errors import PipelineError

IMAGE = recipe_file.load("smoke").image.model_copy(update={"height": 16, "width": 16})
PARAM = """7767517
2 2
Input        in0   0 1 in0
Convolution  c0    1 1 in0 1 0=3 1=3 11=3 6={count} 9=1
"""


def needs(name):
    return pytest.mark.skipif(
        name not in runtimes.there(), reason="needs docs/requirements-16.txt, which is optional"
    )


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(5).integers(0, 256, (24, 16, 16, 3), np.uint8)


def prepare(images):
    return inference.normalize(images, IMAGE)


@pytest.fixture(scope="module", params=[(1, 1, 0), (3, 1, 1), (3, 2, 1)], ids=str)
def made(request, pictures, tmp_path_factory):
    """A slim graph whose first window is VALID, SAME or padded otherwise, and its integers."""
    kernel, stride, padding = request.param
    features = 4 * (7 if stride == 1 else 3) ** 2
    path = tmp_path_factory.mktemp("runtimes") / "plain.slim.onnx"
    generator = np.random.default_rng(3)
    constants = {
        "w0": generator.normal(0, 0.3, (3, 3, kernel, kernel)).astype(np.float32),
        "b0": generator.normal(0, 0.1, 3).astype(np.float32),
        "w2": generator.normal(0, 0.1, (10, features)).astype(np.float32),
    }
    front = (
        onnx.helper.make_node(
            "Conv", ["x", "w0", "b0"], ["c0"], "conv0",
            pads=[padding] * 4, strides=[stride] * 2, kernel_shape=[kernel] * 2,
        ),
        onnx.helper.make_node("Relu", ["c0"], ["x0"], "relu0"),
    )  # fmt: skip
    model = public_classifier(front=front, constants=constants)
    for node in model.graph.node:
        names = [one.name for one in node.attribute]
        if node.op_type == "Conv" and "kernel_shape" not in names:
            node.attribute.append(onnx.helper.make_attribute("kernel_shape", [3, 3]))
    onnx.save(model, str(path))
    ranges = activation_ranges.of_network(activation_ranges.observed(path, pictures, IMAGE), 8)
    return path, integer_network.read(model, ranges, IMAGE, "channel")


def litert(content):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def answer(x):
        interpreter.set_tensor(source["index"], x.transpose(0, 2, 3, 1))
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return answer


def micro(content):
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content)

    def answer(x):
        interpreter.set_input(np.ascontiguousarray(x.transpose(0, 2, 3, 1)), 0)
        interpreter.invoke()
        return interpreter.get_output(0)

    return answer


READERS = [
    pytest.param(litert, id="LiteRT", marks=needs("LiteRT")),
    pytest.param(micro, id="TFLite Micro", marks=needs("TFLite Micro")),
]


@pytest.mark.parametrize("reader", READERS)
def test_a_float_tflite_file_gives_the_logits_of_the_onnx(made, pictures, reader):
    path, network = made
    found = runtimes.answers(reader(tflite.write(network, False)), prepare(pictures))
    assert np.abs(found - inference.run_onnx(path, pictures, IMAGE)).max() < 1e-4


@pytest.mark.parametrize("reader", READERS)
def test_an_int8_tflite_file_computes_the_integers_to_two_steps(made, pictures, reader):
    even = symmetric_weights.symmetric(made[1])
    found = runtimes.answers(reader(tflite.write(even, True)), prepare(pictures))
    whole = integer_engine.run(qdq.write(even), prepare(pictures))
    assert np.abs(found - whole.real()).max() < 2.5 * whole.scale  # halves are rounded elsewhere
    assert np.ptp(found) > 20 * whole.scale  # so that two steps are little


@needs("LiteRT")
def test_zero_points_of_weights_are_refused_before_a_file_is_written(made):
    with pytest.raises(PipelineError, match="its weights have zero points, and TFLite takes none"):
        tflite.write(made[1], True)


def test_symmetric_weights_are_as_near_as_their_step_says(made):
    even = symmetric_weights.symmetric(made[1])
    for layer in even.layers:
        if layer.weights is not None:
            weights = layer.weights
            scales = weights.scales.reshape(-1, 1, 1, 1)
            assert not weights.zero_points.any() and weights.values.min() >= -127
            assert np.abs(weights.values * scales - weights.real).max() <= scales.max() * 0.5001


def test_onnxruntime_has_integer_kernels_for_symmetric_weights(made, pictures, tmp_path):
    path, network = made
    even = tmp_path / "even.onnx"
    onnx.save(qdq.write(symmetric_weights.symmetric(network)), str(even))
    found = inference.run_onnx(even, pictures, IMAGE)
    wanted = inference.run_onnx(path, pictures, IMAGE)
    assert np.abs(found - wanted).max() < 0.15 * np.ptp(wanted)


def test_same_padding_puts_an_odd_rest_behind():
    window = integer_network.Window((6, 3), (3, 1), (0, 0, 0, 0))
    assert tflite.same_padding(window, 48, 16) == (1, 1, 2, 1)


@needs("ncnn")
def test_an_int8_ncnn_file_answers_as_the_float_one_does(made, pictures, tmp_path):
    import ncnn

    path, network = made
    source = tmp_path / "float.onnx"
    source.write_bytes(path.read_bytes())
    command = [runtimes.program("pnnx"), source, "inputshape=[1,3,16,16]", "fp16=0"]
    runtimes.convert(command, tmp_path / "float.ncnn.param", tmp_path / "log")
    param = (tmp_path / "float.ncnn.param").read_text()
    text, content = ncnn_files.quantized(param, symmetric_weights.symmetric(network))
    (tmp_path / "int8.param").write_text(text)
    (tmp_path / "int8.bin").write_bytes(content)
    net = ncnn.Net()
    net.opt.num_threads = 1
    assert net.load_param(f"{tmp_path}/int8.param") == 0
    assert net.load_model(f"{tmp_path}/int8.bin") == 0

    def answer(x):
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(x[0]))
        return np.array(extractor.extract("out0")[1])

    found = runtimes.answers(answer, prepare(pictures))
    wanted = inference.run_onnx(path, pictures, IMAGE)
    assert np.abs(found - wanted).max() < 0.15 * np.ptp(wanted)


def test_layers_of_another_network_are_refused(made):
    even = symmetric_weights.symmetric(made[1])
    with pytest.raises(PipelineError, match="layer 'Convolution c0' is not one of the network's"):
        ncnn_files.quantized(PARAM.format(count=5), even)


def test_a_runtime_that_is_not_installed_is_one_line_with_the_cure(monkeypatch):
    def version(name):
        if name in ("pnnx", "tflite-micro"):
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(metadata, "version", version)
    assert runtimes.there() == {"MNN", "LiteRT"}
    lines = runtimes.absences()
    assert [line.partition(" is left out, as ")[0] for line in lines] == ["ncnn", "TFLite Micro"]
    assert runtimes.packages() == ["ai-edge-litert", "mnn"]
    assert all("run 16 --force`" in line and "docs/requirements-16.txt" in line for line in lines)
    with pytest.raises(PipelineError, match=r"no program none.here: install docs/requirements-16"):
        runtimes.program("none_here")


def test_a_converter_that_fails_leaves_its_log_and_no_old_file(tmp_path):
    made = tmp_path / "made"
    made.write_text("old")
    stops = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    with pytest.raises(PipelineError, match=r"wrote no made \(it ended with 3\): read "):
        runtimes.convert(stops, made, tmp_path / "log")
    assert "the reason" in (tmp_path / "log").read_text() and not made.exists()
    with pytest.raises(PipelineError, match=r"wrote no made \(it ended with 0\)"):
        runtimes.convert([sys.executable, "-c", ""], made, tmp_path / "log")


@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_a_count_that_is_none_is_one_line(value):
    with pytest.raises(PipelineError, match=f"rounds {value}: choose a whole number above 0"):
        runtimes.require_count("rounds", value)


def test_engines_are_measured_on_the_same_pictures_and_a_slow_one_on_fewer(pictures, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    seen = []

    def floats():
        return lambda x: x.mean(axis=(2, 3))

    def pixels():
        def answer(x):
            seen.append((x.dtype, x.shape, len(os.sched_getaffinity(0))))
            return prepare(x).mean(axis=(2, 3)) + 0.5

        return answer

    engines = {
        "first": runtimes.Engine([file], floats),
        "second": runtimes.Engine([file, file], pixels, pixels=True, most=4),
    }
    before = os.sched_getaffinity(0)
    found = runtimes.measure(engines, pictures, prepare, "first", 3)
    assert os.sched_getaffinity(0) == before
    assert set(seen) == {(np.dtype(np.uint8), (1, 16, 16, 3), 1)} and len(seen) == 4 + 3
    assert [one.bytes for one in found.values()] == [5, 10] and found["first"].ratio == 1
    assert [len(one.logits) for one in found.values()] == [24, 4]
    apart = runtimes.difference(found["second"].logits, found["first"].logits)
    assert apart.shape == (4, 3) and np.allclose(apart, 0.5)
    assert runtimes.agreement(found["second"].logits, found["first"].logits) == 1
    said = runtimes.float_verdicts(engines, found, "first")
    assert said == ["second: its float logits are 5.0e-01 from Paddle's, more than 0.001"]
    assert Path(file).stat().st_size == 5 and len(runtimes.table(engines, found, "first")) == 2
