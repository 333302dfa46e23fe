"""Clicks that contradict each other, one by one or at once."""

import numpy as np
from shades_of_gray import LABELS, SIZE, arguments, network, scan

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.slice_encoder import SliceEncoder


def test_clicks_can_be_taken_back_and_contradicted():
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    one = session.segment([Click(5, 22, 20, "ball")]).label_map
    session.segment([Click(5, 22, 20, "ball"), Click(5, 22, 52, "ball")])
    np.testing.assert_array_equal(session.segment([Click(5, 22, 20, "ball")]).label_map, one)
    contradicted = session.segment(
        [Click(5, 22, 20, "ball"), Click(5, 30, 20, "ball"), Click(5, 30, 20, "ball", False)]
    ).label_map
    assert contradicted[5, 30, 20] == 0
    renamed = session.segment([Click(5, 22, 20, "ball"), Click(5, 22, 20, "rod")]).label_map
    assert renamed[5, 22, 20] == LABELS["rod"] and not (renamed == LABELS["ball"]).any()


def test_a_click_that_is_set_again_after_its_opposite_counts_again():
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    begin, on = Click(5, 22, 20, "ball"), Click(5, 40, 40, "ball")
    off = on._replace(positive=False)
    maps = [session.segment([begin, *others]).label_map for others in ([on], [on, off], [on, off, on])]
    assert [label_map[5, 40, 40] for label_map in maps] == [LABELS["ball"], 0, LABELS["ball"]]
    np.testing.assert_array_equal(session.segment([begin, on, off, on]).label_map, maps[2])
    np.testing.assert_array_equal(session.segment([begin, on, off]).label_map, maps[1])
    for clicks in ([begin, on, off, on], [begin, on, off, on, off]):
        one_by_one = session.segment(clicks).label_map
        together = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments()).segment(clicks)
        np.testing.assert_array_equal(together.label_map, one_by_one)


def test_clicks_at_once_may_take_a_label_away_and_begin_it_elsewhere():
    volume, _ = scan()

    def exactly(slices, index, positive, negative, *, spacing, prior):
        mask = prior.copy()
        mask[tuple(np.transpose(positive))] = True
        mask[tuple(np.transpose(negative))] = False
        return mask

    accepted = np.zeros((10, SIZE, SIZE), np.uint8)
    accepted[5, 22, 20] = 1
    session = ClickSegmentation(
        volume, SliceEncoder(network(), SIZE), **arguments(accepted=accepted, slice_segmenter=exactly)
    )
    session.add([Click(5, 22, 20, "ball", False), Click(5, 40, 40, "ball")])
    assert session.predict().label_map[5, [22, 40], [20, 40]].tolist() == [0, LABELS["ball"]]
