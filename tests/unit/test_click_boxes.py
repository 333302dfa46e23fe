"""Boxes: what is inside and unlike the outside, wherever the middle of the box is."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from shades_of_gray import SIZE, arguments, network

from protoseg.engine.clicks.box import Box
from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.segmentation import ClickSegmentation
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.errors import InputError


def bent():
    """A horseshoe on slices 2..8 of 10, of the shade of which there is more elsewhere; its mask (S, H, W)."""
    slices, rows, columns = np.mgrid[:10, :SIZE, :SIZE]
    distance = np.hypot(rows - 26, columns - 24)
    mask = (distance > 9) & (distance < 17) & (rows < 34) & (abs(slices - 5) < 4)
    alike = (rows > 52) & (columns > 6)
    image = 1.0 * (mask | alike) + 2.0 * ((distance < 5) & (rows < 60))
    volume = torch.from_numpy(image).float().permute(2, 1, 0)[None]
    return MetaTensor(volume, affine=torch.diag(torch.tensor([-3.0, -3.0, 4.0, 1.0]))), mask


def around(mask, index=5, margin=2):
    """The box around a mask on a slice."""
    rows, columns = np.flatnonzero(mask[index].any(1)), np.flatnonzero(mask[index].any(0))
    places = rows[0] - margin, columns[0] - margin, rows[-1] + margin, columns[-1] + margin
    return Box(index, *map(int, places), "ball")


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def session(volume, **others):
    return ClickSegmentation(volume, SliceEncoder(network(), SIZE), **arguments(**others))


def test_a_box_finds_a_bent_structure_that_its_middle_is_beside():
    volume, mask = bent()
    box = around(mask)
    assert not mask[5, (box.top + box.bottom) // 2, (box.left + box.right) // 2]
    prediction = session(volume).segment([], [box])
    found = prediction.label_map == 5
    assert dice(found[5], mask[5]) > 0.9
    assert not found[5, : box.top].any() and not found[5, box.bottom + 1 :].any()
    assert prediction.findings["ball"].support_slice.slice_index == 5


def test_a_box_is_taken_back_and_corrected_like_clicks():
    volume, mask = bent()
    box, here = around(mask), session(volume)
    alone = here.segment([], [box]).label_map
    beside = Click(5, 26, 24, "ball", positive=False)
    np.testing.assert_array_equal(here.segment([beside], [box]).label_map, alone)
    row, column = np.argwhere(alone[5] == 5)[0]
    less = here.segment([Click(5, int(row), int(column), "ball", positive=False)], [box]).label_map
    assert (less == 5).sum() < (alone == 5).sum() and less[5, row, column] == 0
    np.testing.assert_array_equal(here.segment([], [box]).label_map, alone)
    with pytest.raises(InputError, match="Nothing is clicked on yet"):
        here.segment([], [])


def test_clicks_and_boxes_correct_what_was_accepted_before():
    volume, mask = bent()
    accepted = (mask & (np.arange(SIZE) < 24)).astype(np.uint8)
    here = session(volume, accepted=accepted)
    np.testing.assert_array_equal(here.segment([]).label_map == 5, accepted > 0)
    better = here.segment([], [around(mask)]).label_map == 5
    assert dice(better[5], mask[5]) > dice(accepted[5] > 0, mask[5]) + 0.1
    assert not (accepted.astype(bool) & ~better).any(), "a box only adds"
    beside = here.segment([Click(5, 60, 30, "ball", positive=False)])
    assert beside.findings.keys() == {"ball"} and beside.findings["ball"].support_slice is not None
    with pytest.raises(InputError, match="Nothing is clicked on yet"):  # of what was accepted, nothing is in the volume
        session(volume, accepted=np.zeros_like(accepted)).segment([Click(5, 60, 30, "ball", positive=False)])


def test_a_box_of_a_thin_structure_is_never_empty():
    volume, _ = bent()
    found = session(volume).segment([], [Box(5, 40, 40, 40, 41, "ball")]).label_map
    assert (found[5] == 5).any()


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (Box(10, 1, 1, 5, 5, "ball"), "Box 1 is on slice 10, rows 1 to 5, columns 1 to 5, which is not inside"),
        (Box(5, 5, 1, 4, 5, "ball"), "rows 5 to 4"),
        (Box(5, 1, -1, 5, 5, "ball"), "columns -1 to 5"),
        (Box(5, 1, 1, 5, SIZE, "ball"), "not inside the volume of 10 slices of 64 rows and 64 columns"),
        (Box(5, 1, 1, 5, 5, "cube"), "Box 1 is of the label 'cube'; the labels are ball, rod."),
    ],
)
def test_a_box_that_cannot_be_used_is_refused(box, message):
    with pytest.raises(InputError, match=message):
        session(bent()[0]).segment([], [box])
