import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.engine.clicks.click_likeness import MOST_POINTS, far_apart
from protoseg.engine.clicks.mask_choice import most_central, most_fitting
from protoseg.engine.clicks.simulation import interior_point, next_click
from protoseg.engine.clicks.slice_mask import slice_mask
from protoseg.engine.clicks.working_grid import WorkingGrid

SPACING = (2.0, 2.0)


def phantom():
    """Image and features of two discs of one shade and a brighter square, 64 x 64; and the three masks."""
    rows, columns = np.mgrid[:64, :64]
    left = (rows - 20) ** 2 + (columns - 16) ** 2 < 100
    right = (rows - 20) ** 2 + (columns - 46) ** 2 < 100
    square = (rows >= 42) & (rows < 58) & (columns >= 20) & (columns < 44)
    image = np.zeros((1, 64, 64), np.float32)
    image[0, left | right] = 1
    image[0, square] = 2
    gray = torch.nn.functional.avg_pool2d(torch.from_numpy(image), 2)  # 32 cells a side, as the encoders have
    features = torch.exp(-((gray - torch.linspace(0, 2, 9)[:, None, None]) ** 2) / 0.1)
    return image, features, left, right, square


def dice(first, second):
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def test_one_click_takes_the_organ_and_not_its_look_alike():
    image, features, left, right, _ = phantom()
    mask = slice_mask(image, features, [(20, 16)], spacing=SPACING)
    assert dice(mask, left) > 0.95
    assert not (mask & right).any()


def test_a_second_click_adds_another_part():
    image, features, left, right, square = phantom()
    mask = slice_mask(image, features, [(20, 16), (20, 46)], spacing=SPACING)
    assert dice(mask, left | right) > 0.95
    mask = slice_mask(image, features, [(20, 16), (50, 32)], spacing=SPACING)
    assert dice(mask, left | square) > 0.88


def test_clicks_correct_an_earlier_mask():
    image, features, left, right, square = phantom()
    wrong = left | square
    corrected = slice_mask(image, features, [], [(50, 32)], spacing=SPACING, prior=wrong)
    assert dice(corrected, left) > dice(wrong, left) + 0.2
    grown = slice_mask(image, features, [(20, 46)], spacing=SPACING, prior=left)
    assert dice(grown, left | right) > 0.9


def test_a_click_on_a_vessel_takes_the_organ_around_it():
    image, features, left, _, _ = phantom()
    image[0, 19:22, 15:18] = 1.8
    mask = slice_mask(image, features, [(20, 16)], spacing=SPACING)
    assert dice(mask, left) > 0.9


def test_of_several_masks_the_one_that_its_surroundings_are_least_like_fits():
    _, _, left, right, square = phantom()
    rows, columns = np.mgrid[:64, :64]
    half = left & (columns < 16)
    wide = (rows - 20) ** 2 + (columns - 16) ** 2 < 196
    likeness = np.where(left, 0.9, np.where(right | square, 0.7, 0.2))
    for masks in ([half, left], [wide, left], [left, np.zeros_like(left)], [np.ones_like(left), left]):
        np.testing.assert_array_equal(most_fitting(masks, likeness, SPACING), left)


def test_a_mask_that_the_frame_cuts_off_fits_less():
    inside, cut_off = np.zeros((2, 32, 32), bool)
    inside[8:24, 8:24] = True
    cut_off[:, :16] = True
    likeness = np.where(inside | cut_off, 0.9, 0.2) + 0.1 * inside * ~cut_off
    assert most_fitting([cut_off], likeness, SPACING) is cut_off
    assert most_fitting([cut_off, inside], likeness, SPACING) is inside


def test_of_several_masks_it_is_one_that_has_the_click_in_its_middle():
    whole, part, tiny = np.zeros((3, 32, 32), bool)
    whole[4:28, 4:28] = True
    part[4:16, 4:16] = True
    tiny[9:11, 9:11] = True
    assert most_central([whole, part], (10, 10), SPACING) is part
    assert most_central([whole, part], (15, 15), SPACING) is whole
    assert most_central([whole, tiny], (10, 10), SPACING) is whole, "a click is in the middle of anything so small"
    assert most_central([part, part.copy()], (10, 10), SPACING) is part, "the first of equals"


def test_a_first_mask_depends_on_the_share_of_the_frame_and_not_on_the_size_of_pixels():
    image, features, _, _, _ = phantom()
    fine = slice_mask(image, features, [(20, 16)], spacing=(0.1, 0.1))
    np.testing.assert_array_equal(fine, slice_mask(image, features, [(20, 16)], spacing=(4.0, 4.0)))


def test_without_a_positive_click_and_an_earlier_mask_there_is_nothing():
    image, features, left, _, _ = phantom()
    assert not slice_mask(image, features, [], [(5, 5)]).any()
    assert not slice_mask(image, features, [], [(5, 5)], prior=np.zeros_like(left)).any()
    np.testing.assert_array_equal(slice_mask(image, features, [], prior=left), left)


points = st.lists(st.tuples(st.integers(0, 63), st.integers(0, 63)), min_size=1, max_size=8, unique=True)


@settings(deadline=None, max_examples=20)
@given(points, st.integers(0, 7), st.booleans(), st.sampled_from([0.4, 1.0, 3.0]))
def test_every_click_is_honoured(clicked, split, with_prior, step):
    image, features, left, _, _ = phantom()
    positive, negative = clicked[:split], clicked[split:]
    prior = left if with_prior else None
    mask = slice_mask(image, features, positive, negative, spacing=(step, step), prior=prior)
    again = slice_mask(image, features, positive, negative, spacing=(step, step), prior=prior)
    assert all(mask[point] for point in positive)
    assert not any(mask[point] for point in negative)
    np.testing.assert_array_equal(mask, again)


def test_of_many_points_thosefar_apart_stand_for_all():
    line = [(0, column) for column in range(100)]
    chosen = far_apart(line)
    assert len(chosen) == MOST_POINTS
    assert chosen[0] == (0, 0) and chosen[-1] == (0, 99)
    assert np.diff([column for _, column in chosen]).max() <= 13
    assert far_apart(line[:3]) == line[:3]


def test_fine_pixels_are_worked_on_coarsely():
    grid = WorkingGrid((100, 60), (0.6, 2.0))
    assert grid.shape == (50, 60)
    assert grid.spacing == pytest.approx((1.2, 2.0))
    assert grid.points([(99, 59), (0, 0)]) == [(49, 59), (0, 0)]
    mask = np.zeros((100, 60), bool)
    mask[20:60, 10:30] = True
    assert dice(grid.enlarge(grid.shrink(mask[None].astype(np.float32))[0] > 0.5), mask) > 0.98


def test_the_next_click_is_in_the_middle_of_the_largest_error():
    ground_truth = np.zeros((3, 9, 9), bool)
    ground_truth[1, 2:7, 2:7] = True
    ground_truth[2, 2:5, 2:5] = True
    assert next_click(ground_truth, np.zeros_like(ground_truth), label="a") == (1, 4, 4, "a", True)
    found = ground_truth.copy()
    found[0, 0:3, 5:8] = True
    assert next_click(ground_truth, found, label="b") == (0, 1, 6, "b", False)
    assert next_click(ground_truth, ground_truth, label="a") is None


def test_the_interior_point_keeps_away_from_the_edge_of_the_image():
    assert interior_point(np.ones((5, 5), bool)) == (2, 2)
