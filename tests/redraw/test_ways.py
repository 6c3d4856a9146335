"""Ways of writing that MNIST lacks: in the training world, and made otherwise in the test world."""

import cv2
import numpy as np
import pytest

from mnist_rknn.data import drawing, mnist
from mnist_rknn.redraw import clean, extras, picture, plain, skeletons, ways
from mnist_rknn.redraw.config import RedrawConfig
from mnist_rknn.redraw.fields import rng_for
from mnist_rknn.redraw.glyph import glyph_from_mnist, glyph_from_strokes
from mnist_rknn.redraw.worlds import CLEAN, SIMULATED_CAMERA

CONFIG = RedrawConfig()
SLASHED = CONFIG.changed(
    writing={"slashed_zero": 1.0, "slash_reach": (1.6, 1.9)}, scan={"share": 0.0}
)
# What each of the test world's ways is called among the training world's skeletons.
TAUGHT = {
    "0 slashed": "0_slashed",
    "1 level flag": "1_level_flag",
    "4 closed": "4_closed",
    "4 far stem": "4_far_stem",
    "5 pointed": "5_point",
    "5 wide": "5_wide",
    "8 sliver": "8_sliver",
    "9 hooked": "9_small_head",
}


@pytest.fixture(scope="module")
def digits(mnist_folder) -> mnist.Mnist:
    return mnist.load(mnist_folder)


def some(digits: mnist.Mnist, label: int, count: int) -> np.ndarray:
    return digits.train_images[digits.train_labels == label][:count]


def holes(ink: np.ndarray) -> int:
    """Loops of ink, those of a few pixels left out."""
    paper = np.pad(~ink, 1, constant_values=True).astype(np.uint8)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(paper, connectivity=4)
    return int((boxes[1:, cv2.CC_STAT_AREA] > 4).sum()) - 1


def test_every_way_of_the_test_world_is_taught_in_the_training_world_by_other_strokes(digits):
    assert set(TAUGHT) == set(ways.WAYS)
    for way, skeleton in TAUGHT.items():
        label, strokes = skeletons.SKELETONS[skeleton]
        assert label == ways.WAYS[way][0]
        taught = {point for _, stroke in strokes for point in stroke}
        drawn = ways.WAYS[way][1](rng_for(1, 1))
        assert taught.isdisjoint(tuple(point) for line in drawn for point in line)


@pytest.mark.parametrize("way", ways.WAYS)
def test_a_way_of_the_test_world_is_no_two_times_the_same_and_is_legible(digits, way):
    label, draw = ways.WAYS[way]
    drawn = [clean.clean_lines(draw(rng_for(2, index))) for index in range(12)]
    assert len({image.tobytes() for image in drawn}) == 12
    pool = digits.test_images
    made = [
        picture.redraw_lines(draw(rng_for(2, index)), pool, 2, index, SIMULATED_CAMERA)
        for index in range(12)
    ]
    assert sum(image is not None for image in made) >= 11
    assert picture.simulate("ways", pool[0], label, pool, 3, 0, 48).shape == (48, 48, 3)


def test_a_slash_overshoots_the_ring_which_makes_room_for_it(digits):
    open_rings = 0
    ring = np.zeros((56, 56), np.uint8)
    cv2.ellipse(ring, (28, 28), (8, 12), 0, 0, 360, 1, 3)
    for index, zero in enumerate(some(digits, 0, 20)):
        slash = extras.Slash.drawn(rng_for(1, index), SLASHED)
        [line] = slash.through(ring)
        from_ring = np.hypot(*((line - 28) / (9.5, 13.5)).T)
        assert from_ring[0] > 1.15 and from_ring[-1] > 1.15
        assert line[0, 1] > line[-1, 1]  # it rises to the right or is upright
        assert slash.ring < 0.75
        distance, half_width = glyph_from_mnist(zero, 0, rng_for(1, index), SLASHED)
        written = distance < half_width
        border = np.ones((56, 56), bool)
        border[1:-1, 1:-1] = False
        assert (written & border).sum() <= 2  # nothing is cut off
        open_rings += holes(distance < 0.75 * half_width) >= 1
    assert open_rings >= 16


def test_zeros_of_both_worlds_get_slashes_and_they_differ_in_their_bow():
    train, test = CONFIG.writing, SIMULATED_CAMERA.writing
    assert train.slashed_zero > 0 and test.slashed_zero > 0
    assert train.slash_bend[1] < test.slash_bend[0]
    assert train.slash_reach[1] > 1.5 and test.slash_reach[1] > 1.5


