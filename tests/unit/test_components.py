import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protoseg.ops.components import connected_components, count_components, keep_most_confident

TWO_BLOBS = np.array(
    [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 1],
        [0, 0, 0, 1, 0],  # touches the pixel above by its corner only
        [0, 0, 0, 0, 0],
    ],
    dtype=bool,
)


def test_pixels_that_touch_by_a_corner_are_one_component():
    assert connected_components(TWO_BLOBS).max() == 2
    assert connected_components(np.stack([TWO_BLOBS, np.zeros_like(TWO_BLOBS)])).max() == 2


def test_confidence_decides_and_not_size():
    probability = np.where(np.arange(5) > 2, 1.0, 0.4)[None].repeat(4, 0)
    kept = keep_most_confident(TWO_BLOBS, probability)
    np.testing.assert_array_equal(kept, TWO_BLOBS & (np.arange(5) > 2))


def test_a_paired_organ_keeps_both_parts():
    volume = np.zeros((3, 5, 12), dtype=bool)
    volume[:, 1:4, 1:4] = volume[:, 1:4, 8:11] = True
    volume[0, 0, 6] = True  # a speck
    assert count_components(volume) == 2
    kept = keep_most_confident(volume, np.ones(volume.shape), count=2)
    assert kept.sum() == volume.sum() - 1
    assert keep_most_confident(volume, np.ones(volume.shape), count=1).sum() == volume.sum() // 2


@pytest.mark.parametrize(
    ("size", "probability", "stays"),
    [(9, 0.8, True), (9, 0.73, True), (9, 0.7, False), (3, 0.8, True), (2, 0.8, False), (2, 1.0, True)],
)
def test_parts_as_large_and_sure_as_the_best_stay_beyond_the_count(size, probability, stays):
    mask = np.zeros((3, 20), dtype=bool)
    mask[:, :3] = True  # 9 pixels
    mask[1, 10 : 10 + size] = True
    certainty = np.where(np.arange(20) < 5, 0.8, probability)[None].repeat(3, 0)
    kept = keep_most_confident(mask, certainty, count=1, alike=True)
    assert kept.sum() == 9 + size * stays
    assert keep_most_confident(mask, certainty, count=1).sum() == 9


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4)])
def test_an_empty_mask_stays_empty(shape):
    empty = np.zeros(shape, dtype=bool)
    assert count_components(empty) == 0
    assert not keep_most_confident(empty, np.ones(shape)).any()


@settings(deadline=None, max_examples=30)
@given(arrays(bool, st.sampled_from([(6, 7), (3, 5, 4)])), st.integers(1, 4), st.integers(0, 2**16))
def test_keeping_more_components_only_adds(mask, count, seed):
    probability = np.random.default_rng(seed).random(mask.shape)
    fewer = keep_most_confident(mask, probability, count=count)
    more = keep_most_confident(mask, probability, count=count + 1)
    assert not (fewer & ~more).any()
    assert not (more & ~mask).any()
    assert connected_components(fewer).max() <= count


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(*[st.integers(0, 11)] * 3), max_size=30), st.integers(1, 4), st.integers(0, 2**16))
def test_far_specks_are_components_like_any(voxels, count, seed):
    """Parts between which planes are empty are numbered apart, which must not show."""
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[tuple(np.array(voxels, int).reshape(-1, 3).T)] = True
    probability = np.random.default_rng(seed).random(mask.shape)
    components = connected_components(mask)
    sums = np.bincount(components[mask], weights=probability[mask], minlength=1)
    best = 1 + np.argsort(-sums[1:])[:count]
    np.testing.assert_array_equal(keep_most_confident(mask, probability, count=count), np.isin(components, best) & mask)
