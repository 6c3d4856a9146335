"""Sharing and pruning keep what they say they keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mnist_rknn.compression import pruning, sharing
from mnist_rknn.errors import PipelineError

FINITE = st.floats(-100, 100, width=32)
WEIGHTS = arrays.arrays(
    np.float32, arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=8), elements=FINITE
)


@settings(deadline=None)
@given(WEIGHTS, st.integers(1, 8))
def test_each_weight_takes_the_nearest_value_and_zero_stays_zero(weights, bits):
    shared = sharing.share(weights, bits)
    assert len(shared.codebook) <= 2**bits
    assert shared.values.dtype == np.float32 and shared.values.shape == weights.shape
    assert np.array_equal(shared.indices == sharing.ZERO, weights == 0)
    if len(np.unique(weights[weights != 0])) <= 2**bits:
        assert np.array_equal(shared.values, weights)


def test_more_bits_lose_less():
    weights = np.random.default_rng(1).normal(size=(50, 60)).astype(np.float32)
    errors = [
        np.square(sharing.share(weights, bits).values - weights).mean() for bits in range(1, 9)
    ]
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 1000


def test_clusters_stay_together_while_they_are_trained():
    generator = np.random.default_rng(1)
    weights = generator.normal(size=(50, 60)).astype(np.float32)
    weights[weights < 0.5] = 0
    shared = sharing.share(weights, 3)
    after = shared.fitted(shared.values + generator.normal(size=weights.shape))
    assert np.array_equal(after.indices, shared.indices)
    assert not np.array_equal(after.codebook, shared.codebook)
    assert np.array_equal(after.values == 0, weights == 0)


@pytest.mark.parametrize("bits", [0, 9, -1, 2.5, True])
def test_bits_that_no_codebook_has_are_one_line(bits):
    with pytest.raises(PipelineError, match=rf"^bits {bits}: .*choose a whole number from 1 to 8"):
        sharing.share(np.ones(4, np.float32), bits)


def test_a_weight_that_is_no_number_is_refused():
    with pytest.raises(PipelineError, match="not a finite number: train again"):
        sharing.share(np.array([1, np.nan], np.float32), 2)


@settings(deadline=None)
@given(WEIGHTS, st.floats(0.01, 0.99))
def test_the_largest_weights_stay_and_their_number_is_exact(weights, sparsity):
    kept = pruning.mask(weights, sparsity)
    removed = weights.size - int(kept.sum())
    assert removed == min(round(sparsity * weights.size), weights.size - 1)
    if removed:
        assert np.abs(weights[~kept]).max() <= np.abs(weights[kept]).min()


@settings(deadline=None)
@given(st.lists(WEIGHTS, min_size=1, max_size=4), st.floats(0.01, 0.99))
def test_no_layer_is_left_without_a_weight(layers, sparsity):
    found = pruning.masks({str(number): layer for number, layer in enumerate(layers)}, sparsity)
    assert all(kept.any() for kept in found.values())


@pytest.mark.parametrize(
    ("share", "reason"),
    [(0, "removes nothing"), (1, "leaves nothing"), (1.5, "is no share"), (True, "leaves nothing")],
)
def test_a_share_that_cannot_be_is_one_line(share, reason):
    with pytest.raises(PipelineError, match=rf"^sparsity {share}: it {reason}; choose a number"):
        pruning.mask(np.ones(4), share)


def test_pruning_is_quick_at_first_and_ends_where_it_should():
    found = [pruning.sparsity_at(progress, 0.9) for progress in np.linspace(0, 1, 11)]
    steps = np.diff(found)
    assert found[0] == 0 and found[-1] == 0.9
    assert (steps[:-1] > steps[1:]).all() and pruning.sparsity_at(2, 0.9) == 0.9
