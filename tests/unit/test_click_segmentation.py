import math

import numpy as np
import pytest
import torch
from shades_of_gray import LABELS, SIZE, arguments, network, scan

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.correction import NEW_REACH, REACH
from protoseg.engine.clicks.scribbles import BACKGROUND_SCRIBBLE, segment_from_scribbles
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.clicks.simulation import next_click
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SliceOrigin, support_from_scan
from protoseg.errors import InputError
from protoseg.workflows.studies.clicks import click_figures, study_clicks


def dice(prediction, ground_truth, name):
    found, true = prediction.label_map == LABELS[name], ground_truth == LABELS[name]
    return 2 * (found & true).sum() / (found.sum() + true.sum())


def test_one_click_finds_the_organ_and_stops_where_it_ends():
    volume, ground_truth = scan()
    prediction = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments()).segment(
        [Click(5, 22, 20, "ball")]
    )
    assert dice(prediction, ground_truth, "ball") > 0.85
    assert not prediction.label_map[[0, 1, 9]].any(), "an empty slice stays empty"
    assert not prediction.label_map[:, :, 40:].any(), "the look-alike is not connected to what was clicked on"
    assert list(prediction.findings) == ["ball"]
    assert prediction.findings["ball"].support_slice == SliceOrigin("a", 5)
    assert 0.5 < prediction.findings["ball"].confidence <= 1


def test_two_labels_at_once():
    volume, ground_truth = scan()
    clicks = [Click(5, 22, 20, "ball"), Click(5, 50, 30, "rod")]
    prediction = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments()).segment(clicks)
    assert dice(prediction, ground_truth, "ball") > 0.85
    assert dice(prediction, ground_truth, "rod") > 0.9
    assert list(prediction.findings) == ["ball", "rod"]


def test_a_correction_makes_the_result_better_and_every_click_is_honoured():
    volume, ground_truth = scan()
    both = np.where(ground_truth == 5, 5, 0)
    both[:, 15:30, 45:60] = np.where(np.asarray(volume)[0].transpose(2, 1, 0)[:, 15:30, 45:60] == 1, 5, 0)
    clicks, scores = [], []
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    found = np.zeros(ground_truth.shape, bool)
    for _ in range(4):
        clicks.append(next_click(both == 5, found, label="ball"))
        prediction = session.segment(clicks)
        found = prediction.label_map == 5
        scores.append(dice(prediction, both, "ball"))
        for index, row, column, _, positive in clicks:
            assert found[index, row, column] == positive
    assert scores[1] > scores[0] + 0.05
    assert scores[-1] > 0.9


def test_a_negative_click_takes_away_and_beside_the_label_changes_nothing():
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    first = session.segment([Click(5, 22, 20, "ball")]).label_map
    beside = session.segment([Click(5, 22, 20, "ball"), Click(6, 2, 2, "ball", False)]).label_map
    np.testing.assert_array_equal(first, beside)
    inside = session.segment([Click(5, 22, 20, "ball"), Click(6, 22, 20, "ball", False)]).label_map
    assert (inside[6] > 0).sum() < (first[6] > 0).sum() / 2
    assert inside[6, 22, 20] == 0


def test_clicks_one_by_one_give_what_all_at_once_give():
    volume, _ = scan()
    clicks = [
        Click(5, 22, 20, "ball"),
        Click(7, 2, 2, "ball", False),
        Click(4, 50, 30, "rod"),
        Click(3, 22, 20, "ball"),
        Click(8, 50, 30, "ball", False),
    ]
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments())
    for count in range(1, 1 + len(clicks)):
        step = session.segment(clicks[:count])
    together = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments()).segment(clicks)
    np.testing.assert_array_equal(step.label_map, together.label_map)
    assert step.findings == together.findings


def test_a_volume_is_encoded_once():
    volume, _ = scan()
    cache = FeatureCache()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE, cache), **arguments())
    session.segment([Click(5, 22, 20, "ball")])
    encoded = cache.misses
    session.segment([Click(5, 22, 20, "ball"), Click(3, 22, 20, "ball"), Click(5, 50, 30, "rod")])
    assert cache.misses == encoded <= 10


