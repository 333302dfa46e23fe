"""A small structure inside an organ that looks almost like it: the first click takes the organ, too."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from shades_of_gray import SIZE, arguments, network

from protoseg.engine.clicks import segmentation
from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.first_choice import FirstChoice
from protoseg.engine.clicks.mask_propagation import Tracked
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.prediction import LabelFinding, Prediction
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import support_from_scan

LABELS = {"gland": 1, "rod": 2}
FIRST = Click(3, 32, 44, "gland")
DEEP = Click(3, 32, 24, "gland", False)


@pytest.fixture(scope="module")
def phantom():
    slices, rows, columns = np.mgrid[:6, :SIZE, :SIZE]
    organ = (rows - 32) ** 2 + (columns - 30) ** 2 < 26**2
    gland = ((rows - 32) ** 2 + (columns - 44) ** 2 < 36) & (slices > 0) & (slices < 5)
    rod = (rows > 58) & (columns > 50)
    image = 1.0 * organ + 0.16 * gland + 1.8 * rod
    volume = torch.from_numpy(image).float().permute(2, 1, 0)[None]
    return MetaTensor(volume, affine=torch.diag(torch.tensor([-3.0, -3.0, 4.0, 1.0]))), gland, organ


def session(volume, **others):
    return ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments(**{"labels": LABELS, **others}))


def dice(found, true):
    return 2 * (found & true).sum() / (found.sum() + true.sum())


@pytest.mark.parametrize("index", [3, 2, 0])
def test_a_negative_click_deep_inside_a_mask_of_something_larger_finds_the_structure(phantom, index):
    volume, gland, _ = phantom
    clicks = session(volume)
    before = clicks.segment([FIRST])
    assert dice(before.label_map == 1, gland) < 0.1
    after = clicks.segment([FIRST, DEEP._replace(slice_index=index)])
    assert dice(after.label_map == 1, gland) > 0.95
    undone = clicks.segment([FIRST])
    np.testing.assert_array_equal(undone.label_map, before.label_map)
    assert undone.findings == before.findings


def test_a_negative_click_at_the_rim_leaves_the_rest_as_it_is(phantom):
    volume, _, organ = phantom
    clicks = session(volume)
    before = clicks.segment([FIRST]).label_map == 1
    after = clicks.segment([FIRST, Click(3, 32, 8, "gland", False)]).label_map == 1
    assert before[3, 32, 8] and not after[3, 32, 8]
    assert dice(after, organ) > 0.95


def test_what_a_second_click_said_is_right_stays(phantom):
    volume, _, _ = phantom
    clicks = session(volume)
    right = Click(1, 50, 30, "gland")
    before = clicks.segment([FIRST, right]).label_map == 1
    after = clicks.segment([FIRST, right, DEEP]).label_map == 1
    assert not after[DEEP[:3]] and after[right[:3]]
    assert after.sum() > before.sum() / 2
    np.testing.assert_array_equal(before[1], after[1])


def test_what_was_accepted_is_corrected_and_not_chosen_anew(phantom):
    volume, _, organ = phantom
    wrong = Click(3, 32, 20, "gland", False)
    anew = session(volume).segment([FIRST, wrong]).label_map == 1
    assert anew.sum() < organ.sum() / 10, "the click is deep enough"
    after = session(volume, accepted=organ.astype(np.uint8)).segment([wrong]).label_map == 1
    assert not after[wrong[:3]]
    assert after.sum() > organ.sum() / 4


def test_a_label_that_begins_does_not_take_most_of_another_that_was_clicked_on(phantom):
    volume, gland, organ = phantom
    clicks = session(volume, labels={"organ": 1, "gland": 2})
    around = Click(3, 32, 14, "organ")
    before = clicks.segment([around]).label_map
    assert (before[gland] == 1).mean() > 0.9, "the organ's click takes the gland, too"
    after = clicks.segment([around, FIRST]).label_map
    assert dice(after == 2, gland) > 0.9
    assert dice(after == 1, organ & ~gland) > 0.9
    alone = session(volume, labels={"organ": 1, "gland": 2}).segment([FIRST]).label_map
    assert dice(alone == 2, gland) < 0.1, "nothing else tells that the first mask is the organ's"


@pytest.mark.parametrize(
    ("spot", "shown", "found"), [(2, "gland", "the gland"), (2, "organ", "the organ"), (20, "gland", "a part")]
)
def test_a_label_of_which_the_support_found_next_to_nothing_begins_with_the_click(
    phantom, monkeypatch, spot, shown, found
):
    volume, gland, organ = phantom
    label_map = np.zeros(gland.shape, np.uint8)
    label_map[:, :spot, :spot] = 1  # far from the organ
    told = Prediction(label_map, {"gland": LabelFinding(0.5, None, None)})
    monkeypatch.setattr(segmentation, "segment", lambda *_, **__: told)
    drawn = torch.from_numpy({"gland": gland, "organ": organ}[shown].astype(np.uint8)).permute(2, 1, 0)[None]
    support = support_from_scan(volume, drawn, {"gland": 1}, image_size=SIZE, scan="other", slices=3)
    after = session(volume, support=support).segment([FIRST]).label_map == 1
    assert (dice(after, gland) > 0.9) == (found == "the gland")
    assert (dice(after, organ) > 0.9) == (found == "the organ")
    assert np.array_equal(after[:, :spot, :spot], label_map[:, :spot, :spot]), "what was found stays"


def test_other_labels_are_left_alone_and_tell_what_a_label_is_not(phantom):
    volume, gland, _ = phantom
    clicks = session(volume)
    rod = Click(2, 61, 57, "rod")
    before = clicks.segment([FIRST, rod]).label_map
    after = clicks.segment([FIRST, rod, DEEP]).label_map
    assert (before == 2).any()
    np.testing.assert_array_equal(before == 2, after == 2)
    assert dice(after == 1, gland) > 0.95


def test_a_slice_segmenter_without_a_strict_mask_repairs(phantom):
    volume, _, organ = phantom

    def whole(slices, index, positive, negative, *, spacing, prior):
        return prior.copy() if prior.any() else organ[index].copy()

    clicks = session(volume, slice_segmenter=whole)
    before = clicks.segment([FIRST]).label_map == 1
    after = clicks.segment([FIRST, Click(3, 32, 38, "gland", False)]).label_map == 1
    rows, columns = np.nonzero(before[3] & ~after[3])
    # Half of the way to the click that says the opposite, 6 pixels away, and no whole part.
    assert 2 <= np.hypot(rows - 32, columns - 38).max() < 3


@pytest.mark.parametrize(("height", "width", "taken"), [(52, 8, True), (52, 40, False), (2, 3, False)])
def test_a_mask_made_anew_that_keeps_most_of_the_label_or_nothing_but_the_click_is_not_taken(height, width, taken):
    """It would be no other structure, and a repair leaves more of what the user did not complain of."""
    mask = np.zeros((3, SIZE, SIZE), bool)
    mask[:, 4:60, 4:60] = True

    class Strict:
        def __call__(self, slices, index, positive, negative, *, spacing, prior):
            raise AssertionError

        def strict_mask(self, slices, index, clicks, *, spacing, strictness):
            part = np.zeros((SIZE, SIZE), bool)
            part[8 : 8 + height, 4 : 4 + width] = True
            return part

    class Follow:
        def follow(self, known):
            (part,) = known.values()
            whole = np.broadcast_to(part, mask.shape).copy()
            return Tracked(whole, whole.astype(np.float32))

    first, wrong = Click(1, 8, 6, "gland"), Click(1, 32, 50, "gland", False)
    choice = FirstChoice(torch.zeros(3, 1, SIZE, SIZE), Follow(), Strict(), (1.0, 1.0, 1.0))
    found = choice.again(mask, [first, wrong], [wrong], strictness=0)
    assert (found is not None) == taken
