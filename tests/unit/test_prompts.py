import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protoseg.errors import InputError
from protoseg.sam.prompts import mask_prompt, negative_points, positive_points, ring_around, spread_points


@settings(deadline=None, max_examples=30)
@given(arrays(bool, (9, 12)), arrays(np.float32, (9, 12), elements=st.floats(0, 1, width=32)), st.integers(0, 12))
def test_spread_points_are_different_pixels_of_the_region(region, confidence, count):
    points = spread_points(region, confidence, count).astype(int)
    assert len(points) == min(count, region.sum())
    assert len({tuple(point) for point in points}) == len(points)
    assert region[points[:, 1], points[:, 0]].all()
    if len(points):
        x, y = points[0]
        assert confidence[y, x] == confidence[region].max()


def test_spread_points_are_sure_and_far_apart():
    region = np.zeros((5, 21), bool)
    region[2] = True
    confidence = np.full((5, 21), 0.5)
    confidence[2, 10] = 0.9
    assert spread_points(region, confidence, 3).tolist() == [[10, 2], [0, 2], [20, 2]]
    confidence[2, 18] = 0.8  # a little nearer than the ends, and much surer
    assert spread_points(region, confidence, 3).tolist() == [[10, 2], [18, 2], [0, 2]]


def test_the_ring_and_its_gate():
    component = np.zeros((30, 30), bool)
    component[10:13, 10:13] = True
    ring = ring_around(component, 4)
    assert ring.sum() == 11 * 11 - 9
    assert ring[6, 6] and not ring[5, 6] and not ring[11, 11]
    background = np.full((30, 30), 0.5)
    background[8, 9] = 0.95
    background[29, 29] = 1.0  # the surest, and too far away
    assert negative_points(component, background, gate=0.9).tolist() == [[9, 8]]
    assert len(negative_points(component, background, gate=0.96)) == 0
    assert len(negative_points(component, background, count=0)) == 0


def test_an_unknown_choice_of_points():
    with pytest.raises(InputError, match="points is 'random'; choose one of none, confident, centroid, both, spread"):
        positive_points(np.ones((2, 2), bool), np.ones((2, 2)), "random")


def test_the_mask_prompt_keeps_float_logits_above_the_mean():
    logits = torch.full((9, 9), -4.0)
    logits[2:7, 2:7] = 4.0
    logits[8, 8] = 4.0  # another component
    component = torch.zeros(9, 9, dtype=torch.bool)
    component[2:7, 2:7] = True
    prompt = mask_prompt(logits, component)
    z = (4.0 - logits.mean()) / logits.std()
    expected = torch.full((9, 9), -2.0)
    expected[3:6, 3:6] = z  # eroded by a pixel
    torch.testing.assert_close(prompt, expected)
    assert prompt.dtype == torch.float32


def test_the_mask_prompt_of_a_thin_component_is_not_eroded():
    logits = torch.zeros(9, 9)
    logits[4] = 3.0
    prompt = mask_prompt(logits, logits > 0)
    assert (prompt[4] > 0).all() and (prompt[:4] == -2).all() and (prompt[5:] == -2).all()
