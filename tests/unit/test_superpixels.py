"""Body mask, thresholds and superpixels on pictures small enough to check by eye."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.data.episodes.superpixels import (
    body_mask,
    otsu_body_threshold,
    superpixel_intensity,
    superpixels,
)


def test_body_is_the_largest_component_with_holes_filled() -> None:
    slice_ = np.array(
        [
            [0, 0, 0, 0, 0, 0, 9],
            [0, 5, 5, 5, 0, 0, 9],
            [0, 5, 0, 5, 0, 0, 0],
            [0, 5, 5, 5, 0, 0, 0],
            [0, 0, 0, 0, 7, 0, 0],
        ],
        dtype=np.float32,
    )
    expected = np.array(
        [
            [0, 0, 0, 0, 0, 0, 0],
            [0, 1, 1, 1, 0, 0, 0],
            [0, 1, 1, 1, 0, 0, 0],
            [0, 1, 1, 1, 0, 0, 0],
            [0, 0, 0, 0, 1, 0, 0],  # touches the body at a corner
        ],
        dtype=bool,
    )
    np.testing.assert_array_equal(body_mask(slice_, threshold=1), expected)


def test_intensity_spans_the_whole_scan() -> None:
    scan = np.array([[[-1.0, 0.0]], [[1.0, 3.0]]])
    np.testing.assert_allclose(superpixel_intensity(scan), [[[0, 63.75]], [[127.5, 255]]])


def test_constant_scan_has_intensity_zero() -> None:
    np.testing.assert_array_equal(superpixel_intensity(np.full((2, 3, 3), -4.0)), np.zeros((2, 3, 3)))


def magnitude_scan(fat: float) -> tuple[np.ndarray, np.ndarray]:
    """MR magnitudes (Rician noise) of a body with muscle, liver, fluid and a rim of fat; and its mask."""
    random = np.random.RandomState(0)
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    body = (x / 0.8) ** 2 + (y / 0.6) ** 2 < 1
    inside = (x / 0.72) ** 2 + (y / 0.52) ** 2 < 1
    signal = np.where(body, fat, 0.0)
    signal[inside] = 180
    signal[inside & (x > 0.1)] = 450
    signal[inside & ((x + 0.3) ** 2 + y**2 < 0.03)] = 1000
    noise = random.normal(0, 15, (2, *signal.shape))
    return np.hypot(signal + noise[0], noise[1])[None], body


@pytest.mark.parametrize("fat", [120.0, 900.0], ids=["fat suppressed", "fat bright"])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.003, -1.2)], ids=["raw", "z-scored"])
def test_otsu_finds_the_body_of_an_mr_scan_at_any_scale(fat: float, scale: float, shift: float) -> None:
    scan, body = magnitude_scan(fat)
    intensity = superpixel_intensity(scan * scale + shift)
    found = body_mask(intensity[0], threshold=otsu_body_threshold(intensity))
    assert 2 * (found & body).sum() / (found.sum() + body.sum()) > 0.98


@pytest.mark.parametrize("value", [0.0, 7.0, 255.0])
def test_constant_slice_has_no_superpixels(value: float) -> None:
    slice_ = np.full((32, 32), value, dtype=np.float32)
    threshold = otsu_body_threshold(slice_)
    np.testing.assert_array_equal(superpixels(slice_, threshold=threshold), np.zeros((32, 32)))
    np.testing.assert_array_equal(superpixels(slice_, threshold=1e-4), np.zeros((32, 32)))


def test_two_organs_in_the_body_become_three_superpixels() -> None:
    slice_ = np.zeros((64, 64), dtype=np.float32)
    slice_[8:56, 8:56] = 100
    slice_[16:30, 16:48] = 180
    slice_[36:50, 16:48] = 240
    found = superpixels(slice_, threshold=1e-4, min_size=50, sigma=0)
    assert found[0, 0] == 0
    assert sorted({int(found[10, 10]), int(found[20, 30]), int(found[40, 30])}) == [1, 2, 3]
    assert found.max() == 3


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), threshold=st.floats(0, 255))
def test_superpixels_lie_in_the_body_and_are_numbered_without_gaps(seed: int, threshold: float) -> None:
    slice_ = np.random.RandomState(seed).uniform(0, 255, (8, 8)).repeat(5, 0).repeat(5, 1)
    found = superpixels(slice_, threshold=threshold, min_size=20)
    assert found.dtype == np.int16
    assert set(np.unique(found)) | {0} == set(range(found.max() + 1))
    assert not found[~body_mask(slice_, threshold=threshold)].any()