def test_clicks_correct_what_another_scan_tells_of():
    volume, ground_truth = scan()
    other, other_ground_truth = scan(shift=4)
    drawn = torch.from_numpy(other_ground_truth.astype(np.int16)).permute(2, 1, 0)[None]
    support = support_from_scan(other, drawn, LABELS, scan="b", image_size=SIZE)
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments(support=support))
    before = session.segment([])
    assert dice(before, ground_truth, "rod") > 0.8
    after = session.segment([Click(5, 22, 52, "ball", False), Click(5, 22, 20, "ball")])
    assert after.label_map[5, 22, 52] == 0 and after.label_map[5, 22, 20] == LABELS["ball"]
    assert dice(after, ground_truth, "ball") >= dice(before, ground_truth, "ball")
    assert dice(after, ground_truth, "rod") > 0.8
    assert set(after.findings) == set(LABELS)


def test_labels_of_a_support_keep_their_names_under_other_values():
    volume, _ = scan()
    _, ground_truth = scan()
    drawn = torch.from_numpy(ground_truth.astype(np.int16)).permute(2, 1, 0)[None]
    support = support_from_scan(volume, drawn, LABELS, scan="b", image_size=SIZE)
    values = {"rod": 2, "ball": 1}
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), labels=values, scan="a", support=support)
    found = session.segment([]).label_map
    assert [found[5, 22, 20], found[5, 50, 30]] == [1, 2]


def test_another_slice_segmenter_can_make_the_masks():
    volume, _ = scan()
    asked = []

    def square(slices, index, positive, negative, *, spacing, prior):
        asked.append((index, list(positive), list(negative), spacing, bool(prior.any())))
        mask = np.zeros(slices.shape[-2:], bool)
        mask[18:27, 16:25] = True
        return mask

    clicks = [Click(5, 22, 20, "ball"), Click(5, 24, 24, "ball", False), Click(5, 40, 40, "ball")]
    found = (
        ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments(slice_segmenter=square))
        .segment(clicks)
        .label_map[5]
        == 5
    )
    assert asked == [
        (5, [(22, 20)], [], (3.0, 3.0), False),
        (5, [(22, 20)], [(24, 24)], (3.0, 3.0), True),
        (5, [(40, 40)], [(24, 24)], (3.0, 3.0), False),  # far away: a part of its own
    ]
    assert found.sum() == 81 - 1 + 1, "negative clicks are left out and positive ones held, whatever it says"


def insatiable(slices, index, positive, negative, *, spacing, prior):
    """A slice segmenter to which a correction is all or nothing, and a first mask a square."""
    mask = np.zeros(slices.shape[-2:], bool)
    mask[18:27, 16:25] = True
    if len(positive) + len(negative) > 1 or not mask[positive[0]]:
        mask[:] = not negative
    return mask


@pytest.mark.parametrize(
    ("click", "reach"),  # slices are 4 mm apart, pixels 3 mm wide
    [
        (Click(5, 20, 20, "ball", False), REACH * 9),
        (Click(5, 22, 19, "ball", False), REACH * 12),
        (Click(5, 28, 20, "ball"), REACH * 6),
        (Click(5, 22, 32, "ball"), 7.7),  # far away: a disc of a quarter of the 81 pixels that the label has
    ],
)
def test_a_correction_changes_nothing_beyond_its_reach(click, reach):
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments(slice_segmenter=insatiable))
    before = session.segment([Click(5, 22, 20, "ball")]).label_map
    changed = before != session.segment([Click(5, 22, 20, "ball"), click]).label_map
    slices, rows, columns = np.nonzero(changed)
    distance = np.linalg.norm([4 * (slices - 5), 3 * (rows - click.row), 3 * (columns - click.column)], axis=0)
    assert distance.max() <= reach
    assert distance[slices == 5].max() > reach - 3, "as far as that the segmenter has its way"


def test_a_click_on_a_slice_without_the_label_adds_a_part_of_it():
    volume, _ = scan()
    session = ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments(slice_segmenter=insatiable))
    before = session.segment([Click(5, 22, 20, "ball")]).label_map
    assert not before[0].any()
    after = session.segment([Click(5, 22, 20, "ball"), Click(0, 40, 40, "ball")]).label_map
    rows, columns = np.nonzero(after[0])
    reach = NEW_REACH * 3 * math.sqrt(max(np.count_nonzero(one) for one in before))
    assert 0.7 * reach < 3 * np.hypot(rows - 40, columns - 40).max() <= reach


