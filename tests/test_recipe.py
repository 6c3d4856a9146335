"""A recipe that cannot work is refused with one line before anything runs."""

import pytest
from support.runs import last_line, run_command

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.recipe import REFUSED


@pytest.mark.parametrize("name", recipe_file.names())
def test_shipped_recipes_load(name):
    assert recipe_file.load(name).name == name


IMPOSSIBLE = {
    "image.std=[0, 127.5, 127.5]": "divided by it",
    "image.mean=[0.5, 0.5, 0.5]": "multiply a mean given as a fraction by 255",
    "image.std=[0.5, 0.5, 0.5]": "multiply it by 255",
    "image.mean=[[127.5, 127.5, 127.5]]": "one plain list",
    "image.mean=[1, 2, 3, 1, 2, 3]": "at most 3 items",
    "image.width=28": "a multiple of 16, such as 32",
    "image.color_order=gbr": "'rgb' or 'bgr'",
    "rknn.quantized_algorithm=gdq": "'normal', 'kl_divergence' or 'mmse'",
    "rknn.optimization_level=4": "less than or equal to 3",
    "rknn.toolkit=1.6.0": "'2.3.2' or '2.5.0'",
    "export.opset=21": "opset 12 to 19",
    "export.opset=11": "opset 12 to 19",
    "calibration.images=1": "greater than or equal to 20",
    "train.epochs=0": "greater than or equal to 1",
    "train.epochs=two": "valid integer",
    "train.warmup_epochs=99": "less than train.epochs",
    "train.batch_size=33": "make it a multiple",
    "train.progressive_resizing.share=2": "less than or equal to 1",
    "train.progressive_resizing.scales=[]": "at least 1 item",
    "train.progressive_resizing.scales=[36]": "from 0.1 to 1, such as [0.75]",
    "train.device=cuda": "use auto, cpu, gpu",
    "dataset.kind=cifar": "'mnist', 'idx', 'folder', 'labelme', 'paddlex' or 'table'",
    "seed=1.5": "valid integer",
}


@pytest.mark.parametrize("override", IMPOSSIBLE)
def test_impossible_value_names_key_and_cure(override):
    with pytest.raises(PipelineError) as error:
        recipe_file.load("mnist", [override])
    message = str(error.value)
    assert "\n" not in message
    assert override.split("=")[0] in message
    assert IMPOSSIBLE[override] in message


@pytest.mark.parametrize("value", ["null", "3", "x"])
@pytest.mark.parametrize("key", REFUSED)
def test_key_without_a_choice_is_refused_with_the_reason_whatever_its_value(key, value):
    with pytest.raises(PipelineError) as error:
        recipe_file.load("mnist", [f"rknn.{key}={value}"])
    message = str(error.value)
    assert f"rknn.{key}: {REFUSED[key]}" in message and message.endswith("remove the key")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("rknn.quantized_dtype=w8a8", "all models are w8a8"),
        ("rknn.quantized_dtype=w16a16i_dfp", "wrong results with w16a16i_dfp"),
        ("rknn.do_quantization=true", "no float mode"),
        ("rknn.do_quantization=false", "no float mode"),
        ("rknn.target_platform=rv1106", "is an RV1106"),
        ("rknn.dynamic_input=[[[1, 3, 32, 32]]]", "runtime cannot load"),
        ("rknn.op_target={Conv.0: cpu}", "fails on the board"),
        ("rknn.op_target={Conv.0: npu}", "layers run on the NPU"),
    ],
)
def test_argument_of_the_toolkit_that_leaves_no_choice_names_the_reason(override, reason):
    with pytest.raises(PipelineError, match=reason):
        recipe_file.load("mnist", [override])


@pytest.mark.parametrize(
    "key", ["train.epoch", "rknn.quantised_dtype", "dataset.samples.tran", "x"]
)
def test_unknown_key_lists_the_known_ones(key):
    with pytest.raises(PipelineError, match=f"unknown key {key}: the keys here are "):
        recipe_file.load("mnist", [f"{key}=1"])


@pytest.mark.parametrize(
    "override", ["train.epochs", "=3", "train.epochs.x=1", "train.epochs={[", "seed.x=1"]
)
def test_malformed_override_is_named(override):
    with pytest.raises(PipelineError) as error:
        recipe_file.load("mnist", [override])
    assert "\n" not in str(error.value)
    assert "override" in str(error.value)


def test_override_replaces_one_key():
    changed = recipe_file.load(
        "mnist", ["train.learning_rate=1e-3", "rknn.quantized_algorithm=mmse"]
    )
    assert changed.train.learning_rate == 0.001
    assert changed.rknn.quantized_algorithm == "mmse"
    assert changed.train.epochs == recipe_file.load("mnist").train.epochs


def test_more_calibration_than_training_images_is_refused():
    with pytest.raises(PipelineError, match=r"calibration\.images: 100 is more than"):
        recipe_file.load("smoke", ["dataset.samples.train=50"])


def test_unknown_recipe_lists_the_shipped_ones():
    with pytest.raises(PipelineError, match=r"choose one of .*mnist"):
        recipe_file.load("nosuch")


@pytest.mark.parametrize("content", ["", "[1, 2]", "a: [", "\x00\x01", "train: 3\nseed: x"])
def test_broken_recipe_file_is_one_line(tmp_path, content):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content.encode())
    with pytest.raises(PipelineError) as error:
        recipe_file.load(str(path))
    assert "broken.yaml" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--recipe", "nosuch"), "unknown recipe 'nosuch'"),
        (("--set", "train.epoch=3"), "unknown key train.epoch"),
        (("--set", "image.width=28"), "image.width: 28"),
        (("99",), "unknown step '99'"),
        (("04-02",), "runs backwards"),
        (("01", "--parameter", "epochs=3"), "01_data.ipynb has no parameter 'epochs'"),
    ],
)
def test_script_answers_a_mistake_with_one_line(arguments, expected, tmp_path):
    result = run_command("run", *arguments, "--output", str(tmp_path / "out"))
    assert result.returncode == 1
    assert expected in last_line(result)
    assert "Traceback" not in result.stderr
