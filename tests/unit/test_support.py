from dataclasses import replace

import numpy as np
import pytest
import torch

from protoseg.engine.support import choose_slices, support_from_scan
from protoseg.errors import InputError

LABELS = {"liver": 4, "spleen": 1}


def scan(slices=8):
    """Image (1, 16, 12, S) whose value is the slice number, and labels: liver on 2..6, spleen on 4 and 5."""
    image = torch.arange(slices).float().expand(1, 16, 12, slices).clone()
    drawn = torch.zeros(1, 16, 12, slices, dtype=torch.int16)
    for index, width in zip(range(2, 7), (2, 3, 6, 3, 2)):
        drawn[0, :width, :4, index] = 4
    drawn[0, 12:14, 8:, 4] = 1
    drawn[0, 12:15, 8:, 5] = 1
    return image, drawn


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("largest", [4, 5]),
        ("thirds", [3, 4, 5]),  # liver round(2 + 4 / 6), 4, round(2 + 20 / 6); spleen 4, 4, 5
        ("all", [2, 3, 4, 5, 6]),
        ([6, 2, 6], [2, 6]),
        (2, [2]),
        (np.array([6, 2]), [2, 6]),
    ],
)
def test_slices_are_chosen_as_documented(selection, expected):
    _, drawn = scan()
    assert choose_slices(drawn[0].permute(2, 1, 0), LABELS, selection) == expected


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ([8], "support_slices names slice 8, but the support scan has 0..7."),
        ([0], "support_slices names slice 0, which holds no label; labels are on 2..6."),
        ("middle", "support_slices is 'middle'; expected 'largest', 'thirds', 'all' or a list"),
        ([1.5], "support_slices is [1.5]; expected"),
        ([], "support_slices is []; expected"),
        (True, "support_slices is True; expected"),
        (2.0, "support_slices is 2.0; expected"),
    ],
)
def test_a_bad_selection_is_refused(selection, message):
    _, drawn = scan()
    with pytest.raises(InputError) as error:
        choose_slices(drawn[0].permute(2, 1, 0), LABELS, selection)
    assert message in str(error.value)


def test_a_support_holds_every_label_of_its_slices():
    image, drawn = scan()
    support = support_from_scan(image, drawn, LABELS, image_size=16, slices=[4], scan="a.nii.gz")
    assert support.images.shape == (1, 3, 16, 16)
    assert support.one_hot().sum((1, 2, 3)).tolist() == [6 * 4, 2 * 4]
    assert support.origins == (("a.nii.gz", 4),)
    assert support.components == {"liver": 1, "spleen": 1}


def test_an_organ_drawn_on_a_few_slices_is_one_component():
    image, drawn = scan()
    drawn[..., [3, 5]] = 0
    support = support_from_scan(image, drawn, LABELS, image_size=16, scan="a.nii.gz")
    assert support.components == {"liver": 1, "spleen": 1}
    absent = support_from_scan(image, drawn, {**LABELS, "bladder": 9}, image_size=16, scan="a.nii.gz")
    assert absent.components["bladder"] == 0


def test_adjacent_slices_are_the_channels():
    image, drawn = scan()
    support = support_from_scan(image, drawn, LABELS, scan="a", image_size=16, slices=[4], adjacent_slices=True)
    assert support.images.amax((0, 2, 3)).tolist() == [3, 4, 5]


def test_merging_keeps_labels_by_name():
    image, drawn = scan()
    first = support_from_scan(image, drawn, {"spleen": 1}, scan="a", image_size=16)
    second = support_from_scan(image, drawn, LABELS, scan="b", image_size=16, slices=[2])
    merged = first.merge(second)
    assert merged.labels == {"spleen": 1, "liver": 4}
    assert merged.one_hot().sum((2, 3)).tolist() == [[3 * 4, 0], [0, 2 * 4]]
    assert merged.components == {"spleen": 1, "liver": 1}