def test_a_level_flag_has_no_foot_and_stands_on_upright_stems_only():
    """On a stem that leans it would be a 7."""
    config = CONFIG.changed(writing={"extra_stroke": 1.0, "level_flag": 1.0, "foot": 1.0})
    for index in range(10):
        upright, leaning = (np.zeros((56, 56), np.uint8) for _ in range(2))
        cv2.line(upright, (28, 8), (26, 48), 1, 4)
        cv2.line(leaning, (36, 8), (18, 48), 1, 4)
        [flag] = extras.extra_strokes(upright, 1, rng_for(1, index), config)
        (x0, y0), (x1, y1) = flag[:2]
        assert x1 < x0 and 0 <= np.degrees(np.arctan2(y1 - y0, x0 - x1)) <= 28
        assert np.hypot(x1 - x0, y1 - y0) < 0.3 * 44
        flag, foot = extras.extra_strokes(leaning, 1, rng_for(1, index), config)
        (x0, y0), (x1, y1) = flag[:2]
        assert np.degrees(np.arctan2(y1 - y0, x0 - x1)) >= 28
        assert np.ptp(foot[:, 0]) > 0


@pytest.mark.parametrize("name", ["8_sliver", "8_slivers", "8_straight_back", "0_slashed_steep"])
def test_the_pen_leaves_the_loops_of_a_squeezed_digit_open(name):
    """A sliver whose loops are filled is a bar, and then its label is wrong."""
    kept = 0
    for index in range(40):
        distance, half_width = glyph_from_strokes(name, rng_for(4, index), CONFIG)
        kept += holes(distance < 0.75 * half_width) >= 1
    assert kept >= 34


def test_written_digits_are_white_on_black_in_mnists_box(digits):
    still = CONFIG.changed(plain={"shift_px": 0.0})
    inked = []
    for number in range(100):
        image = plain.written(number % 10, 1, number, still)
        assert image.shape == (28, 28) and image.dtype == np.uint8
        ys, xs = np.nonzero(image > 40)
        assert max(np.ptp(ys), np.ptp(xs)) + 1 in (19, 20, 21)
        inked.append(image.mean())
    # About as much ink as MNIST's own digits have.
    assert 0.75 < np.mean(inked) / digits.train_images[:2000].mean() < 1.25


def test_clean_lines_have_their_centre_of_mass_in_the_middle_and_mnists_pen():
    line = np.array([[0.0, 0.0], [0.0, 1000.0], [300.0, 1000.0]])
    image = clean.clean_lines([line])
    ys = np.flatnonzero((image > 60).any(1))
    assert np.ptp(ys) + 1 == 20
    mass = cv2.moments(image)
    assert abs(mass["m10"] / mass["m00"] - 13.5) <= 0.6
    assert abs(mass["m01"] / mass["m00"] - 13.5) <= 0.6
    across = image[int(ys.mean())].astype(float).sum() / 255
    assert across == pytest.approx(2.15, abs=0.25)


def test_plain_digits_get_extra_strokes_as_often_as_the_recipe_says(digits):
    never = CONFIG.changed(plain={"extra_stroke": 0.0})
    always = CONFIG.changed(plain={"extra_stroke": 1.0})
    half = CONFIG.changed(plain={"extra_stroke": 0.5})
    for label in (0, 1, 7):
        made = {
            share: [plain.jitter(digit, label, 1, n, config) for n, digit in enumerate(chosen)]
            for share, config in ((0.0, never), (0.5, half), (1.0, always))
            for chosen in [some(digits, label, 40)]
        }
        changed = sum(not np.array_equal(*pair) for pair in zip(made[0.0], made[1.0], strict=True))
        assert changed == 40
        as_always = sum(np.array_equal(*p) for p in zip(made[0.5], made[1.0], strict=True))
        assert 8 <= as_always <= 32
    two = some(digits, 2, 1)[0]
    assert np.array_equal(plain.jitter(two, 2, 1, 0, never), plain.jitter(two, 2, 1, 0, always))


def test_nothing_is_added_to_a_clean_drawing(digits):
    assert CLEAN.writing.slashed_zero == 0 and CLEAN.writing.extra_stroke == 0
    assert "written" in drawing.OF_STROKES and "ways" in drawing.OF_STROKES
