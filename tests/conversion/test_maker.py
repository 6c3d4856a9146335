"""The maker's recipe files and flags work as they are, and what they take silently is refused."""

import numpy as np
import onnx
import pytest
import yaml
from support.graphs import classifier
from support.runs import run_command

from mnist_rknn import recipe_file
from mnist_rknn.conversion import maker, rknn_file
from mnist_rknn.errors import PipelineError


@pytest.fixture
def place(finished, monkeypatch):
    """The working folder of the command, with a model, its list and a recipe file."""
    monkeypatch.chdir(finished)
    return finished


def change(place, **parts) -> None:
    """Change keys of the maker's recipe, such as config={"type": "fp32"}."""
    path = place / "smoke.lockzhiner.yaml"
    content = yaml.safe_load(path.read_text())
    for part, values in parts.items():
        content[part] |= values
    path.write_text(yaml.safe_dump(content))


def export(place, model="smoke.onnx", platform="RV1106") -> tuple[rknn_file.RknnFile, list[str]]:
    said: list[str] = []
    target = place / "y.rknn"
    maker.export(place / "smoke.lockzhiner.yaml", place / model, target, platform, said.append)
    return rknn_file.read(target), said


def test_our_recipe_file_makes_the_model_of_the_run(place):
    file, said = export(place)
    ours = rknn_file.read(place / "smoke.rknn")
    assert (file.input, file.output) == (ours.input, ours.output)
    assert len(said) == 1 and "compiler estimate" in said[0]


def test_makers_flags_from_the_command_line(place):
    result = run_command(
        "export", "--config_path", place / "smoke.lockzhiner.yaml", "--model_load_path",
        place / "smoke.onnx", "--model_save_path", place / "out.rknn",
        "--target_platform", "RV1106", cwd=place,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert rknn_file.read(place / "out.rknn").mini


def test_fp32_counts_from_0_to_1(place):
    change(place, config={"type": "fp32", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]})
    file, _ = export(place)
    assert file.input.mean == [127.5] * 3 and file.input.std == [127.5] * 3


def test_blue_first_means_and_other_sizes_are_warned_of(place):
    change(place, config={"mean": [100, 110, 120]})
    change(place, load_onnx={"input_size_list": [[1, 3, 48, 48]]})
    first = (place / "calibration.txt").read_text().splitlines()[0]
    import cv2

    cv2.imwrite(first, np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    file, said = export(place)
    assert file.input.mean == [100, 110, 120]
    assert any("1 of 100 calibration pictures are not 48x48" in line for line in said)
    assert any("blue first" in line for line in said)


REFUSED = {
    "output": ({"load_onnx": {"outputs": ["Add.53"]}}, "no tensor 'Add.53'; the logits are likely"),
    "input": ({"load_onnx": {"inputs": ["image"]}}, "no input 'image'; the graph's input is 'x'"),
    "two outputs": ({"load_onnx": {"outputs": ["a", "b"]}}, "load_onnx.outputs names 2 tensors"),
    "size": (
        {"load_onnx": {"input_size_list": [[1, 3, 48]]}},
        ", 3, 48, 48], [1, 3, 48] is written there: write [[1, 3, 48, 48]]",
    ),
    "kind of values": ({"config": {"std": [0.5] * 3}}, "values from 0 to 1 need type fp32"),
    "twice 255": ({"config": {"type": "fp32"}}, "fp32 is for values from 0 to 1"),
    "std 0": ({"config": {"std": [0, 1, 1]}}, "in pixels: it must be above 0"),
    "type": ({"config": {"type": "int4"}}, "config.type"),
    "data type": ({"config": {"quantized_dtype": "w16a16i"}}, "write w8a8"),
    "float": ({"build": {"do_quantization": False}}, "no float mode"),
    "no list": (
        {"build": {"dataset": "./none.txt"}},
        "none.txt is missing: write a list, one picture",
    ),
    "unknown key": ({"config": {"means": [1, 2, 3]}}, "config.means"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_mistake_in_the_recipe_is_one_line_and_harms_nothing(place, mistake):
    parts, expected = REFUSED[mistake]
    change(place, **parts)
    (place / "y.rknn").write_bytes(b"earlier")
    with pytest.raises(PipelineError) as error:
        export(place)
    assert expected in str(error.value) and "\n" not in str(error.value)
    assert (place / "y.rknn").read_bytes() == b"earlier"


def test_softmax_as_output_is_refused_and_the_logits_are_named(place):
    model = onnx.load(str(place / "smoke.onnx"))
    change(place, load_onnx={"outputs": [model.graph.output[0].name]})
    with pytest.raises(PipelineError, match=r"ends in Softmax.*load_onnx\.outputs, likely"):
        export(place)


def test_model_the_board_would_refuse_is_refused(place):
    onnx.save(classifier(inside="Erf"), str(place / "erf.onnx"))
    change(place, load_onnx={"outputs": ["logits"]})
    with pytest.raises(PipelineError, match="has no CPU Erf"):
        export(place, "erf.onnx")
    with pytest.raises(PipelineError, match="is an RV1106"):
        export(place, platform="RK3588")


def test_written_recipe_has_the_makers_keys(place):
    content = yaml.safe_load((place / "smoke.lockzhiner.yaml").read_text())
    run = recipe_file.load("smoke")
    assert set(content) == {"load_onnx", "config", "build"}
    assert content["load_onnx"]["input_size_list"] == [[1, 3, run.image.height, run.image.width]]
    assert content["build"] == {"do_quantization": True, "dataset": "./calibration.txt"}
    assert content["config"]["mean"] == run.image.mean and content["config"]["type"] == "int8"
