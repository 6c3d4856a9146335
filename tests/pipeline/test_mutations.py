"""Forty and more wrong inputs, each refused with its own line, and nothing earlier is harmed.

The gates are called as notebooks 05 and 06 call them. That these do call them is tried with three
wrong inputs each: their cells are run, in this process, on a copy of a finished run.
"""

import os
import shutil
import struct
from pathlib import Path

import cv2
import nbformat
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.graphs import classifier
from support.runs import PROJECT, TINY, sign

from mnist_rknn import recipe_file
from mnist_rknn.conversion import gates, onnx_graph, preflight, rknn_file, rknn_toolkit
from mnist_rknn.data import dataset
from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import manifest

RUN = recipe_file.load("smoke", TINY)
IMAGE = RUN.image
WANTED = ([1, 3, 48, 48], IMAGE.mean, IMAGE.std)
KEPT = ("smoke.rknn", "layers.json", "layer_error.json", "golden.npz", "verify.json")


@pytest.fixture
def linked(tiny_run, tmp_path) -> Path:
    """Data set and calibration list of the finished run; the pictures are links, to be replaced."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run / "dataset", folder / "dataset", copy_function=os.link)
    shutil.copy(tiny_run / "calibration.txt", folder)
    return folder


def said_by(gate, *arguments) -> str:
    with pytest.raises(PipelineError) as error:
        gate(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def refusal(step: str, folder: Path) -> str:
    """Run a notebook's cells until one refuses; what it says. Nothing else may change."""
    sign(folder)  # the graph would refuse it first
    before = {name: (folder / name).read_bytes() for name in KEPT if (folder / name).is_file()}
    notebook = nbformat.read(PROJECT / "notebooks" / f"{step}.ipynb", as_version=4)
    space: dict = {"__name__": "__main__"}
    said = None
    try:
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            exec(compile(cell.source, step, "exec"), space)
            if "parameters" in cell.metadata.get("tags", []):
                space |= {"recipe": "smoke", "output": str(folder), "overrides": list(TINY)}
    except (PipelineError, AssertionError) as error:
        said = str(error)
    finally:
        if "run" in space:
            space["run"]._lock.release()
    assert said, f"{step} took it"
    assert "\n" not in said and "Traceback" not in said
    for name, content in before.items():
        assert (folder / name).read_bytes() == content, f"{name} was changed"
    assert not list(folder.rglob("*.partial*"))
    return said


def lines(folder: Path) -> list[str]:
    listed = (folder / "calibration.txt").read_text().splitlines()
    return [str(folder / line) for line in listed]


def relist(folder: Path, new: list[str]) -> None:
    (folder / "calibration.txt").write_text("".join(f"{line}\n" for line in new))


def overwrite(path: str, content: bytes) -> None:
    Path(path).unlink()
    Path(path).write_bytes(content)


def repaint(folder: Path, image: np.ndarray) -> None:
    overwrite(lines(folder)[7], cv2.imencode(".bmp", image)[1].tobytes())


# --- the calibration list -------------------------------------------------------------


def one_class(folder: Path) -> None:
    train = dataset.read_split(folder / "dataset", "train")
    ones = [str(f) for f, c in zip(train.files, train.classes, strict=True) if c == 1]
    relist(folder, ones[:100])


def without_a_class(folder: Path) -> None:
    train = dataset.read_split(folder / "dataset", "train")
    others = [str(f) for f, c in zip(train.files, train.classes, strict=True) if c != 7]
    relist(folder, others[:100])


def stray(folder: Path) -> None:
    picture = folder / "stray.bmp"
    dataset.write_image(picture, np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8))
    relist(folder, [*lines(folder)[:-1], str(picture)])


def with_test_image(folder: Path) -> None:
    test = dataset.read_split(folder / "dataset", "test")
    relist(folder, [*lines(folder)[:-1], str(test.files[3])])


def copy_of_test_image(folder: Path) -> None:
    test = dataset.read_split(folder / "dataset", "test")
    overwrite(lines(folder)[3], test.files[3].read_bytes())


