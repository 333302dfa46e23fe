"""Graph cut, appearance and clicks on small literal images."""

import tracemalloc
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from protoseg.engine.refiners.click_evidence import with_clicks
from protoseg.ops import appearance, graph_cut
from protoseg.ops.appearance import Appearance
from protoseg.ops.graph_cut import contrast_of, cut

ONE_MM = (1.0, 1.0)


def step(columns, edge, rows=6):
    """An image (1, rows, columns) that is 0 before a column and 1 from there on."""
    return np.broadcast_to((np.arange(columns) >= edge).astype(np.float32), (1, rows, columns)).copy()


def test_border_moves_to_the_edge_of_the_image():
    probability = np.broadcast_to(np.float32([0.1, 0.2, 0.55, 0.6, 0.65, 0.8, 0.9, 0.95]), (6, 8))
    inside = cut(step(8, 4), probability, spacing=ONE_MM, smoothness=4.0)
    assert (inside == (step(8, 4)[0] > 0)).all()


def test_without_a_price_the_probability_decides():
    probability = np.float32([[0.9, 0.4, 0.6], [0.2, 0.7, 0.49]])
    inside = cut(np.zeros((1, 2, 3), np.float32), probability, spacing=ONE_MM, smoothness=1e-4)
    assert inside.tolist() == [[True, False, True], [False, True, False]]


@pytest.mark.parametrize(("smoothness", "left"), [(1.0, 48), (100.0, 0)])
def test_seeds_count_whatever_the_neighbours_say(smoothness, left):
    probability = np.full((7, 7), 0.95, np.float32)
    probability[3, 3] = 0
    inside = cut(np.zeros((1, 7, 7), np.float32), probability, spacing=ONE_MM, smoothness=smoothness)
    assert not inside[3, 3]
    assert inside.sum() == left  # at a high price the others follow the seed


def test_slices_that_lie_far_apart_are_hardly_tied():
    probability = np.full((3, 5, 5), 0.9, np.float32)
    probability[1] = 0.3  # log odds of -0.85
    image = np.random.default_rng(0).normal(size=(1, 3, 5, 5)).astype(np.float32) * 1e-3
    near = cut(image, probability, spacing=(1.0, 1.0, 1.0), smoothness=1.0)
    far = cut(image, probability, spacing=(20.0, 1.0, 1.0), smoothness=1.0)
    assert near.all()
    assert far[[0, 2]].all()
    assert not far[1].any()


def test_smoothness_and_spacing_are_both_in_mm():
    generator = np.random.default_rng(1)
    image = generator.normal(size=(1, 12, 12)).astype(np.float32)
    probability = generator.uniform(0.01, 0.99, (12, 12)).astype(np.float32)
    fine = cut(image, probability, spacing=(0.5, 0.5), smoothness=1.0)
    coarse = cut(image, probability, spacing=(2.0, 2.0), smoothness=4.0)
    assert (fine == coarse).all()
    assert not (fine == (probability > 0.5)).all()


def test_large_volumes_are_cut_in_slabs(monkeypatch):
    rows, columns = np.mgrid[:20, :20]
    disc = (rows - 9) ** 2 + (columns - 11) ** 2 < 36
    image = np.broadcast_to(disc, (1, 12, 20, 20)).astype(np.float32)
    probability = np.broadcast_to(np.where(disc, 0.7, 0.35), (12, 20, 20)).astype(np.float32)
    whole = cut(image, probability, spacing=(3.0, 1.0, 1.0), smoothness=2.0)
    monkeypatch.setattr(graph_cut, "LARGEST_GRAPH", 7 * 20 * 20)
    assert (cut(image, probability, spacing=(3.0, 1.0, 1.0), smoothness=2.0) == whole).all()
    assert (whole == disc).all()


