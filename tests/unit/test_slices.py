"""Slices of the network's size and the way back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from protoseg.errors import InputError
from protoseg.ops.slices import (
    axial_slices,
    fit_slices,
    neighbour_indices,
    neighbours,
    three_channels,
    unfit_slices,
    volume_from_slices,
)


def test_rows_are_y_and_columns_are_x() -> None:
    volume = MetaTensor(torch.arange(2 * 3 * 4).reshape(1, 2, 3, 4))  # C X Y Z
    slices = axial_slices(volume)
    assert type(slices) is torch.Tensor
    assert slices.shape == (4, 1, 3, 2)
    assert slices[3, 0, 2, 1] == volume[0, 1, 2, 3]
    assert torch.equal(volume_from_slices(slices), volume.as_tensor())


def test_picture_is_a_volume_of_one_slice() -> None:
    assert axial_slices(torch.zeros(3, 20, 10, 1)).shape == (1, 3, 10, 20)


def test_padding_is_centred_with_the_slices_own_minimum() -> None:
    slices = torch.tensor([[[[5.0, 6.0, 7.0]]], [[[-1.0, 0.0, 1.0]]]])
    fitted = fit_slices(slices, 3)
    assert fitted[0, 0].tolist() == [[5, 5, 5], [5, 6, 7], [5, 5, 5]]
    assert fitted[1, 0].tolist() == [[-1, -1, -1], [-1, 0, 1], [-1, -1, -1]]
    assert fit_slices(slices.int(), 3, "nearest")[0, 0].tolist() == [[0, 0, 0], [5, 6, 7], [0, 0, 0]]


def test_labels_keep_type_and_values() -> None:
    labels = torch.tensor([[[[1, 9], [4, 2]]]], dtype=torch.int16)
    fitted = fit_slices(labels, 4, "nearest")
    assert fitted.dtype == torch.int16
    assert fitted[0, 0].tolist() == [[1, 1, 9, 9], [1, 1, 9, 9], [4, 4, 2, 2], [4, 4, 2, 2]]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_fit_and_unfit_without_a_change_of_scale_are_the_identity(height: int, width: int, seed: int) -> None:
    labels = torch.randint(0, 200, (2, 1, height, width), generator=torch.manual_seed(seed), dtype=torch.uint8)
    size = max(height, width)
    back = unfit_slices(fit_slices(labels, size, "nearest"), height, width, "nearest")
    assert torch.equal(back, labels)
    image = labels.float()
    assert torch.equal(unfit_slices(fit_slices(image, size), height, width), image)


@settings(deadline=None, max_examples=30)
@given(
    height=st.integers(90, 200),
    width=st.integers(90, 200),
    size=st.integers(112, 256),
    radius=st.floats(0.6, 0.9),
    mode=st.sampled_from(["bilinear", "nearest"]),
)
def test_a_large_blob_survives_the_round_trip(height: int, width: int, size: int, radius: float, mode: str) -> None:
    rows, columns = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    blob = (rows**2 + columns**2 < radius**2)[None, None].float()
    back = unfit_slices(fit_slices(blob, size, mode), height, width, mode) > 0.5
    assert 2 * (back & (blob > 0)).sum() / (back.sum() + blob.sum()) > 0.97


def test_neighbours_repeat_at_the_ends() -> None:
    slices = torch.arange(4.0).reshape(4, 1, 1, 1)
    assert neighbours(slices, 0).flatten().tolist() == [0, 0, 1]
    assert neighbours(slices, 2).flatten().tolist() == [1, 2, 3]
    assert neighbours(slices, 3).flatten().tolist() == [2, 3, 3]
    assert neighbours(slices, 1, count=5).flatten().tolist() == [0, 0, 1, 2, 3]
    assert neighbour_indices(0, total=1) == [0, 0, 0]


def test_three_channels() -> None:
    assert three_channels(torch.ones(5, 1, 2, 2)).shape == (5, 3, 2, 2)
    color = torch.rand(3, 2, 2)
    assert torch.equal(three_channels(color), color)


def test_channels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"^The image has 2 channels, expected 1 \(gray\) or 3 \(RGB\)"):
        three_channels(torch.zeros(2, 4, 4))
    with pytest.raises(InputError, match=r"^Adjacent slices need a volume of one channel, found 3 channels\.$"):
        neighbours(torch.zeros(5, 3, 4, 4), 2)
