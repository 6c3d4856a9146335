"""What rknn-toolkit2 takes without a word is refused before it is called."""

import cv2
import numpy as np
import pytest

from mnist_rknn.conversion import calibration
from mnist_rknn.data import dataset
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import sha256


@pytest.fixture
def pictures(tmp_path):
    """Forty different pictures of 32x32."""
    generator = np.random.default_rng(0)
    files = [tmp_path / f"{number:02d}.png" for number in range(40)]
    for file in files:
        dataset.write_image(file, generator.integers(0, 256, (32, 32, 3), np.uint8))
    return files


def check(files, **kwargs):
    return calibration.check_images(files, 32, 32, classes=10, **kwargs)


def test_good_pictures_pass_and_are_hashed(pictures):
    hashes = check(pictures)
    assert hashes == {file.name: sha256(file) for file in pictures}


def test_deleted_picture(pictures):
    pictures[3].unlink()
    with pytest.raises(PipelineError, match=r"03\.png is missing: run `mnist-rknn run 01 --force`"):
        check(pictures)


def test_truncated_picture(pictures):
    pictures[3].write_bytes(pictures[3].read_bytes()[:20])
    with pytest.raises(PipelineError, match=r"03\.png is not a readable picture"):
        check(pictures)


def test_wrong_size(pictures):
    dataset.write_image(pictures[3], np.full((28, 28, 3), 7, np.uint8))
    with pytest.raises(PipelineError, match=r"03\.png is 28x28, the network takes 32x32"):
        check(pictures)


def test_gray_picture(pictures):
    cv2.imwrite(str(pictures[3]), np.arange(1024, dtype=np.uint8).reshape(32, 32))
    with pytest.raises(PipelineError, match=r"03\.png does not have three 8-bit channels"):
        check(pictures)


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_picture_of_one_tone(pictures, tone):
    dataset.write_image(pictures[3], np.full((32, 32, 3), tone, np.uint8))
    with pytest.raises(PipelineError, match=r"03\.png is one flat tone"):
        check(pictures)


def test_single_picture(pictures):
    with pytest.raises(PipelineError, match="has 1 images for 10 classes"):
        check(pictures[:1])


def test_same_picture_twice(pictures):
    pictures[4].write_bytes(pictures[3].read_bytes())
    with pytest.raises(PipelineError, match=r"04\.png stands twice"):
        check(pictures)


def test_test_image(pictures):
    with pytest.raises(PipelineError, match=r"05\.png is a test image"):
        check(pictures, forbidden={sha256(pictures[5])})


def test_choice_is_balanced_seeded_and_without_repeats():
    classes = np.random.default_rng(1).integers(0, 10, 1000)
    chosen = calibration.choose(classes, 104, seed=5)
    counts = np.bincount(classes[chosen])
    assert len(set(chosen)) == 104 and counts.max() - counts.min() <= 1
    assert np.array_equal(chosen, calibration.choose(classes, 104, seed=5))
    assert not np.array_equal(chosen, calibration.choose(classes, 104, seed=6))


def test_class_with_too_few_images_is_named():
    with pytest.raises(PipelineError, match="needs 10 images of class 3, there are 2"):
        calibration.choose(np.array([1] * 50 + [3] * 2), 20, seed=0)


def test_path_with_a_space_is_refused_before_the_list_is_written(tmp_path):
    with pytest.raises(PipelineError, match="holds a space"):
        calibration.write_list(tmp_path / "list.txt", [tmp_path / "my pictures" / "a.png"])
    assert not (tmp_path / "list.txt").exists()


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_empty_list_is_refused(tmp_path, content):
    (tmp_path / "list.txt").write_text(content)
    with pytest.raises(PipelineError, match="is empty"):
        calibration.read_list(tmp_path / "list.txt")
