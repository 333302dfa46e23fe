import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from shades_of_gray import LABELS, SIZE, arguments, network, scan

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.ops.components import connected_components


def test_a_click_that_the_segmentation_agrees_with_changes_nothing():
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    clicks = [Click(5, 22, 20, "ball")]
    first = session.segment(clicks).label_map
    for further in (
        Click(6, 22, 20, "ball"),
        Click(5, 24, 22, "ball"),
        Click(5, 22, 52, "ball", False),
        Click(1, 50, 30, "ball", False),
    ):
        clicks.append(further)
        np.testing.assert_array_equal(session.segment(clicks).label_map, first)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 9), st.integers(0, SIZE - 1), st.integers(0, SIZE - 1), st.booleans())
def test_a_correction_is_connected_to_its_click_and_goes_one_way(index, row, column, positive):
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    clicks = [Click(5, 22, 20, "ball"), Click(5, 50, 30, "rod")]
    before = session.segment(clicks).label_map
    after = session.segment([*clicks, Click(index, row, column, "ball", positive)]).label_map
    changed = before != after
    was_there = before[index, row, column] == LABELS["ball"]
    assert changed.any() == (was_there != positive)
    if not changed.any():
        return
    assert changed[index, row, column] and connected_components(changed).max() == 1
    assert (after[changed] == (LABELS["ball"] if positive else 0)).all()
    untouched = LABELS["rod"] if before[index, row, column] != LABELS["rod"] else None
    assert not (before[changed] == untouched).any(), "what was not complained of stays"
    if index != 5:
        np.testing.assert_array_equal(before[5], after[5], "a slice that was clicked on before stays")


def test_a_correction_keeps_near_the_border_that_it_touches():
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    before = session.segment([Click(5, 22, 20, "ball")]).label_map > 0
    column = int(np.flatnonzero(before[4, 22])[-1])
    after = session.segment([Click(5, 22, 20, "ball"), Click(4, 22, column - 1, "ball", False)]).label_map > 0
    away = np.hypot(*(np.argwhere(before[4] & ~after[4]) - (22, column - 1)).T)
    assert len(away) > 0 and away.max() <= 3 * 2 + 1, "three times the two pixels to the border"
    assert after[4].sum() > before[4].sum() / 2


def test_a_click_inside_a_missed_part_brings_that_part():
    volume, _ = scan()
    image = np.asarray(volume)[0].transpose(2, 1, 0)
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    before = session.segment([Click(5, 22, 20, "ball")]).label_map
    after = session.segment([Click(5, 22, 20, "ball"), Click(5, 22, 52, "ball")]).label_map
    missed = (image == 1) & (np.arange(SIZE) > 40)
    assert not before[missed].any()
    assert (after[5][missed[5]] == LABELS["ball"]).mean() > 0.9
    assert not after[~missed & (before == 0)].any()


def test_a_click_on_another_label_takes_the_place_that_it_is_about():
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    clicks = [Click(5, 22, 20, "ball"), Click(5, 50, 30, "rod"), Click(5, 22, 52, "ball")]
    both = session.segment(clicks).label_map
    moved = session.segment([*clicks, Click(5, 22, 52, "rod")]).label_map
    assert moved[5, 22, 52] == LABELS["rod"]
    assert (moved[5, 16:29, 46:59] == LABELS["ball"]).sum() < (both[5, 16:29, 46:59] == LABELS["ball"]).sum() / 2
    np.testing.assert_array_equal(both[:, :, :40], moved[:, :, :40])
