"""ONNX models of other people: converted with the answers they had, or refused in one true line.

The graphs are small ones of our own with random weights, in the forms that exporters write.
"""

import gzip

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from support.graphs import public_classifier

from mnist_rknn.conversion import maker, maker_recipe, picture_list, rknn_file
from mnist_rknn.errors import PipelineError

node = helper.make_node
FRACTIONS = {"mean": "[0.5, 0.5, 0.5]", "std": "[0.5, 0.5, 0.5]", "type": "fp32"}
PIXELS = {"mean": "[0, 0, 0]", "std": "[1, 1, 1]", "type": "int8"}
GRAY = {"mean": "[0.1307]", "std": "[0.3081]", "type": "fp32"}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a list of twenty pictures."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for number in range(20):
        pixels = generator.integers(0, 256, (16, 16, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), pixels)
    (tmp_path / "list.txt").write_text("".join(f"{number:02d}.png\n" for number in range(20)))
    return tmp_path


def write(place, model, source="x", output="logits", size=(1, 3, 16, 16), **config) -> None:
    """A model and a recipe file for it."""
    if isinstance(model, bytes):
        (place / "m.onnx").write_bytes(model)
    else:
        onnx.save(model, str(place / "m.onnx"))
    values = "".join(f"  {key}: {value}\n" for key, value in {**FRACTIONS, **config}.items())
    (place / "m.yaml").write_text(
        f'load_onnx:\n  inputs: ["{source}"]\n  input_size_list: [{list(size)}]\n'
        f'  outputs: ["{output}"]\nconfig:\n{values}build:\n  dataset: ./list.txt\n'
    )


def prepare(place, **options) -> maker.Prepared:
    recipe = maker_recipe.load(place / "m.yaml")
    images = picture_list.open_images(picture_list.read(place / recipe.dataset))
    return maker.prepare(recipe, images, place / "m.onnx", **options)


def answers(model: onnx.ModelProto, picture: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: picture})[0].ravel()


def turned(perm) -> tuple:
    return (node("Transpose", ["x"], ["x0"], "turn", perm=perm),)


