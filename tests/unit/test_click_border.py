"""Borders that are wrong along their length as one click says."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from shades_of_gray import LABELS, SIZE, arguments, network, scan

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.slice_encoder import SliceEncoder

BALL = scan()[1] == LABELS["ball"]
THIN = np.stack([binary_erosion(one, iterations=3) for one in BALL])
THICK = np.stack([binary_dilation(one, iterations=3) & one.any() for one in BALL])
MISSING, TOO_MUCH = Click(5, 22, 32, "ball"), Click(5, 22, 34, "ball", False)


def corrected(accepted, *clicks):
    volume, _ = scan()
    positions = accepted.astype(np.uint8)  # the ball is the first label
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments(accepted=positions))
    return session.segment(clicks).label_map == LABELS["ball"]


def dice(found, truth):
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.mark.parametrize(("accepted", "click"), [(THIN, MISSING), (THICK, TOO_MUCH)])
def test_one_click_moves_a_border_that_is_wrong_everywhere(accepted, click):
    found = corrected(accepted, click)
    assert dice(found[5], BALL[5]) > 0.9 > dice(accepted[5], BALL[5]), "all around on the click's slice"
    for beside in (4, 6):
        assert dice(found[beside], BALL[beside]) > dice(accepted[beside], BALL[beside]) + 0.05
    changed = found != accepted
    assert (found[changed] == click.positive).all()


@pytest.mark.parametrize(("accepted", "click"), [(THIN, MISSING), (THICK, TOO_MUCH)])
def test_a_border_that_is_right_stays(accepted, click):
    half = np.where(np.arange(SIZE) > 20, accepted, BALL)
    found = corrected(half, click)
    assert dice(found[5], BALL[5]) > dice(half[5], BALL[5])
    assert (found != BALL)[:, :, :18].mean() < 0.001


def test_a_border_moves_on_no_slice_that_was_clicked_on_before():
    earlier = Click(4, 22, 32, "ball")
    before = corrected(THIN, earlier)
    after = corrected(THIN, earlier, MISSING)
    np.testing.assert_array_equal(after[4], before[4])


def test_what_is_nearer_to_a_click_that_says_the_opposite_stays():
    opposite = Click(5, 22, 7, "ball", False)  # on the other side of the ball, beyond the thin label
    assert corrected(THIN, MISSING)[5, 22, 9]
    assert not corrected(THIN, opposite, MISSING)[5, 22, 9]


def test_the_border_of_a_label_that_a_click_began_moves_near_clicks_alone():
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    session.segment([Click(5, 22, 20, "ball")])
    session._found[:] = THIN
    found = session.segment([Click(5, 22, 20, "ball"), MISSING]).label_map == LABELS["ball"]
    away = np.argwhere(found[5] & ~THIN[5]) - (MISSING.row, MISSING.column)
    assert np.hypot(*away.T).max() < 10 < np.hypot(*(np.argwhere(BALL[5] & ~THIN[5]) - (22, 32)).T).max()
