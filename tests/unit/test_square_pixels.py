import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from protoseg.data.preprocessing.square_pixels import SquarePixels, SquarePixelsd
from protoseg.data.preprocessing.transforms import Preprocessing
from protoseg.workflows.invert import InvertLabelMapd


def scan(size: tuple[int, ...], spacing: tuple[float, ...], dtype: torch.dtype = torch.float32) -> MetaTensor:
    voxels = torch.randint(0, 9, (1, *size), generator=torch.Generator().manual_seed(0)).to(dtype)
    affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([5.0, -7.0, 11.0])
    return MetaTensor(voxels, affine=affine)


def test_pixels_take_the_smaller_spacing_and_stay_in_place() -> None:
    image = scan((6, 2, 3), (1, 4, 5))
    image[:] = torch.tensor([0.0, 8.0])[None, None, :, None]
    squared = SquarePixels()(image)
    assert squared.shape == (1, 6, 8, 3)
    assert squared[0, 0, :, 0].tolist() == [0, 0, 1, 3, 5, 7, 8, 8]
    assert squared.affine[:3, :3].diag().tolist() == [1, 1, 5]
    assert squared.affine[:3, 3].tolist() == [5, -8.5, 11]  # centre of the first pixel: 1.5 mm further out


@pytest.mark.parametrize("spacing", [(1, 1, 5), (0.7, 0.7069, 5), (3, 3, 0.5)])
def test_square_pixels_are_left_alone(spacing: tuple[float, ...]) -> None:
    image = scan((6, 5, 3), spacing)
    squared = SquarePixels()(image)
    assert torch.equal(squared.as_tensor(), image.as_tensor())
    assert torch.equal(squared.affine, image.affine)
    labels = scan((6, 5, 3), spacing, torch.int16)
    assert SquarePixels("nearest")(labels).dtype == torch.int16


@settings(deadline=None, max_examples=30)
@given(size=st.tuples(*[st.integers(1, 12)] * 3), spacing=st.tuples(*[st.floats(0.3, 8)] * 3))
def test_labels_come_back_exactly(size: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    labels = scan(size, spacing, torch.int16)
    transform = SquarePixels("nearest")
    squared = transform(labels)
    back = transform.inverse(squared)
    assert torch.equal(back.as_tensor(), labels.as_tensor())
    assert back.dtype == torch.int16
    torch.testing.assert_close(back.affine, labels.affine)
    assert not back.applied_operations


def test_a_prediction_is_inverted_to_the_native_grid() -> None:
    before = Preprocessing([SquarePixelsd(("image", "label"), ("bilinear", "nearest"), allow_missing_keys=True)])
    image, labels = scan((20, 8, 4), (1, 4, 3)), scan((20, 8, 4), (1, 4.03, 3), torch.int16)  # nearly one grid
    item = before({"image": image, "label": labels})
    assert item["image"].shape == item["label"].shape == (1, 20, 32, 4)
    assert item["label"].unique().tolist() == labels.unique().tolist()
    stripe = torch.zeros(1, 20, 32, 4)
    stripe[:, :, 13:15] = 1  # the two middle pixels of the four that pixel 3 became
    item["pred"] = MetaTensor(stripe)
    item = InvertLabelMapd(("pred", "label"), before, orig_keys=("image", "label"))(item)
    assert torch.equal(item["label"].as_tensor(), labels.as_tensor())
    assert item["pred"].shape == image.shape
    assert item["pred"].any(dim=1)[0, :, 0].nonzero().flatten().tolist() == [3]
    torch.testing.assert_close(item["pred"].affine, image.affine)
