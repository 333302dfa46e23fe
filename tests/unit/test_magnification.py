"""How far slices are enlarged for what is labelled on them."""

import pytest
import torch

from protoseg.engine.magnification import MagnifyToFit, input_size, shown_dice
from protoseg.errors import InputError

STRIDE, SIZE = 8, 64


def mask(line: int, *, pixels: int = 256) -> torch.Tensor:
    """A vertical line so many pixels wide in a square slice."""
    drawn = torch.zeros(1, pixels, pixels, dtype=torch.uint8)
    drawn[:, :, pixels // 2 : pixels // 2 + line] = 1
    return drawn


def size_for(masks: torch.Tensor, *, is_picture: bool, labels: int = 1, stride: int = STRIDE) -> int:
    return input_size(MagnifyToFit(stride), masks, labels, image_size=SIZE, is_picture=is_picture)


def test_what_is_wider_than_a_patch_needs_no_magnification():
    assert size_for(mask(128), is_picture=True) == SIZE


@pytest.mark.parametrize(("width", "size"), [(64, 64), (24, 96), (12, 192), (1, 256)])
def test_the_thinner_the_finer(width, size):
    assert size_for(mask(width), is_picture=True) == size


def test_a_volume_is_not_magnified():
    assert size_for(mask(1), is_picture=False) == SIZE


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_size_is_a_multiple_of_the_stride(stride):
    assert size_for(mask(1), is_picture=True, stride=stride) % stride == 0


def test_what_a_feature_map_shows_grows_with_its_size():
    shown = [shown_dice(mask(12), 1, size=size, stride=STRIDE) for size in (64, 128, 256)]
    assert shown == sorted(shown)
    assert shown[0] == 0
    assert shown[-1] > 0.9


def test_labels_that_are_not_there_do_not_count():
    assert shown_dice(mask(128), 3, size=SIZE, stride=STRIDE) == shown_dice(mask(128), 1, size=SIZE, stride=STRIDE)
    assert shown_dice(torch.zeros(1, 9, 9, dtype=torch.uint8), 1, size=SIZE, stride=STRIDE) == 1


def test_a_factor_is_taken_as_it_is():
    assert input_size(1.5, mask(1), 1, image_size=SIZE, is_picture=False) == 96
    with pytest.raises(InputError, match=r"magnification is 0.5; it must lie between 1 and 8."):
        input_size(0.5, mask(1), 1, image_size=SIZE, is_picture=True)