def renamed(old: str, new: str) -> onnx.ModelProto:
    model = public_classifier()
    for one in model.graph.node:
        one.input[:] = [new if name == old else name for name in one.input]
        one.output[:] = [new if name == old else name for name in one.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = new if value.name == old else value.name
    return model


def out_of_order() -> onnx.ModelProto:
    model = public_classifier()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def with_ir(version: int) -> onnx.ModelProto:
    model = public_classifier()
    model.ir_version = version
    return model


def named_alike() -> onnx.ModelProto:
    model = public_classifier()
    for one in model.graph.node:
        one.name = "same"
    return model


CONVERTED = {  # graph, what write() is given, what is said
    "opset 8": (lambda: public_classifier(opset=8), {}, None),
    "opset 19": (lambda: public_classifier(opset=19), {}, None),
    "IR 11": (lambda: with_ir(11), {}, None),
    "nodes out of order": (out_of_order, {}, None),
    "nodes named alike": (named_alike, {}, None),
    "float64": (lambda: public_classifier(dtype=np.float64), {}, "its numbers are DOUBLE"),
    "open batch": (lambda: public_classifier(("x", ["N", 3, 16, 16])), {}, None),
    "batch 0": (lambda: public_classifier(("x", [0, 3, 16, 16])), {}, "batch is 0: taken as 1"),
    "batch 8": (lambda: public_classifier(("x", [8, 3, 16, 16])), {}, "batch is 8: taken as 1"),
    "open size": (lambda: public_classifier(("x", ["N", 3, "h", "w"])), {}, "leaves its size open"),
    "TensorFlow's colon": (lambda: renamed("logits", "d/BiasAdd:0"), {"output": "d/BiasAdd:0"}, None),  # noqa: E501
    "a blank": (lambda: renamed("x", "my input"), {"source": "my input"}, None),
    "a number": (lambda: renamed("logits", "21"), {"output": "21"}, None),
    "a long name": (lambda: renamed("logits", "n" * 300), {"output": "n" * 300}, "is longer than"),
    "answer [10]": (lambda: public_classifier(tail=(node("Reshape", ["logits", "s"], ["y"]),), constants={"s": np.array([10])}), {"output": "y"}, "made [1, 10]"),  # noqa: E501
    "a temperature": (lambda: public_classifier(tail=(node("Div", ["logits", "t"], ["y"]),), constants={"t": np.float32([2])}), {"output": "y"}, None),  # noqa: E501
    "Relu at the end": (lambda: public_classifier(tail=(node("Relu", ["logits"], ["y"], "last"),)), {"output": "y"}, "ends in Relu (last)"),  # noqa: E501
    "normalised twice": (lambda: public_classifier(front=(node("Div", ["x", "k"], ["x0"]),), constants={"k": np.float32([255])}), {}, "write mean [0, 0, 0], std [1, 1, 1], type int8"),  # noqa: E501
    "normalised inside": (lambda: public_classifier(front=(node("Div", ["x", "k"], ["x0"]),), constants={"k": np.float32([255])}), PIXELS, None),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("kind", CONVERTED)
def test_graph_of_others_is_taken_and_what_was_changed_is_said(place, kind):
    make, given, expected = CONVERTED[kind]
    write(place, make(), **given)
    found = prepare(place)
    assert [line for line in found.remarks if expected is None or expected not in line] == []
    assert bool(found.remarks) == bool(expected)
    onnx.checker.check_model(found.model)
    assert found.shape == [1, 3, 16, 16] and found.classes == 10


@pytest.mark.parametrize("kind", ["opset 8", "nodes out of order", "float64", "TensorFlow's colon"])
def test_graph_of_others_answers_as_it_did(place, kind):
    make, given, _ = CONVERTED[kind]
    write(place, make(), **given)
    picture = np.random.default_rng(1).normal(size=(1, 3, 16, 16)).astype(np.float32)
    wanted = answers(public_classifier(), picture)  # the same weights, in the plainest form
    assert np.abs(answers(prepare(place).model, picture) - wanted).max() < 1e-4


GRAYS = {  # graph for gray pictures, what write() is given
    "PyTorch": (lambda: public_classifier(("x", ["b", 1, 16, 16])), {"size": (1, 1, 16, 16)}),
    "channels last": (lambda: public_classifier(("x", ["N", 16, 16, 1]), turned([0, 3, 1, 2])), {"size": (1, 16, 16, 1)}),  # noqa: E501
    "channels last, by Reshape": (lambda: public_classifier(("x", ["N", 16, 16, 1]), (node("Reshape", ["x", "s"], ["x0"]),), constants={"s": np.array([-1, 1, 16, 16])}), {}),  # noqa: E501
    "without channels": (lambda: public_classifier(("x", ["N", 16, 16]), (node("Unsqueeze", ["x", "a"], ["x0"]),), constants={"a": np.array([1])}), {"size": (1, 16, 16)}),  # noqa: E501
    "a row of pixels": (lambda: public_classifier(("x", [1, 256]), (node("Reshape", ["x", "s"], ["x0"]),), constants={"s": np.array([1, 1, 16, 16])}), {"size": (1, 256)}),  # noqa: E501
    "scaled inside": (lambda: public_classifier(("x", [1, 1, 16, 16]), (node("Mul", ["x", "k"], ["x0"]),), constants={"k": np.float32(1 / 255)}), {"mean": "[0]", "std": "[1]", "type": "int8"}),  # noqa: E501
    "across the picture": (lambda: public_classifier(("x", [1, 1, 16, 16]), turned([0, 1, 3, 2])), {}),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("kind", GRAYS)
@pytest.mark.parametrize("pad_to", [None, 32])
def test_graph_for_gray_pictures_answers_alike_on_the_modules_picture(place, kind, pad_to):
    make, given = GRAYS[kind]
    write(place, make(), **{**GRAY, **given})
    with pytest.raises(PipelineError, match=r"the graph takes .*: add --to-rgb, which"):
        prepare(place)
    found = prepare(place, to_rgb=True, pad_to=pad_to)
    size = pad_to or 16
    assert found.shape == [1, 3, size, size] and any("as before" in r for r in found.remarks)
    gray = np.random.default_rng(1).normal(size=(1, 1, 16, 16)).astype(np.float32)
    edge = (size - 16) // 2
    around = np.full((1, 3, size, size), 9, np.float32)  # what lies around is not read
    around[:, :, edge : size - edge, edge : size - edge] = gray
    model = make()
    dimensions = [d.dim_value or 1 for d in model.graph.input[0].type.tensor_type.shape.dim]
    wanted = answers(model, gray.reshape(dimensions))
    assert np.abs(answers(found.model, around) - wanted).max() < 1e-4


def test_coloured_graph_with_channels_last_answers_alike(place):
    model = public_classifier(("x", ["N", 16, 16, 3]), turned([0, 3, 1, 2]))
    write(place, model, size=(1, 16, 16, 3))
    with pytest.raises(PipelineError, match=r"channels last.*--to-rgb.*--inputs-as-nchw x"):
        prepare(place)
    found = prepare(place, to_rgb=True)
    picture = np.random.default_rng(1).normal(size=(1, 3, 16, 16)).astype(np.float32)
    wanted = answers(model, picture.transpose(0, 2, 3, 1))
    assert np.abs(answers(found.model, picture) - wanted).max() < 1e-4


def ends_in(*operators: str, **constants) -> onnx.ModelProto:
    last, tail = "logits", []
    for number, operator in enumerate(operators):
        more = list(constants) if operator in ("Mul", "Sub", "TopK") else []
        output = "y" if number == len(operators) - 1 else f"t{number}"
        outputs = [output, "index"] if operator == "TopK" else [output]
        inputs = [*more, last] if operator == "Sub" else [last, *more]
        tail.append(node(operator, inputs, outputs, operator))
        last = output
    return public_classifier(tail=tuple(tail), constants=constants, outputs=("y",))


def with_node(operator: str, domain: str = "", **attributes) -> onnx.ModelProto:
    first = node(operator, ["x", *attributes.pop("more", [])], ["x0"], "n", domain=domain)
    model = public_classifier(front=(first,), constants=attributes)
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


def changed(change) -> onnx.ModelProto:
    model = public_classifier()
    change(model)
    return model


def second_input(model) -> None:
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))


def maps_only(model) -> None:
    """A probability for every place, as finders of text end."""
    del model.graph.node[3:]
    model.graph.node.append(helper.make_node("Sigmoid", ["p"], ["y"], "map"))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))


