"""No picture is in two splits, and the network's input is what the recipe says."""

import cv2
import numpy as np
import pytest

from mnist_rknn import recipe
from mnist_rknn.data import dataset, pictures, sources
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import sha256


@pytest.fixture(scope="module")
def source(mnist_folder):
    return sources.load_source(recipe.load("mnist"))


def test_splits_are_disjoint_and_complete(source):
    indices = dataset.split(recipe.load("mnist"), source)
    train, validation = set(indices["train"]), set(indices["val"])
    assert not train & validation
    assert train | validation == set(range(60000))
    assert len(indices["test"]) == 10000


def test_same_seed_same_split_other_seed_other_split(source):
    first, again, other = (
        dataset.split(recipe.load("mnist", [f"seed={seed}"]), source)["val"] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("count", [7, 3000, 10_000, 12_000])
def test_redrawn_test_digits_come_evenly_from_all(source, count):
    chosen = recipe.load("mnist", [f"dataset.redraw.test={count}"])
    pictures = dataset.plan(chosen, source, dataset.split(chosen, source))
    digits = np.array([p.index for p in pictures if p.kind == "simulated"])
    assert len(digits) == count and len(set(digits)) == min(count, 10_000)
    halves = np.bincount(digits // 5000, minlength=2)
    assert abs(int(halves[0]) - int(halves[1])) <= max(1, count - 10_000)


def test_sample_limits_keep_validation_apart(source):
    small = dataset.split(recipe.load("smoke"), source)
    whole = dataset.split(recipe.load("mnist"), source)
    assert set(small["train"]) <= set(whole["train"])
    assert set(small["val"]) <= set(whole["val"])


def test_validation_larger_than_the_data_is_refused(source):
    with pytest.raises(PipelineError, match="leaves no image to train on"):
        dataset.split(recipe.load("mnist", ["dataset.validation=60000"]), source)


def test_written_test_images_are_not_among_the_training_images(tiny_run):
    hashes = {
        name: {sha256(file) for file in dataset.read_split(tiny_run / "dataset", name).files}
        for name in dataset.SPLITS
    }
    assert not hashes["train"] & hashes["test"]
    assert not hashes["train"] & hashes["val"]


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3), (480, 640, 3), (10, 300)])
def test_fit_squeezes_the_whole_picture(shape):
    image = np.zeros(shape, np.uint8)
    image[: shape[0] // 2] = 200
    fitted = pictures.fit(image, 32, 32)
    assert fitted.shape == (32, 32, 3) and fitted.dtype == np.uint8
    assert fitted[:12].min() >= 190 and fitted[-12:].max() <= 10


def test_colours_survive_writing_and_reading(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    dataset.write_image(tmp_path / "red.png", red)
    assert np.array_equal(dataset.read_images([tmp_path / "red.png"])[0], red)
    assert cv2.imread(str(tmp_path / "red.png"))[0, 0].tolist() == [0, 0, 255]


def test_missing_picture_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"lost\.png is missing or not a picture"):
        dataset.read_images([tmp_path / "lost.png"])


def test_missing_list_names_the_step(tmp_path):
    with pytest.raises(PipelineError, match=r"train\.txt is missing: run 01_data first"):
        dataset.read_split(tmp_path, "train")