def test_supports_that_disagree_are_not_merged():
    image, drawn = scan()
    first = support_from_scan(image, drawn, {"spleen": 1}, scan="a", image_size=16)
    for other in ({"spleen": 4}, {"liver": 1}):
        with pytest.raises(InputError, match="Supports disagree about label values"):
            first.merge(support_from_scan(image, drawn, other, scan="a", image_size=16))


def test_supports_of_two_sizes_are_brought_to_the_larger():
    image, drawn = scan()
    small = support_from_scan(image, drawn, {"spleen": 1}, scan="a", image_size=16)
    large = support_from_scan(image, drawn, {"spleen": 1}, scan="b", image_size=16, magnification=2)
    for merged in (small.merge(large), large.merge(small)):
        assert merged.images.shape == (2, 3, 32, 32)
        assert merged.masks.flatten(1).sum(1).tolist() == [48, 48]  # 3 x 4 pixels


def test_labels_drawn_one_after_the_other_on_one_slice_stay_together():
    image, drawn = scan()
    liver = support_from_scan(image, drawn, {"liver": 4}, scan="a", image_size=16, slices=[4])
    spleen = support_from_scan(image, drawn, {"spleen": 1}, scan="a", image_size=16, slices=[4])
    together = liver.merge(spleen)
    assert together.origins == (("a", 4),)
    assert together.one_hot().sum((1, 2, 3)).tolist() == [6 * 4, 2 * 4]
    drawn[0, :3, :4, 4] = 0
    redrawn = together.merge(support_from_scan(image, drawn, {"liver": 4}, scan="a", image_size=16, slices=[4]))
    assert redrawn.one_hot().sum((1, 2, 3)).tolist() == [3 * 4, 2 * 4]


def test_a_newer_drawing_replaces_only_the_labels_that_it_knows_on_a_slice():
    image, drawn = scan()
    older = support_from_scan(image, drawn, LABELS, scan="a", image_size=16, slices=[4])
    newer = support_from_scan(image, torch.where(drawn == 4, 4, 0), LABELS, scan="a", image_size=16, slices=[4])
    newer = replace(newer, known=torch.tensor([[name == "liver" for name in newer.labels]]))
    merged = older.merge(newer)
    assert merged.one_hot().sum((1, 2, 3)).tolist() == [6 * 4, 2 * 4]
    assert merged.known is None


def test_thirds_of_a_label_with_gaps_are_slices_that_show_it():
    drawn = torch.zeros(7, 4, 4)
    drawn[[0, 5, 6], 0, 0] = 1
    assert choose_slices(drawn, {"bowel": 1}, "thirds") == [0, 5]


def test_a_scan_knows_the_labels_that_it_came_with():
    image, drawn = scan()
    liver = support_from_scan(image, drawn, {"liver": 4}, scan="a", image_size=16, slices=[3, 4])
    spleen = support_from_scan(image, drawn, {"spleen": 1}, scan="b", image_size=16, slices=[4, 5])
    assert liver.known is None
    together = liver.merge(spleen)
    assert together.known.tolist() == [[True, False]] * 2 + [[False, True]] * 2
    assert together.take([3, 0]).known.tolist() == [[False, True], [True, False]]
    assert together.without_label("spleen").known.tolist() == [[True]] * 2
    both = support_from_scan(image, drawn, LABELS, scan="c", image_size=16, slices=[4])
    assert together.merge(both).known.tolist() == [*together.known.tolist(), [True, True]]
    assert both.merge(both).known is None


def test_labels_drawn_one_after_the_other_are_both_known():
    image, drawn = scan()
    liver = support_from_scan(image, drawn, {"liver": 4}, scan="a", image_size=16, slices=[3, 4])
    spleen = support_from_scan(image, drawn, {"spleen": 1}, scan="a", image_size=16, slices=[4])
    together = liver.merge(spleen)
    assert [origin.slice_index for origin in together.origins] == [3, 4]
    assert together.known.tolist() == [[True, False], [True, True]]