def zero_weights(model) -> None:
    for tensor in model.graph.initializer:
        tensor.raw_data = bytes(len(tensor.raw_data))


WHOLE = public_classifier().SerializeToString()
REFUSED = {  # model, what write() is given, the line
    "opset 20": (lambda: public_classifier(opset=20), {}, "opset 20, rknn-toolkit2 reads 7 to 19: export it again with another opset"),  # noqa: E501
    "opset 6": (lambda: public_classifier(opset=6), {}, "opset 6, rknn-toolkit2 reads 7 to 19"),
    "Softmax": (lambda: ends_in("Softmax"), {"output": "y"}, "ends in Softmax .Softmax.*into load_onnx.outputs, likely 'logits'"),  # noqa: E501
    "LogSoftmax": (lambda: ends_in("LogSoftmax"), {"output": "y"}, "ends in LogSoftmax"),
    "HardSigmoid": (lambda: ends_in("HardSigmoid"), {"output": "y"}, "ends in HardSigmoid"),
    "Tanh": (lambda: ends_in("Tanh"), {"output": "y"}, "ends in Tanh"),
    "ArgMax": (lambda: ends_in("ArgMax"), {"output": "y"}, "ends in ArgMax.*likely 'logits'"),
    "scaled Softmax": (lambda: ends_in("Softmax", "Mul", k=np.float32([100])), {"output": "y"}, "ends in Softmax.*likely 'logits'"),  # noqa: E501
    "one less": (lambda: ends_in("Sigmoid", "Sub", k=np.float32([1])), {"output": "y"}, "ends in Sigmoid.*likely 'logits'"),  # noqa: E501
    "Sigmoid by hand": (lambda: ends_in("Neg", "Exp", "Reciprocal"), {"output": "y"}, "ends in Reciprocal.*likely 'logits'"),  # noqa: E501
    "features": (public_classifier, {"output": "features"}, "'features' lies inside the network, Gemm .fc. comes behind it.*likely 'logits'"),  # noqa: E501
    "no such output": (public_classifier, {"output": "Add.53"}, "no tensor 'Add.53'; the logits are likely 'logits'"),  # noqa: E501
    "no output": (public_classifier, {"output": ""}, "none is written; the logits are likely 'logits'"),  # noqa: E501
    "a map": (lambda: public_classifier(outputs=("p",)), {"output": "r"}, "lies inside the network"),  # noqa: E501
    "an answer a place": (lambda: changed(maps_only), {"output": "y"}, "an answer for each of many places"),  # noqa: E501
    "height and width": (lambda: public_classifier(("x", [1, 3, 16, 16])), {"size": (1, 3, 16, 32)}, r"is \[1, 3, 16, 16\], \[1, 3, 16, 32\] is written there"),  # noqa: E501
    "exchanged": (lambda: public_classifier(("x", [1, 3, 16, 48])), {"size": (1, 3, 48, 16)}, "height and width are exchanged: write"),  # noqa: E501
    "channels last said": (public_classifier, {"size": (1, 16, 16, 3)}, "channels come first here"),
    "four channels": (lambda: public_classifier(("x", [1, 4, 16, 16])), {}, "no picture of one or three channels"),  # noqa: E501
    "two inputs": (lambda: changed(second_input), {}, r"has 2 inputs \(x, z\)"),
    "quantized": (lambda: with_node("QuantizeLinear", more=["s"], s=np.float32(0.1)), {}, "is quantized already"),  # noqa: E501
    "other domain": (lambda: with_node("FusedConv", "com.microsoft"), {}, "optimised by onnxruntime"),  # noqa: E501
    "trees": (lambda: with_node("Normalizer", "ai.onnx.ml"), {}, "trees, support vectors"),
    "training": (lambda: with_node("Dropout", more=["r0", "on"], r0=np.float32(0.5), on=np.array(True)), {}, r"Dropout\) is in training mode.*model.eval\(\)"),  # noqa: E501
    "zero weights": (lambda: changed(zero_weights), {}, "the same answer to every picture"),
    "gzip": (lambda: gzip.compress(WHOLE), {}, "is compressed with gzip, not an ONNX model"),
    "web page": (lambda: b"<!DOCTYPE html><html></html>", {}, "is a web page"),
    "LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\n", {}, "git lfs pull"),
    "empty": (lambda: b"", {}, "is empty"),
    "PyTorch": (lambda: b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j", {}, "PyTorch file.*torch.onnx.export"),
    "line ends": (lambda: WHOLE.replace(b"\n", b"\r\n"), {}, "line ends are others"),
    "cut short": (lambda: WHOLE[:-99], {}, "is cut short"),
}  # fmt: skip
OF_OUR_STEPS = (
    "03_export",
    "04_calibration",
    "05_convert",
    "export.opset",
    "train.",
    "mnist-rknn run",
)


