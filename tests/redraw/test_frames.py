"""Composed frames of several digits."""

import numpy as np
import pytest

from mnist_rknn.redraw import frames

LABELS = np.arange(10)


@pytest.fixture(scope="module")
def digits():
    """A tall ring for every label: enough to be written and found again."""
    y, x = np.mgrid[:28, :28] - 13.5
    ring = np.abs(np.hypot(x * 1.5, y) - 8) < 1.5
    return np.repeat((ring * 255).astype(np.uint8)[None], 10, axis=0)


@pytest.mark.parametrize("world", sorted(frames.WORLDS))
@pytest.mark.parametrize("kind", frames.KINDS)
def test_every_digit_has_a_box_inside_the_frame_around_its_ink(digits, kind, world):
    frame = frames.compose(digits, LABELS, 3, 1, kind, world)
    height, width = frame.picture.shape[:2]
    assert frame.picture.dtype == np.uint8 and frame.picture.shape[2] == 3
    assert 1 <= len(frame.boxes) == len(frame.digits.replace("/", ""))
    for x, y, w, h in frame.boxes:
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height and h >= 8
        ink = frame.picture[y : y + h, x : x + w].astype(int).sum(axis=2)
        assert ink.max() - ink.min() > 60  # something is written there


def test_a_frame_depends_on_its_seed_and_index_alone(digits):
    one, same, other = (frames.compose(digits, LABELS, 5, i, "squared") for i in (2, 2, 3))
    assert np.array_equal(one.picture, same.picture) and one.boxes == same.boxes
    assert one.boxes != other.boxes
    assert not np.array_equal(
        one.picture[:40, :40],
        frames.compose(digits, LABELS, 5, 2, "squared", "test").picture[:40, :40],
    )


@pytest.mark.parametrize("kind", frames.BLANKS)
def test_blank_frames_are_drawn_for_every_kind(kind):
    picture = frames.compose_blank(1, 2, kind)
    assert picture.ndim == 3 and picture.dtype == np.uint8 and picture.std() > 0.5