@pytest.mark.parametrize(
    ("clicks", "message"),
    [
        ([], "Nothing is clicked on yet"),
        ([Click(5, 2, 2, "ball", False)], "Nothing is clicked on yet"),
        (
            [Click(5, 22, 20, "ball"), Click(10, 3, 4, "ball")],
            r"Click 2 is on slice 10, row 3, column 4, which is outside the volume of 10 slices of 64 rows",
        ),
        ([Click(5, -1, 4, "ball")], "Click 1 is on slice 5, row -1"),
        ([Click(5, 1, 4, "cube")], "Click 1 is on the label 'cube'; the labels are ball, rod"),
    ],
)
def test_clicks_that_cannot_be_used_are_refused(clicks, message):
    volume, _ = scan()
    with pytest.raises(InputError, match=message):
        ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments()).segment(clicks)


def test_scribbles_are_seeds():
    volume, ground_truth = scan()
    scribbles = np.zeros(ground_truth.shape, np.uint8)
    scribbles[5, 22, 14:27] = 1
    scribbles[4, 50, 26:34] = 2
    scribbles[5, 10:40, 40] = BACKGROUND_SCRIBBLE
    scribbles[8, 2, 2] = BACKGROUND_SCRIBBLE
    prediction = segment_from_scribbles(volume, scribbles, SliceEncoder(network(), SIZE), **arguments())
    assert dice(prediction, ground_truth, "ball") > 0.85
    assert dice(prediction, ground_truth, "rod") > 0.7
    values = np.array([0, *LABELS.values()])
    drawn = (scribbles > 0) & (scribbles != BACKGROUND_SCRIBBLE)
    np.testing.assert_array_equal(prediction.label_map[drawn], values[scribbles[drawn]])
    assert not prediction.label_map[scribbles == BACKGROUND_SCRIBBLE].any()


def test_scribbles_that_cannot_be_used_are_refused():
    volume, ground_truth = scan()
    with pytest.raises(
        InputError, match=r"are \(10, 64, 63\), but the volume's slices, rows and columns are \(10, 64, 64"
    ):
        segment_from_scribbles(volume, np.zeros((10, 64, 63), np.uint8), SliceEncoder(network(), SIZE), **arguments())
    with pytest.raises(InputError, match="hold the value 7"):
        segment_from_scribbles(
            volume, np.full(ground_truth.shape, 7, np.uint8), SliceEncoder(network(), SIZE), **arguments()
        )
    with pytest.raises(InputError, match="Nothing is clicked on yet"):
        segment_from_scribbles(
            volume, np.zeros(ground_truth.shape, np.uint8), SliceEncoder(network(), SIZE), **arguments()
        )


def test_the_study_tells_of_every_click():
    volume, ground_truth = scan()
    drawn = torch.from_numpy(ground_truth.astype(np.int16)).permute(2, 1, 0)[None]
    rows = list(study_clicks(volume, drawn, {**LABELS, "absent": 3}, SliceEncoder(network(), SIZE), scan="a", clicks=2))
    assert [row[:3] for row in rows if row.label == "ball"] == [("a", "ball", 1), ("a", "ball", 2)]
    assert all(row.dice > 0.8 and row.seconds > 0 for row in rows)
    assert not [row for row in rows if row.label == "absent"]


def test_the_figures_of_a_study_count_clicks_and_falls():
    def rows(label, *dice):
        return [{"scan": "a", "label": label, "dice": value, "seconds": 0.5} for value in dice]

    figures = click_figures([*rows("liver", 0.8, 0.92, 0.9), *rows("spleen", 0.5, 0.495, 0.7)])
    assert figures == {
        "dice_after_1": 0.65,
        "dice_after_3": 0.8,
        "noc90": 2.5,
        "reached90": 0.5,
        "falls": 0.25,
        "seconds": 0.5,
    }
    right_at_once = [*rows("liver", 0.95), {"scan": "a", "label": "liver", "dice": 0.95, "seconds": math.nan}]
    assert click_figures(right_at_once) == {"dice_after_1": 0.95, "noc90": 1.0, "reached90": 1.0}
