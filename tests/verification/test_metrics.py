"""Figures that decide whether a model passes."""

import numpy as np
import pytest
from support.stages import stage

from mnist_rknn import recipe_file
from mnist_rknn.verification import metrics


def test_wilson_interval_matches_published_values():
    """Newcombe 1998, table I: 81 of 263 and 1 of 29."""
    assert metrics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert metrics.wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)


def test_interval_stays_within_zero_and_one():
    assert metrics.wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert metrics.wilson(10, 10)[1] == pytest.approx(1, abs=1e-12)
    assert metrics.wilson(0, 0) == (0.0, 1.0)


def test_confusion_matrix_has_true_classes_in_rows():
    logits = np.eye(3)[[0, 2, 2]]
    matrix = metrics.confusion_matrix(logits, np.array([0, 1, 2]), 3)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_class_without_images_has_no_accuracy():
    assert metrics.class_accuracy(np.eye(3)[[0, 1]], np.array([0, 1]), 3) == [1.0, 1.0, None]


def test_cosine_sees_damage_that_agreement_does_not():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (200, 10))
    logits[np.arange(200), rng.integers(0, 10, 200)] += 8
    damaged = logits + rng.normal(0, 1.0, logits.shape)
    assert metrics.agreement(logits, damaged) > 0.99
    assert metrics.cosines(logits, damaged).mean() < 0.98


def test_log_probabilities_compare_like_logits():
    logits = np.random.default_rng(0).normal(0, 3, (50, 10))
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    same = metrics.cosines(metrics.centered(logits), metrics.centered(log_probabilities))
    assert same.min() > 1 - 1e-9


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"top1": 0.5}, "verify.min_accuracy"),
        ({"drop": 0.3}, "verify.max_drop"),
        ({"cosine": 0.1}, "verify.min_cosine"),
        ({}, None),
    ],
)
def test_each_threshold_can_be_missed(change, named):
    wanted = recipe_file.load("mnist").verify
    missed = metrics.misses({"rknn": stage(**change)}, wanted, None)
    assert [named in line for line in missed] == ([True] if named else [])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"top1": 0.5}, "verify.min_camera_accuracy"),
        ({"drop": 0.3}, "verify.max_drop"),
        ({}, None),
    ],
)
def test_each_threshold_of_the_simulated_camera_can_be_missed(change, named):
    wanted = recipe_file.load("mnist").verify
    missed = metrics.misses({"rknn": stage()}, wanted, {"rknn": stage(**change)})
    expected = [True] if named else []
    assert [named in line and "simulated camera" in line for line in missed] == expected


def test_groups_are_counted_apart_and_together():
    logits = np.eye(3)[[0, 1, 2, 0, 1]]
    classes, groups = np.array([0, 1, 0, 0, 2]), np.array(["a", "a", "b", "b", "b"])
    found = metrics.by_group({"rknn": logits}, classes, groups)["rknn"]
    counts = {name: (share.correct, share.images) for name, share in found.items()}
    assert counts == {"a": (2, 2), "b": (1, 3), "all": (3, 5)}
