"""A search keeps its budget, and says so where nothing can."""

import importlib.util

import numpy as np
import pytest

from mnist_rknn import recipe_file
from mnist_rknn.compression import search
from mnist_rknn.conversion import calibration
from mnist_rknn.data import dataset
from mnist_rknn.errors import PipelineError
from mnist_rknn.training.networks import DigitNet


@pytest.mark.parametrize("budget", [0, -5, 1.5, True, "35000", None])
def test_a_budget_that_is_no_number_of_cycles_is_one_line(budget):
    with pytest.raises(PipelineError, match=r"budget .*: give NPU cycles, such as 35000"):
        search.require_budget(budget, 0)


def test_a_budget_that_nothing_meets_says_what_the_cheapest_takes():
    with pytest.raises(PipelineError, match=r"budget 3,000: nothing meets it, .* takes 3,082"):
        search.require_budget(3000, 3082)
    search.require_budget(3082, 3082)


def test_a_choice_is_a_network():
    choice = {"stem": 16, "kernel": 3, "depth1": 2, "width1": 32, "depth2": 1, "width2": 48}
    network = DigitNet(10, **search.arguments(choice))
    assert [p.shape[0] for p in network.parameters() if p.ndim == 4] == [16, 32, 32, 48]
    assert network.features[0][0].weight.shape[-1] == 3


@pytest.mark.parametrize("size", [0, -16, 20, 50])
def test_a_size_that_the_npu_does_not_read_is_one_line(size):
    with pytest.raises(PipelineError, match=f"size {size}: .* choose a multiple of 16"):
        search.at_size(recipe_file.load("mnist"), size)


def test_a_recipe_at_another_size_is_else_the_same():
    recipe = recipe_file.load("mnist")
    other = search.at_size(recipe, 96)
    assert (other.image.height, other.image.width) == (96, 96)
    assert other.model_copy(update={"image": recipe.image}) == recipe


def test_calibration_pictures_keep_their_colours_in_another_size(tmp_path):
    pictures = []
    for number in range(10):
        image = np.zeros((48, 48, 3), np.uint8)
        image[:, :, 0], image[:, :, 2] = 200, number
        pictures.append(tmp_path / f"{number}.bmp")
        dataset.write_image(pictures[-1], image)
    calibration.write_list(tmp_path / "calibration.txt", pictures)
    listed = search.calibration_list(tmp_path / "calibration.txt", tmp_path / "lab", 32, most=3)
    found = dataset.read_images(calibration.read_list(listed))
    assert found.shape == (3, 32, 32, 3)
    assert found[:, 5, 5].tolist() == [[200, 0, 0], [200, 0, 3], [200, 0, 6]]
    whole = search.calibration_list(tmp_path / "calibration.txt", tmp_path / "lab", 32)
    assert len(calibration.read_list(whole)) == 10


def test_pictures_of_the_right_size_stay_as_they_are():
    images = np.random.default_rng(1).integers(0, 256, (2, 48, 48, 3)).astype(np.uint8)
    assert search.resized(images, 48) is images
    assert search.resized(images, 32).shape == (2, 32, 32, 3)


def test_a_package_that_is_not_installed_is_one_line_with_the_file_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError, match=r"optuna is not installed: .*requirements-search.txt"):
        search.require_optuna()