def test_a_cut_leaves_no_memory_behind():
    image, probability = step(200, 90, rows=200), np.full((200, 200), 0.4, np.float32)
    cut(image, probability, spacing=ONE_MM, smoothness=1.0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(10):
        cut(image, probability, spacing=ONE_MM, smoothness=1.0)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 40_000  # one result is 160 000 bytes


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), rows=st.integers(-4, 4), columns=st.integers(-4, 4))
def test_a_shifted_image_is_cut_alike(seed, rows, columns):
    generator = np.random.default_rng(seed)
    image, probability = np.zeros((1, 20, 20), np.float32), np.full((20, 20), 0.01, np.float32)
    image[0, 5:15, 5:15] = generator.normal(size=(10, 10))
    probability[5:15, 5:15] = generator.uniform(0, 1, (10, 10))
    inside = cut(image, probability, spacing=ONE_MM, smoothness=1.0)
    shifted = cut(
        np.roll(image, (rows, columns), (1, 2)),
        np.roll(probability, (rows, columns), (0, 1)),
        spacing=ONE_MM,
        smoothness=1.0,
    )
    assert (shifted == np.roll(inside, (rows, columns), (0, 1))).all()


def log_ratio(image, inside):
    return Appearance.of(lambda: [(image, inside)]).log_ratio(image)


def test_appearance_tells_a_bright_label_from_its_surroundings():
    image = step(40, 20, rows=40)
    inside = image[0] > 0
    inside[:, 20:23] = False  # drawn too small
    ratio = log_ratio(image, inside)
    assert (ratio[:, 20:] > 1).all()
    assert (ratio[:, :20] < -1).all()


def test_appearance_of_a_tiny_label_says_little():
    image = step(40, 39, rows=40)
    inside = np.zeros((40, 40), bool)
    inside[0, 39] = True
    assert np.abs(log_ratio(image, inside)).max() < 1.1
    wide = np.zeros((40, 40), bool)
    wide[:, 39] = True
    assert log_ratio(image, wide)[0, 39] > 3


def test_appearance_of_nothing_or_everything_says_nothing():
    image = step(4, 2)
    assert not log_ratio(image, np.zeros((6, 4), bool)).any()
    assert not log_ratio(image, np.ones((6, 4), bool)).any()


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@given(channels=st.integers(1, 3), share=st.floats(0.1, 0.9), seed=st.integers(0, 99))
def test_what_is_computed_in_place_and_in_parts_is_what_whole_arrays_give(at_once, channels, share, seed):
    generator = np.random.default_rng(seed)
    image = generator.normal(40, 60, (channels, 3, 5, 6)).astype(np.float32)
    before, inside = image.copy(), generator.random((3, 5, 6)) < share
    inside[0, 0, 0], inside[0, 0, 1] = True, False
    ratios = []
    for channel in image:
        mean = np.float32(channel.mean(dtype=float))
        width = max(np.sqrt(np.square(channel - mean).mean(dtype=float)), 1e-6) / 16
        bins = ((channel - mean) / width + 64).clip(0, 127).astype(np.int16)
        counts = [np.bincount(bins[side], minlength=128).astype(float) for side in (inside, ~inside)]
        smooth = [gaussian_filter1d(one, 1.0, mode="nearest") for one in counts]
        label, rest = (one / one.sum() for one in smooth)
        rest = 0.98 * rest + 0.02 / 128
        label = (inside.sum() * label + 20 * rest) / (inside.sum() + 20)
        ratios.append(np.log(label / rest).astype(np.float32)[bins])
    with mock.patch.object(appearance, "AT_ONCE", at_once):
        found = log_ratio(image, inside)
    assert found.dtype == np.float32
    assert (found == np.mean(ratios, axis=0, dtype=np.float32)).all()
    squares = [np.square(np.diff(image, axis=axis)) for axis in (-1, -2)]
    pairs = sum(square[0].size for square in squares)
    assert contrast_of([image]) == np.sqrt(sum(float(square.sum()) for square in squares) / pairs)
    assert (image == before).all()


def test_clicks_speak_for_what_is_near_and_alike():
    image, probability = step(60, 30, rows=20), np.full((20, 60), 0.5, np.float32)
    fused = with_clicks(image, probability, [(10, 33, True)], spacing=ONE_MM)
    assert fused[10, 33] == 1
    assert fused[10, 35] > 0.9  # near and alike
    assert fused[10, 28] < 0.6  # near, beyond the edge
    assert fused[10, 59] == pytest.approx(0.5, abs=0.05)  # alike, far


def test_the_last_click_on_a_pixel_counts():
    image, probability = step(8, 4), np.full((6, 8), 0.5, np.float32)
    first, last = (2, 6, True), (2, 6, False)
    assert with_clicks(image, probability, [first, last], spacing=ONE_MM)[2, 6] == 0
    assert with_clicks(image, probability, [last, first], spacing=ONE_MM)[2, 6] == 1
