"""The refiner, with stubs for SAM's networks: what is asked for, where it lies, what becomes of the answers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from protoseg.engine.clicks.click import Click
from protoseg.engine.refiners.refiner import CoarseSegmentation
from protoseg.engine.refiners.sam import SamRefiner
from protoseg.engine.refiners.sam_prompts import PromptSettings
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.ops.slices import fit_slices
from protoseg.sam.decoder import TokenKind
from protoseg.sam.model import Sam, SamImageEncoder

SIZE = 512  # of SAM's input
ISOTROPIC = (1.0, 1.0, 1.0)


class StubEncoder(nn.Module):
    """Counts the images it gets; their embeddings say nothing."""

    image_size = SIZE

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.calls = 0

    def forward(self, images):
        assert images.shape[1:] == (3, SIZE, SIZE)
        self.calls += len(images)
        return torch.zeros(len(images), 4, SIZE // 16, SIZE // 16)


class StubDecoder(nn.Module):
    """Fills the box, or a square around the first point, grown by some pixels; other candidates are worse.

    Candidates: everything (which it is most sure of), the box, nothing, the left half of the box.
    """

    def __init__(self, pixel, grow=0):
        super().__init__()
        self.pixel = torch.tensor(pixel)  # width and height of a slice's pixel in the input
        self.grow = grow
        self.asked = []

    def forward(self, embedding, coordinates, kinds, masks):
        self.asked.append((coordinates, kinds, masks))
        centres = (torch.arange(SIZE // 4) + 0.5) * 4
        logits = []
        for places, kind in zip(coordinates, kinds):
            if (kind == TokenKind.BOX_START).any():
                low, high = places[kind == TokenKind.BOX_START][0], places[kind == TokenKind.BOX_END][0] + self.pixel
            else:
                first = places[kind == TokenKind.POSITIVE][0]
                low, high = first - 2 * self.pixel, first + 3 * self.pixel
            low, high = low - self.grow * self.pixel, high + self.grow * self.pixel
            inside = [torch.minimum(centres - low[axis], high[axis] - centres) for axis in (0, 1)]
            box = torch.minimum(inside[0][None], inside[1][:, None])
            half = torch.minimum(box, (low + high)[0] / 2 - centres[None])
            logits.append(torch.stack([torch.full_like(box, 9.0), box, torch.full_like(box, -9.0), half]))
        return torch.stack(logits), torch.tensor([[1.0, 0.5, 0.5, 0.5]]).expand(len(kinds), -1)


def stub_sam(shape, *, medsam=False, grow=0):
    """A `Sam` with its own frames and prompts, and stubs for networks."""
    sam = Sam.__new__(Sam)
    nn.Module.__init__(sam)
    sam.boxes_only = medsam
    encoder = SamImageEncoder.__new__(SamImageEncoder)
    nn.Module.__init__(encoder)
    encoder.medsam, encoder.precision, encoder.network = medsam, "float32", StubEncoder()
    encoder._fingerprint = "stub"
    encoder.register_buffer("pixel_mean", torch.zeros(3, 1, 1))
    encoder.register_buffer("pixel_std", torch.ones(3, 1, 1))
    sam.encoder = encoder
    rows, columns = sam.frame(*shape).fitted
    sam.decoder = StubDecoder((columns / shape[1], rows / shape[0]), grow)
    if medsam:
        sam.decoder.register_forward_hook(lambda _, __, output: tuple(part[:, 1:] for part in output))
    return sam


LIVER_AND_SPLEEN = LabelSet({"liver": 1, "spleen": 2})


def coarse_segmentation(label_map, labels=LIVER_AND_SPLEEN):
    """A label map as if the matching were rather sure of it."""
    classes = torch.arange(1 + len(labels))[None, :, None, None]
    one_hot = (torch.from_numpy(label_map)[:, None] == classes).float()
    square = fit_slices(one_hot, 32) * 0.9 + 0.05
    return CoarseSegmentation(label_map, square.log().half(), labels)


def images_for(label_map):
    noise = torch.randn(len(label_map), 1, *label_map.shape[1:], generator=torch.Generator().manual_seed(0))
    return noise + torch.from_numpy(label_map)[:, None]


def drawn(shape=(3, 48, 64)):
    """A liver in two parts and a spleen on the middle slice, a spleen on the last."""
    label_map = np.zeros(shape, np.uint8)
    label_map[1, 4:20, 5:25] = 1
    label_map[1, 30:37, 8:15] = 1
    label_map[1, 10:31, 30:39] = 2
    label_map[2, 12:25, 20:36] = 2
    return label_map


def refine(sam, label_map, clicks=(), spacing=ISOTROPIC, **settings):
    refiner = SamRefiner(sam=sam, **settings)
    return refiner.refine(images_for(label_map), coarse_segmentation(label_map), spacing=spacing, clicks=clicks)


@pytest.mark.parametrize("spacing", [ISOTROPIC, (5.0, 0.7, 1.9)])
@pytest.mark.parametrize("medsam", [False, True])
@pytest.mark.parametrize("shape", [(3, 48, 64), (3, 64, 48), (3, 40, 40), (3, 51, 127)])
def test_masks_that_fill_their_boxes_come_back_to_the_right_voxels(shape, medsam, spacing):
    sam = stub_sam(shape[1:], medsam=medsam)
    refined = refine(sam, drawn(shape), spacing=spacing)
    np.testing.assert_array_equal(refined.label_map, drawn(shape))
    assert refined.notes == {}
    assert sam.encoder.network.calls == 2  # one embedding for each slice that holds a label
    assert [len(kinds) for _, kinds, _ in sam.decoder.asked] == [3, 1]  # and one batch for all prompts of it


@settings(deadline=None, max_examples=20)
@given(st.tuples(*[st.integers(0, 30)] * 2), st.tuples(*[st.integers(4, 17)] * 2), st.booleans())
def test_any_box_comes_back(corner, extent, medsam):
    label_map = np.zeros((1, 48, 60), np.uint8)
    label_map[0, corner[0] : corner[0] + extent[0], corner[1] : corner[1] + extent[1]] = 2
    refined = refine(stub_sam((48, 60), medsam=medsam), label_map)
    np.testing.assert_array_equal(refined.label_map, label_map)


@pytest.mark.parametrize("shape", [(1, 48, 64), (1, 64, 48)])
def test_masks_around_points_come_back_to_the_right_voxels(shape):
    label_map = np.zeros(shape, np.uint8)
    label_map[0, 20:25, 30:35] = 1
    settings = PromptSettings(box=False, points="centroid", negatives=0, mask=False)
    refined = refine(stub_sam(shape[1:]), label_map, prompts=settings)
    np.testing.assert_array_equal(refined.label_map, label_map)


def test_what_is_asked_for():
    sam = stub_sam((48, 64))
    refine(sam, drawn())
    coordinates, kinds, masks = sam.decoder.asked[1]
    scale = SIZE / 64
    kind = kinds[0].tolist()
    assert kind.count(TokenKind.POSITIVE) == 8
    assert kind.count(TokenKind.NEGATIVE) == 1
    assert kind[-2:] == [TokenKind.BOX_START, TokenKind.BOX_END]
    assert coordinates[0, -2:].tolist() == [[20 * scale, 12 * scale], [35 * scale, 24 * scale]]
    positive = coordinates[0][kinds[0] == TokenKind.POSITIVE] / scale
    assert ((positive >= torch.tensor([20, 12])) & (positive <= torch.tensor([35, 24]))).all()
    x, y = coordinates[0][kinds[0] == TokenKind.NEGATIVE][0] / scale
    assert 10 <= x <= 45 and 2 <= y <= 34 and not (20 <= x <= 35 and 12 <= y <= 24)
    mask = masks[0]
    inside = (mask > 0).nonzero() / (SIZE / 4 / 64)  # rows and columns of the slice
    assert mask.shape == (SIZE // 4, SIZE // 4)
    assert set(mask[mask <= 0].tolist()) == {-2.0}
    assert inside.amin(0).tolist() == pytest.approx([12, 20], abs=1)
    assert inside.amax(0).tolist() == pytest.approx([24.5, 35.5], abs=1)


def test_embeddings_are_kept():
    sam, label_map = stub_sam((48, 64)), drawn()
    refiner = SamRefiner(sam=sam)
    for _ in range(2):
        refiner.refine(images_for(label_map), coarse_segmentation(label_map), spacing=ISOTROPIC)
    assert sam.encoder.network.calls == 2


def test_an_empty_mask_stays_empty_and_costs_nothing():
    sam = stub_sam((48, 64))
    refined = refine(sam, np.zeros((3, 48, 64), np.uint8))
    assert not refined.label_map.any()
    assert sam.encoder.network.calls == 0


def test_a_mask_that_went_too_far_is_refused():
    label_map = drawn()
    refined = refine(stub_sam((48, 64), grow=7), label_map)
    np.testing.assert_array_equal(refined.label_map[1] == 1, label_map[1] == 1)
    assert refined.notes["liver"] == "not refined where SAM went too far (1 of 1 slices)"
    daring = refine(stub_sam((48, 64), grow=7), label_map, min_dice=0.0)
    assert daring.notes == {}
    assert (daring.label_map[1] == 1).sum() > 2 * (label_map[1] == 1).sum()


def test_labels_compete_where_masks_overlap():
    label_map = np.zeros((1, 48, 64), np.uint8)
    label_map[0, 10:30, 10:24] = 1
    label_map[0, 10:30, 24:40] = 2
    refined = refine(stub_sam((48, 64), grow=2), label_map).label_map
    np.testing.assert_array_equal(refined[0, 8:32, 8:23], 1)
    np.testing.assert_array_equal(refined[0, 8:32, 25:42], 2)
    assert (refined > 0).sum() == 24 * 34


def test_clicks_have_the_last_word():
    label_map = drawn()
    clicks = [
        Click(2, 27, 40, "spleen"),  # near the spleen: its box grows
        Click(2, 14, 22, "spleen", False),
        Click(0, 20, 20, "liver"),  # on a slice without labels: a part of its own
        Click(0, 40, 60, "liver", False),
        Click(0, 2, 2, "liver", False),
    ]
    refined = refine(stub_sam((48, 64)), label_map, clicks).label_map
    np.testing.assert_array_equal(refined[1], label_map[1])
    expected = np.zeros((48, 64), np.uint8)
    expected[18:23, 18:23] = 1
    np.testing.assert_array_equal(refined[0], expected)
    expected[:] = 0
    expected[12:28, 20:41] = 2
    expected[14, 22] = 0
    np.testing.assert_array_equal(refined[2], expected)


def test_clicks_reach_sam_as_points():
    sam = stub_sam((48, 64))
    clicks = [Click(2, 13, 21, "spleen", False), Click(2, 30, 60, "liver")]
    refine(sam, drawn(), clicks)
    (coordinates, kinds, _) = sam.decoder.asked[-1]
    points = {
        (kind, x, y)
        for row, kind_row in zip((coordinates / 8).tolist(), kinds.tolist())
        for (x, y), kind in zip(row, kind_row)
    }
    assert {(0, 21, 13), (0, 60, 30), (1, 60, 30)} <= points
    assert len(kinds) == 2


def test_clicks_that_agree_with_the_coarse_mask_leave_the_guard_on():
    label_map = drawn()
    agreeing = [Click(2, 18, 28, "spleen"), Click(2, 3, 3, "spleen", False)]
    refined = refine(stub_sam((48, 64), grow=7), label_map, agreeing)
    np.testing.assert_array_equal(refined.label_map[2], label_map[2])
    assert "(2 of 2 slices)" in refined.notes["spleen"]
    refined = refine(stub_sam((48, 64), grow=7), label_map, [Click(2, 18, 28, "spleen", False)])
    assert "(1 of 2 slices)" in refined.notes["spleen"]
    assert refined.label_map[2, 18, 28] == 0
    assert (refined.label_map[2] != label_map[2]).sum() > 100


def test_a_click_wins_over_a_label_that_the_matching_was_sure_of():
    label_map = np.zeros((1, 48, 64), np.uint8)
    label_map[0, 10:30, 10:30] = 1
    label_map[0, 10:30, 30:50] = 2
    refined = refine(stub_sam((48, 64)), label_map, [Click(0, 20, 34, "liver")]).label_map
    assert (refined[0, 10:30, 10:34] == 1).all()
    assert (refined[0, 10:30, 36:50] == 2).all()


@pytest.mark.parametrize(
    ("click", "message"),
    [
        (
            Click(3, 0, 0, "liver"),
            "slice 3, row 0, column 0, which is outside the volume of 3 slices of 48 rows and 64",
        ),
        (Click(0, 48, 0, "liver"), "row 48, column 0, which is outside"),
        (Click(0, 0, -1, "liver"), "column -1, which is outside"),
        (Click(0, 0, 0, "kidney"), "on the label 'kidney'; the labels are liver, spleen"),
    ],
)
def test_clicks_that_cannot_be(click, message):
    with pytest.raises(InputError, match=message):
        refine(stub_sam((48, 64)), drawn(), [click])


def test_medsam_is_asked_by_boxes_only():
    with pytest.raises(InputError, match="MedSAM takes boxes only"):
        SamRefiner(sam=stub_sam((48, 64), medsam=True), prompts=PromptSettings())
    sam = stub_sam((48, 64), medsam=True)
    with pytest.raises(InputError, match="MedSAM got 1 clicks; it takes boxes only"):
        refine(sam, drawn(), [Click(1, 5, 5, "liver")])
    assert sam.encoder.network.calls == 0
    refine(sam, drawn())
    assert set(sam.decoder.asked[0][1].flatten().tolist()) == {TokenKind.BOX_START, TokenKind.BOX_END}
    with pytest.raises(InputError, match="neither boxes nor points"):
        PromptSettings(box=False, points="none")
