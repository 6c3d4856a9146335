"""What is said of a network's work is what the compiler's tables and the formulas say."""

import numpy as np
import onnx
import paddle
import pytest

from mnist_rknn import recipe_file
from mnist_rknn.compression import counting, families, measuring
from mnist_rknn.conversion import rknn_toolkit
from mnist_rknn.data import dataset
from mnist_rknn.errors import PipelineError
from mnist_rknn.records import Compilation, Layer
from mnist_rknn.training.networks import DigitNet

# Rows of the compiler's tables (rknn-toolkit2 2.3.2): input, output, NPU cycles.
TABLE = [
    ("(1,3,48,48),(24,3,6,6),(24)", "(1,24,16,16)", 18432),
    ("(1,48,16,16),(48,48,3,3),(48)", "(1,48,16,16)", 13824),
    ("(1,8,24,24),(1,8,3,3),(8)", "(1,8,24,24)", 5184),  # depthwise
    ("(1,32,12,12),(1,32,3,3),(32)", "(1,32,6,6)", 432),
    ("(1,8,24,24),(16,8,1,1),(16)", "(1,16,24,24)", 2304),
    ("(1,64,6,6),(64,64,1,1),(64)", "(1,64,6,6)", 768),
    ("(1,128,3,3),(128,128,1,1),(128)", "(1,128,3,3)", 512),
    ("(1,256,2,2),(256,256,1,1),(256)", "(1,256,2,2)", 2048),
    ("(1,64,16,16),(64,64,1,1),(64),...", "(1,64,16,16)", 4096),
]


def layer(given: str, made: str, cycles: int, operator: str = "ConvRelu"):
    return Layer(
        id=1, operator=operator, dtype="INT8", target="NPU", input_shape=given, output_shape=made,
        ddr_cycles=10, npu_cycles=cycles, cycles=max(10, cycles), traffic_kb=1, name="a",
    )  # fmt: skip


@pytest.mark.parametrize(("given", "made", "cycles"), TABLE)
def test_the_rule_gives_what_the_compiler_gave(given, made, cycles):
    assert counting.ruled(layer(given, made, cycles)) == cycles


def test_the_rule_holds_for_every_convolution_of_a_finished_run(tiny_run):
    layers = Compilation.read(tiny_run).layers
    found = [(found, row.npu_cycles) for row in layers if (found := counting.ruled(row))]
    assert len(found) > 3
    assert [mine for mine, _ in found] == [theirs for _, theirs in found]


def test_what_is_no_convolution_has_no_rule_and_waits_for_nothing():
    pool = layer("(1,48,8,8)", "(1,48,4,4)", 0, "MaxPool")
    assert counting.ruled(pool) is None
    assert counting.bound_by(pool.model_copy(update={"cycles": 0})) == "-"
    assert counting.bound_by(layer(*TABLE[0])) == "multiplying"
    assert counting.bound_by(layer(*TABLE[0]).model_copy(update={"ddr_cycles": 9**9})) == "memory"


def test_the_recipe_tiny_costs_what_its_budget_allows(tmp_path):
    recipe = recipe_file.load("tiny")
    measuring.export(DigitNet(10, **recipe.model.arguments), recipe, tmp_path / "a.onnx")
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 256, (48, 48, 3)).astype(np.uint8)
        dataset.write_image(tmp_path / f"{number}.bmp", image)
    (tmp_path / "list.txt").write_text("0.bmp\n1.bmp\n")
    table = measuring.compile_only(
        recipe, tmp_path / "a.onnx", tmp_path / "list.txt", tmp_path / "a.log"
    )
    rknn_toolkit.require_runnable(table)
    assert table.cycles <= recipe.budget.cycles == 35_000
    assert table.weights_kb <= recipe.budget.weights_kb


def test_multiply_accumulates_are_those_of_the_layers(tmp_path):
    network = DigitNet(10, stem=16, stem_stride=3, stem_kernel=3, stages=[[32], [48]])
    recipe = recipe_file.load("mnist")
    measuring.export(network, recipe, tmp_path / "a.onnx")
    wanted = 256 * 9 * 3 * 16 + 256 * 9 * 16 * 32 + 64 * 9 * 32 * 48 + 48 * 10
    assert counting.macs(onnx.load(str(tmp_path / "a.onnx"))) == wanted


def test_a_grouped_convolution_has_fewer_macs_than_a_whole_one(tmp_path):
    recipe = recipe_file.load("mnist")
    found = []
    for groups in (1, 8):
        measuring.export(families.Grouped(groups=groups), recipe, tmp_path / "a.onnx")
        found.append(counting.macs(onnx.load(str(tmp_path / "a.onnx"))))
    spared = 7 / 8 * 9 * 2 * (256 * 64**2 + 64 * 96**2)
    assert found[0] - found[1] == spared


@pytest.mark.parametrize("size", [32, 48, 96])
@pytest.mark.parametrize("name", families.OWN)
def test_our_own_networks_answer_pictures_of_any_size(name, size):
    network = families.build(name, 7, size)
    network.eval()
    assert network(paddle.zeros([2, 3, size, size])).shape == [2, 7]


def test_a_network_of_paddleclas_answers_too():
    network = families.build("MobileNetV1 x0.25", 7, 48)
    network.eval()
    assert network(paddle.zeros([1, 3, 48, 48])).shape == [1, 7]


def test_an_unknown_network_is_one_line():
    with pytest.raises(PipelineError, match="no network 'VGG': there are default, LeNet-5, group"):
        families.build("VGG", 10, 48)
