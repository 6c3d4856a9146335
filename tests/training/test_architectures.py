"""A network that nobody has is refused before anything runs, and without loading Paddle."""

import re
import subprocess
import sys

import pytest
from paddle import nn
from support.runs import PROJECT, last_line, run_script

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.training import architectures, networks
from mnist_rknn.training.paddleclas_launcher.additions import classes_of


@pytest.mark.parametrize("name", recipe_file.names())
def test_networks_of_the_shipped_recipes_are_known(name):
    architectures.require_known(recipe_file.load(name))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["model.name=NoSuchNet"], "model.name: NoSuchNet is no model of PaddleX"),
        (["model.name=DigtNet"], "similar: DigitNet"),
        (["model.name=mobilenetv3_small_x1_0"], "similar: MobileNetV3_small_x1_0"),
        (["model.name=Qqqqqqqqq"], "known are ConvBNReLU, DigitNet and "),
        # PaddleX's name, which PaddleClas writes otherwise.
        (["model.name=PP-LCNet_x1_0"], "model.architecture: this PaddleClas has no PP-LCNet_x1_0"),
        (["model.name=PP-LCNet_x1_0"], "similar: PPLCNet_x1_0"),
        (["model.architecture=PPLCNet_x1_1"], "this PaddleClas has no PPLCNet_x1_1"),
    ],
)
def test_unknown_network_is_refused_with_similar_names(changes, expected):
    with pytest.raises(PipelineError, match=re.escape(expected)) as error:
        architectures.require_known(recipe_file.load("mnist", changes))
    assert "\n" not in str(error.value) and "recipe mnist" in str(error.value)


def test_names_of_paddlex_paddleclas_and_ours_are_taken():
    for changes in (
        ["model.name=PP-LCNet_x1_0", "model.architecture=PPLCNet_x1_0"],
        ["model.name=ResNet18"],
        ["model.name=ShuffleNetV2_x1_0"],  # PaddleClas has it, and PaddleX's table not
    ):
        architectures.require_known(recipe_file.load("mnist", changes))


def test_tables_read_from_sources_are_what_the_packages_have():
    assert architectures.ours() == set(classes_of(networks, nn.Layer))
    assert {"MobileNetV3_small_x1_0", "PP-LCNet_x1_0"} <= architectures.of_paddlex()
    assert {"MobileNetV3_small_x1_0", "PPLCNet_x1_0"} <= architectures.of_paddleclas()


def test_check_loads_neither_paddle_nor_paddlex():
    code = (
        "import sys\n"
        "from mnist_rknn import recipe_file\n"
        "from mnist_rknn.training.architectures import require_known\n"
        "require_known(recipe_file.load('mnist'))\n"
        "loaded = {'paddle', 'paddlex', 'paddleclas', 'ppcls', 'numpy'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


def test_where_paddleclas_is_not_installed_its_names_are_not_checked(monkeypatch):
    monkeypatch.setenv("PADDLE_PDX_PADDLECLAS_PATH", "/nowhere")
    architectures.require_known(recipe_file.load("mnist", ["model.name=NoSuchNet"]))


def test_run_with_an_unknown_network_ends_before_its_first_step(tmp_path):
    folder = tmp_path / "run"
    result = run_script("run.py", "--set", "model.name=NoSuchNet", "--output", str(folder))
    assert result.returncode == 1
    assert "model.name: NoSuchNet is no model of PaddleX" in last_line(result)
    assert not (folder / "steps").exists() and not (folder / "notebooks").exists()