CALIBRATION = {
    "no list": (lambda f: (f / "calibration.txt").write_text(""), "is empty"),
    "binary list": (lambda f: (f / "calibration.txt").write_bytes(b"\xff\xfe\0"), "no text file"),
    "one picture": (lambda f: relist(f, lines(f)[:1]), "has 1 images for 10 classes"),
    "lines lost": (lambda f: relist(f, lines(f)[:-10]), "has 90 lines, calibration.images is 100"),
    "all black": (lambda f: repaint(f, np.zeros((48, 48, 3), np.uint8)), "one flat tone"),
    "other size": (lambda f: repaint(f, np.eye(32, dtype=np.uint8)[..., None] * np.full(3, 255, np.uint8)), "is 32x32, the network takes 48x48"),  # noqa: E501
    "gray": (lambda f: repaint(f, np.eye(48, dtype=np.uint8) * 255), "three 8-bit channels"),
    "gone": (lambda f: Path(lines(f)[7]).unlink(), "is missing"),
    "cut short": (lambda f: overwrite(lines(f)[7], b"BM\x00\x01"), "not a readable picture"),
    "a text": (lambda f: overwrite(lines(f)[7], b"hello"), "not a readable picture"),
    "twice": (lambda f: relist(f, [*lines(f)[:-1], lines(f)[0]]), "stands twice"),
    "a space": (lambda f: relist(f, [*lines(f)[:-1], "/tmp/my digits/1.bmp"]), "holds a space"),
    "a test image": (with_test_image, "is a test image"),
    "a copy of a test image": (copy_of_test_image, "is a test image"),
    "of no data set": (stray, "none of the training images"),
    "one class": (one_class, "0 images of class 0"),
    "without a class": (without_a_class, "0 images of class 7"),
}  # fmt: skip


@pytest.mark.parametrize("mutation", CALIBRATION)
def test_calibration_list(linked, mutation):
    change, expected = CALIBRATION[mutation]
    change(linked)
    listed = linked / "calibration.txt"
    assert expected in said_by(preflight.check_calibration, listed, RUN, linked / "dataset")


# --- the ONNX graph -------------------------------------------------------------------


def graph(**changes) -> onnx.ModelProto:
    """A graph the toolkit would take, with parts of it exchanged."""
    model = classifier(changes.get("tail", ()), changes.get("batch", 1))
    if opset := changes.get("opset"):
        model.opset_import[0].version = opset
    if shape := changes.get("input"):
        dims = model.graph.input[0].type.tensor_type.shape.dim
        for dim, size in zip(dims, shape, strict=True):
            dim.dim_value = size
    if kind := changes.get("kind"):
        model.graph.input[0].type.tensor_type.elem_type = kind
    return model


def weights(value: float | None = None, dtype=np.float32, classes: int = 10) -> onnx.ModelProto:
    model = classifier()
    values = np.random.default_rng(0).normal(0, 0.05, (classes, 3, 48, 48)).astype(dtype)
    if value is not None:
        values.flat[5] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(values, "w"))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = classes
    return model


def two_inputs() -> onnx.ModelProto:
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1]))
    return model


def two_outputs() -> onnx.ModelProto:
    model = classifier(("Relu",))
    model.graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, [1, 10, 1, 1]))
    return model


