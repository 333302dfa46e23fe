"""Outlines of masks: whatever the rule by which a reader fills them, the mask comes back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path
from skimage.draw import polygon

from protoseg.data.io.label_writers.contours import mask_contours

MASKS = {
    "a pixel": ["000", "010", "000"],
    "all": ["11", "11"],
    "two touch at a corner": ["10", "01"],
    "a hole": ["1111", "1001", "1111"],
    "holes one behind the other": ["11111", "10101", "11111", "10101", "11111"],
    "a hole in an island in a hole": ["1111111", "1000001", "1011101", "1010101", "1011101", "1000001", "1111111"],
    "a hole that reaches back around another": ["11111", "10001", "10111", "10101", "10001", "11111"],
    "a hole open at a corner": ["0111", "1011", "1111"],
}


def drawn(rows: list[str]) -> np.ndarray:
    return np.array([[pixel == "1" for pixel in row] for row in rows])


def area(points: np.ndarray) -> float:
    x, y = points.T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2


def check(mask: np.ndarray) -> None:
    shape = mask.shape
    added, excluded, wound = np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape, bool)
    for points in mask_contours(mask):
        inside = np.zeros(shape, bool)
        inside[polygon(points[:, 0], points[:, 1], shape)] = True
        added |= inside
        excluded ^= inside
        closed = Path(np.r_[points, points[:1]], closed=True)  # which fills by winding number
        wound |= closed.contains_points(np.argwhere(np.ones(shape))).reshape(shape)
    for found in (added, excluded, wound):
        np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("name", MASKS)
def test_known_masks(name: str) -> None:
    check(drawn(MASKS[name]))


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_mask(mask: np.ndarray) -> None:
    check(mask)


def test_nothing_has_no_outline() -> None:
    assert mask_contours(np.zeros((3, 4), bool)) == []


def test_the_area_is_that_of_the_pixels_but_for_the_corners() -> None:
    """Each of the four turns of an outline cuts an eighth of a pixel off, and those of a hole add as much."""
    box = np.zeros((9, 9), bool)
    box[1:8, 2:7] = True
    (outline,) = mask_contours(box)
    assert area(outline) == 7 * 5 - 0.5
    assert len(outline) == 8
    box[3:5, 4] = False
    (outline,) = mask_contours(box)
    assert area(outline) == 7 * 5 - 2