@pytest.mark.parametrize("kind", REFUSED)
def test_graph_that_cannot_be_is_refused_in_the_words_of_its_owner(place, kind):
    make, given, expected = REFUSED[kind]
    write(place, make(), **given)
    with pytest.raises(PipelineError, match=expected) as error:
        maker.export(place / "m.yaml", place / "m.onnx", place / "m.rknn", "RV1106")
    assert "\n" not in str(error.value) and not (place / "m.rknn").exists()
    assert not [word for word in OF_OUR_STEPS if word in str(error.value)]


def test_weights_in_another_file_are_read_or_missed_by_name(place):
    model = public_classifier()
    write(place, model)
    onnx.save(
        model, str(place / "m.onnx"), save_as_external_data=True, location="w.bin", size_threshold=0
    )
    assert prepare(place).classes == 10
    (place / "w.bin").unlink()
    with pytest.raises(PipelineError, match=r"w\.bin is missing, in which m?.*its weights"):
        prepare(place)


def test_gray_model_becomes_a_file_for_the_module(place):
    """The real toolkit: a public model of 16x16 gray pixels on a picture of 32x32."""
    write(place, GRAYS["channels last, by Reshape"][0](), **GRAY)
    said: list[str] = []
    arguments = (place / "m.yaml", place / "m.onnx", place / "m.rknn", "RV1106", said.append)
    maker.export(*arguments, to_rgb=True, pad_to=32)
    file = rknn_file.read(place / "m.rknn")
    assert file.input.shape == [1, 3, 32, 32] and file.output.shape == [1, 10]
    assert not rknn_file.problems(file) and not rknn_file.remarks(file)
    assert file.input.mean == pytest.approx([255 * 0.1307] * 3)
    assert "10 classes" in said[-1] and not list(place.glob("*.log"))


def test_width_between_the_steps_of_16_is_built_and_warned_of(place):
    write(place, GRAYS["PyTorch"][0](), **{**GRAY, **PIXELS})
    said: list[str] = []
    arguments = (place / "m.yaml", place / "m.onnx", place / "m.rknn", "RV1106", said.append)
    maker.export(*arguments, to_rgb=True, pad_to=20)
    assert any("20 pixels wide" in line and "w_stride" in line for line in said)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("m.onnx", "is a file that the export reads"),
        ("05.png", "is a file that the export reads"),
        (".", "is a folder"),
        ("notes.txt", "is there already, and is no .rknn file"),
        ("m.yaml/m.rknn", "nothing can be written there"),
    ],
)
def test_nothing_of_the_users_is_overwritten(place, target, expected):
    write(place, public_classifier())
    (place / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in place.iterdir()}
    with pytest.raises(PipelineError, match=expected):
        maker.export(place / "m.yaml", place / "m.onnx", place / target, "RV1106")
    assert {path: path.read_bytes() for path in place.iterdir()} == before


def test_list_beside_the_recipe_file_only_says_where_to_start(place, monkeypatch):
    write(place, public_classifier())
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    with pytest.raises(PipelineError, match=r"lies beside .*m\.yaml: run the command in"):
        maker.export(place / "m.yaml", place / "m.onnx", place / "new" / "m.rknn", "RV1106")
    assert not (place / "new").exists()


def test_log_of_the_users_beside_the_model_stays(place):
    write(place, public_classifier(front=(node("Erf", ["x"], ["x0"], "erf"),)))
    for name in ("m.log", "m.export.log"):
        (place / name).write_text("mine")
    with pytest.raises(PipelineError, match="has no CPU Erf"):
        maker.export(place / "m.yaml", place / "m.onnx", place / "m.rknn", "RV1106")
    assert {(place / name).read_text() for name in ("m.log", "m.export.log")} == {"mine"}
    assert "rknn-toolkit2 version" in (place / "m.export-2.log").read_text()