def quantized() -> onnx.ModelProto:
    model = classifier()
    for name, value in (("s", np.float32(0.1)), ("z", np.int8(0))):
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    model.graph.node[0].input[0] = "xd"
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"], "d"))
    model.graph.node.insert(0, helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"], "q"))
    return model


def foreign() -> onnx.ModelProto:
    model = classifier(("Relu",))
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "Gelu", "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


def empty() -> onnx.ModelProto:
    model = classifier()
    del model.graph.node[:]
    model.graph.output[0].CopyFrom(model.graph.input[0])
    return model


GRAPHS = {
    "opset 21": (lambda: graph(opset=21), "opset 21, rknn-toolkit2 reads 7 to 19"),
    "opset 6": (lambda: graph(opset=6), "opset 6, rknn-toolkit2 reads 7 to 19"),
    "dynamic batch": (lambda: graph(batch="N"), "dynamic shape ['N', 3, 48, 48]"),
    "two at a time": (lambda: graph(batch=2), "input is [2, 3, 48, 48]"),
    "other size": (lambda: graph(input=[1, 3, 64, 64]), "input is [1, 3, 64, 64]"),
    "ends in Softmax": (lambda: graph(tail=("Softmax",)), "ends in Softmax"),
    "ends in LogSoftmax": (lambda: graph(tail=("LogSoftmax",)), "ends in LogSoftmax"),
    "hidden Softmax": (lambda: graph(tail=("Softmax", "Relu")), "ends in Softmax"),
    "ends in Sigmoid": (lambda: graph(tail=("Sigmoid",)), "ends in Sigmoid"),
    "float16 input": (lambda: graph(kind=TensorProto.FLOAT16), "is FLOAT16, not FLOAT"),
    "float16 weights": (lambda: weights(dtype=np.float16), "weight w is FLOAT16"),
    "double weights": (lambda: weights(dtype=np.float64), "weight w is DOUBLE"),
    "not a number": (lambda: weights(float("nan")), "weight w holds values that are not finite"),
    "infinite": (lambda: weights(float("inf")), "weight w holds values that are not finite"),
    "eleven classes": (lambda: weights(classes=11), "for 10 labels it must be [1, 10]"),
    "two inputs": (two_inputs, "the graph has 2 inputs (x, y)"),
    "two outputs": (two_outputs, "the graph has 2 outputs"),
    "quantized already": (quantized, "quantized already (q, QuantizeLinear)"),
    "of another domain": (foreign, "com.microsoft"),
    "no nodes": (empty, "has no layers"),
}


def check_graph(path: Path) -> None:
    preflight.check_graph(onnx_graph.load(path), RUN, classes=10)


@pytest.mark.parametrize("mutation", GRAPHS)
def test_onnx_graph(tmp_path, mutation):
    make, expected = GRAPHS[mutation]
    path = tmp_path / "smoke.slim.onnx"
    path.write_bytes(make().SerializeToString())
    assert expected in said_by(check_graph, path)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, "is empty (0 bytes)"), (0.4, "is cut short"), (0.99, "is cut short")],
)
def test_onnx_file_cut_short(tiny_run, tmp_path, share, expected):
    whole = (tiny_run / "smoke.slim.onnx").read_bytes()
    path = tmp_path / "smoke.slim.onnx"
    path.write_bytes(whole[: int(share * len(whole))])
    assert expected in said_by(check_graph, path)


def test_planted_operator_that_the_toolkit_builds(tiny_run, tmp_path):
    """The toolkit says yes; the layer table does not."""
    path, log = tmp_path / "smoke.slim.onnx", tmp_path / "build.log"
    path.write_bytes(classifier(inside="Erf").SerializeToString())
    check_graph(path)
    with rknn_toolkit.captured(log):
        arguments = rknn_toolkit.config_arguments(RUN)
        listed = tiny_run / "calibration.txt"
        rknn_toolkit.build(arguments, path, listed, log, verbose=True).release()
    exporting = gates.exporting(tmp_path / "a.rknn", rknn_toolkit.parse_log(log), *WANTED)
    assert "has no CPU Erf: rknn_init would fail" in said_by(exporting.__enter__)


# --- the .rknn file -------------------------------------------------------------------


def replace(old: bytes, new: bytes):
    """Exchange bytes for as many others."""
    assert len(old) == len(new)

    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new)

    return change


def header(offset: int, value: int):
    return lambda content: content[:offset] + struct.pack("<Q", value) + content[offset + 8 :]


def flip_weight(content: bytes) -> bytes:
    """One bit of a weight; the file is whole and says nothing wrong of itself."""
    return content[:0x400] + bytes([content[0x400] ^ 1]) + content[0x401:]


