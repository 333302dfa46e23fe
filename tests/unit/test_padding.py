"""Padding far below everything else makes no CT of an MR, and spoils no scale."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from protoseg.data.preprocessing.intensity import CropBodyd, NormalizeByModalityd
from protoseg.data.preprocessing.modality import modality_of
from protoseg.data.preprocessing.padding import padding_value, without_padding
from protoseg.data.preprocessing.square_pixels import SquarePixelsd
from protoseg.data.preprocessing.transforms import LoadVolumed, Preprocessing

PADDINGS = [-32768, -2000, -1000, -1]


def mr(padding: float | None = None) -> MetaTensor:
    """A body of 24 x 24 voxels, dark outside, in an image of 40 x 40 whose border of 4 voxels is padding."""
    random = np.random.default_rng(0)
    voxels = random.rayleigh(8, (40, 40, 4)).round()
    voxels[8:32, 8:32] += random.normal(400, 60, (24, 24, 4)).round()
    if padding is not None:
        border = np.pad(np.zeros((32, 32), bool), 4, constant_values=True)
        voxels[border] = padding
    return MetaTensor(torch.tensor(voxels[None], dtype=torch.float32), affine=np.diag([10.0, 10, 10, 1]))


def ct(air: float = -1000.0) -> MetaTensor:
    """A body of water and fat in noisy air."""
    image = mr()
    image[:, :8] = image[:, 32:] = image[:, :, :8] = image[:, :, 32:] = air
    image[:, 8:32, 8:32] = (image[:, 8:32, 8:32] - 400).clip(-160)
    return image


@pytest.mark.parametrize("padding", PADDINGS)
def test_padding_makes_no_ct_of_an_mr(padding: float) -> None:
    image = mr(padding)
    assert modality_of(image) == "mr"
    assert padding_value(image) == padding
    filled = without_padding(image)
    assert torch.equal(filled[image > padding], image[image > padding])
    assert (filled[image == padding] == image[image > padding].min()).all()


@pytest.mark.parametrize("padding", PADDINGS)
def test_padding_spoils_neither_scale_nor_crop(tmp_path: Path, padding: float) -> None:
    """Pixels that are not square are interpolated before the intensities are scaled."""
    results = []
    for number, image in enumerate((mr(padding), without_padding(mr(padding)))):
        affine = np.diag([10.0, 6, 10, 1])
        nibabel.save(nibabel.Nifti1Image(image[0].numpy(), affine), tmp_path / f"{number}.nii")
        steps = [LoadVolumed("image"), CropBodyd("image"), SquarePixelsd("image"), NormalizeByModalityd("image")]
        results.append(Preprocessing(steps)({"image": tmp_path / f"{number}.nii"})["image"].as_tensor())
    assert torch.equal(*results)
    assert results[0].max() > 1 and results[0].min() < -0.5, "tissue and background are apart"


@pytest.mark.parametrize("padding", [-32768, -3024, -2000, -1024])
def test_padded_ct_is_ct(padding: float) -> None:
    image = ct()
    image[:, :2] = padding
    assert modality_of(image) == "ct"


def test_ct_whose_surroundings_were_masked_is_ct() -> None:
    assert modality_of(ct(-1000)) == "ct", "one value outside the body, but fat within it"


def test_an_image_of_a_few_values_is_a_phantom() -> None:
    image = torch.tensor([-1000.0, 20, 100, 180]).repeat(64).reshape(1, 16, 16, 1)
    assert padding_value(image) is None
    assert modality_of(MetaTensor(image)) == "ct"


@pytest.mark.parametrize(("said", "modality"), [("MR", "mr"), ("CT", "ct"), ("mr", "mr"), ("OT", "ct"), ("", "ct")])
def test_what_a_series_says_of_itself_is_trusted(said: str, modality: str) -> None:
    image = ct()
    image.meta["modality"] = said
    assert modality_of(image) == modality
    assert modality_of(image, "mr") == "mr", "unless the user says otherwise"


def test_nothing_is_padding_in_an_image_without_negative_values() -> None:
    image = mr()
    assert padding_value(image) is None
    assert without_padding(image) is image
