"""Labels that cover their patches in part are found all the same, with the area that they are drawn with."""

import pytest
import torch
import torch.nn.functional as F

from protoseg.engine.clicks.mask_propagation import MaskPropagator
from protoseg.errors import InputError
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.matching.small_labels import LEAST_SHARE, area_log_odds

PATCHES = (16, 16)  # of 8 x 8 pixels


def mask(rows: slice, columns: slice) -> torch.Tensor:
    drawn = torch.zeros(128, 128)
    drawn[rows, columns] = 1
    return drawn


LARGE = mask(slice(20, 90), slice(30, 100))
VESSEL = mask(slice(58, 63), slice(58, 63))
THREAD = mask(slice(10, 110), slice(50, 52))
ROWS, COLUMNS = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
AWAY = ((ROWS - 64) ** 2 + (COLUMNS - 60) ** 2).sqrt()
POOL, WALL = (AWAY < 24).float(), ((AWAY >= 24) & (AWAY < 28)).float()


def areas(masks: torch.Tensor, log_odds: torch.Tensor) -> list[int]:
    """Count the pixels that labels (L, H, W) win, seen in patches and raised."""
    drawn = torch.cat([1 - masks.sum(0, keepdim=True), masks])
    logits = (F.adaptive_avg_pool2d(drawn, PATCHES) + LEAST_SHARE).log()
    raised = logits + torch.cat([torch.zeros(1), log_odds])[:, None, None]
    winners = F.interpolate(raised[None], (128, 128), mode="bilinear")[0].argmax(0)
    return torch.bincount(winners.flatten(), minlength=len(drawn))[1:].tolist()


@pytest.mark.parametrize(
    "masks", [[LARGE], [VESSEL], [THREAD], [POOL, WALL]], ids=["large", "vessel", "thread", "a pool and its wall"]
)
def test_raised_by_that_labels_have_their_areas(masks: list[torch.Tensor]) -> None:
    labels = torch.stack(masks)
    [log_odds] = area_log_odds(labels[None, :, None], PATCHES)
    drawn = labels.flatten(1).sum(1).tolist()
    for before, after, true in zip(areas(labels, torch.zeros(len(labels))), areas(labels, log_odds), drawn):
        assert abs(after - true) <= max(0.1 * true, abs(before - true))


def test_small_and_thin_labels_lack_more_than_large_ones() -> None:
    large, vessel, thread = (float(area_log_odds(one[None, None, None], PATCHES)) for one in (LARGE, VESSEL, THREAD))
    assert abs(large) < 0.1
    assert large + 0.5 < min(vessel, thread)


def test_what_is_drawn_nowhere_lacks_nothing() -> None:
    log_odds = area_log_odds(torch.stack([VESSEL, torch.zeros(128, 128)])[None, :, None], PATCHES)
    assert log_odds[0, 1] == 0
    assert log_odds[0, 0] > 0.1
    assert not area_log_odds(torch.zeros(1, 2, 3, 128, 128), PATCHES).any()


def test_masks_that_overlap_all_the_same_give_numbers() -> None:
    assert area_log_odds(torch.stack([LARGE, VESSEL, POOL])[None, :, None], PATCHES).isfinite().all()


def test_slices_without_a_label_change_nothing() -> None:
    alone = area_log_odds(VESSEL[None, None, None], PATCHES)
    among = area_log_odds(torch.stack([torch.zeros(128, 128), VESSEL])[None, None], PATCHES)
    torch.testing.assert_close(alone, among)


def gray_features(drawn: torch.Tensor) -> torch.Tensor:
    """Features (1, 1, 2, h, w) of a slice on which a label is bright: one direction for dark, one for bright."""
    shares = F.adaptive_avg_pool2d(drawn[None, None], PATCHES)
    return torch.stack([1 - shares, 4 * shares], dim=2)


def found(matching: KernelMatching, drawn: torch.Tensor) -> torch.Tensor:
    features = gray_features(drawn)
    return matching.match(features, matching.build(features, drawn[None, None, None]))[0, 0].softmax(0)[1]


@pytest.mark.parametrize("drawn", [LARGE, VESSEL], ids=["large", "vessel"])
def test_small_labels_are_raised_but_not_in_training(drawn: torch.Tensor) -> None:
    plain = found(KernelMatching(area_correction=0.0).eval(), drawn)
    torch.testing.assert_close(found(KernelMatching(), drawn), plain, rtol=0, atol=0)
    gain = (found(KernelMatching().eval(), drawn) - plain).abs().max()
    assert gain > 0.05 if drawn is VESSEL else gain < 0.05


def test_a_label_keeps_what_raises_it_when_it_is_taken_alone() -> None:
    masks = torch.stack([LARGE * (1 - VESSEL), VESSEL])[None, :, None]
    prototypes = KernelMatching().eval().build(gray_features(VESSEL), masks)
    assert prototypes.emphasis is not None
    torch.testing.assert_close(prototypes.only(1).emphasis, prototypes.emphasis[:, [1]])


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InputError, match=f"area_correction of KernelMatching is {share}; it must lie between 0 and 1"):
        KernelMatching(area_correction=share)


def test_a_vessel_is_followed_through_the_slices() -> None:
    slices = VESSEL.expand(5, 1, 128, 128).clone()
    slices[4] = 0
    features = torch.cat([gray_features(one[0])[0] for one in slices])
    tracker = MaskPropagator(slices, features, KernelMatching().eval(), spacing=(1.0, 1.0))
    followed = tracker.follow({0: VESSEL.numpy() > 0}).mask
    for one in followed[:4]:
        assert 2 * (one & (VESSEL.numpy() > 0)).sum() / (one.sum() + VESSEL.sum()) > 0.75
    assert not followed[4].any()