RKNN = {
    "empty": (lambda c: b"", "no .rknn file"),
    "of another kind": (lambda c: b"PK\3\4" + c[4:], "is a zip archive, no .rknn file"),
    "cut to 45 %": (lambda c: c[: int(0.45 * len(c))], "is cut short"),
    "cut by a byte": (lambda c: c[:-1], "its header announces"),
    "a byte too long": (lambda c: c + b"\0", "its header announces"),
    "version": (header(8, 0x2005), "unknown version 0x2005"),
    "full": (header(8, 6), "is a full model, which the RV1106 runtime cannot load"),
    "length": (header(16, 1 << 40), "is cut short"),
    "description": (replace(b'{"connection"', b'{"connection('), "cannot be read"),
    "other chip": (replace(b'"target_platform":["rv1106"]', b'"target_platform":["rk3566"]'), "is for rk3566"),  # noqa: E501
    "float16 input": (replace(b'"vx_type":"int8"', b'"vx_type":"fp16"'), "is fp16"),
    "other size": (replace(b'"size":[1,3,48,48]', b'"size":[1,3,32,32]'), "[1, 3, 32, 32]"),
    "odd width": (replace(b'"size":[1,3,48,48]', b'"size":[1,3,48,44]'), "[1, 3, 48, 44]"),
    "planted mean": (replace(b"'mean': [127.5, 127.5, 127.5]", b"'mean': [103.5, 127.5, 127.5]"), "normalises with mean [103.5, 127.5, 127.5]"),  # noqa: E501
    "planted fraction": (replace(b"'std': [127.5, 127.5, 127.5]", b"'std': [0.501, 127.5, 127.5]"), "normalises with mean"),  # noqa: E501
    "of another ONNX": (replace(b";onnx=", b";0nnx="), "made from another ONNX model"),
    "a flipped weight": (flip_weight, "is not the file that 05_convert wrote"),
}  # fmt: skip


def check_file(run: Path, content: bytes, scratch: Path) -> None:
    """What 06_verify asks of a `.rknn` file before it measures anything."""
    path = scratch / "smoke.rknn"
    path.write_bytes(content)
    shutil.copytree(run / "steps", scratch / "steps")
    labels = dataset.read_labels(run / "dataset")
    made_from = preflight.custom_string(labels, run / "smoke.slim.onnx")
    rknn_file.require_deployable(rknn_file.read(path), *WANTED, made_from)
    manifest.require_converted(RUN, scratch)


@pytest.mark.parametrize("mutation", RKNN)
def test_rknn_file(tiny_run, tmp_path, mutation):
    change, expected = RKNN[mutation]
    content = change((tiny_run / "smoke.rknn").read_bytes())
    assert expected in said_by(check_file, tiny_run, content, tmp_path)


# --- the notebooks call these gates -----------------------------------------------------


def exchange_graph(folder: Path, *tail: str, inside: str | None = None) -> None:
    (folder / "smoke.slim.onnx").write_bytes(classifier(tail, inside=inside).SerializeToString())


def change_model(folder: Path, change) -> None:
    path = folder / "smoke.rknn"
    path.write_bytes(change(path.read_bytes()))


def change_golden(folder: Path) -> None:
    golden = dict(np.load(folder / "golden.npz"))
    golden["logits"][0, 0] += 0.5
    np.savez_compressed(folder / "golden.npz", **golden)


WIRED = {
    "a test image": ("05_convert", with_test_image, "is a test image"),
    "ends in Softmax": ("05_convert", lambda f: exchange_graph(f, "Softmax"), "ends in Softmax"),
    "planted Erf": ("05_convert", lambda f: exchange_graph(f, inside="Erf"), "has no CPU Erf"),
    "other ONNX": ("06_verify", exchange_graph, "made from another ONNX model"),
    "a bit": ("06_verify", lambda f: change_model(f, flip_weight), "is not the file that 05_conve"),
    "golden": ("06_verify", change_golden, "not the model that 05_convert exported"),
}


@pytest.mark.parametrize("mutation", WIRED)
def test_notebook_refuses(finished, mutation):
    step, change, expected = WIRED[mutation]
    change(finished)
    assert expected in refusal(step, finished)


def test_there_are_forty_of_them_at_least():
    assert len(CALIBRATION) + len(GRAPHS) + len(RKNN) >= 40


def test_gates_take_the_run_as_it_is(tiny_run, tmp_path):
    """The checks that refuse all of the above refuse nothing here."""
    check_graph(tiny_run / "smoke.slim.onnx")
    listed = tiny_run / "calibration.txt"
    assert len(preflight.check_calibration(listed, RUN, tiny_run / "dataset")) == 100
    check_file(tiny_run, (tiny_run / "smoke.rknn").read_bytes(), tmp_path)
