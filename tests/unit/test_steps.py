"""The preprocessing without MONAI: the voxels, places and keys that MONAI's transforms give, bit for bit."""

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import NormalizeIntensity, Resize, ScaleIntensityRange, ScaleIntensityRangePercentiles
from PIL import Image

from protoseg.data.io.volumes import read_image
from protoseg.data.prepared_scan import prepare_scan
from protoseg.data.preprocessing import padding as padding_of
from protoseg.data.preprocessing.normalization import normalize
from protoseg.data.preprocessing.padding import lowest_value, without_padding
from protoseg.data.preprocessing.resampling import resample
from protoseg.data.preprocessing.steps import LoadVolume, Steps, read_volume, scan_preprocessing
from protoseg.ops.volume import Placed, Volume
from protoseg.workflows.engine_parts import CONFIGS
from protoseg.workflows.plain_config import PlainConfig

RANDOM = np.random.default_rng(0)


def scan(low: float, high: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A noisy body of 30 x 20 cm in air, in coronal slices; labels in it; pixels of 6 x 8 mm, slices of 20 mm."""
    x, y, z = np.ogrid[:60, :8, :50]
    body = ((x - 30) / 25) ** 2 + ((y - 4) / 3) ** 2 + 0 * z <= 1
    image = np.where(body, high, low) + RANDOM.normal(0, 20, body.shape)
    affine = np.array([[6.0, 0, 0, -170], [0, 20, 1, -80], [0, -1, 8, 30], [0, 0, 0, 1]])
    return image.astype(np.float32), (2 * (body & (x > 25) & (z > 20))).astype(np.uint8), affine


@pytest.fixture(params=["ct", "mr", "picture"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Paths of an image and of its labels."""
    if request.param == "picture":
        pixels = RANDOM.integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "image.png")
        Image.fromarray((pixels[..., 0] > 99).astype(np.uint8)).save(tmp_path / "label.png")
        return {key: str(tmp_path / f"{key}.png") for key in ("image", "label")}
    voxels, labels, affine = scan(-1000, 60) if request.param == "ct" else scan(30, 400)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "image.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / "label.nii.gz")
    return {key: str(tmp_path / f"{key}.nii.gz") for key in ("image", "label")}


OVERRIDES: list[dict[str, Any]] = [
    {},
    {"plane": "sagittal", "label_grid": "voxels"},
    {"modality": "mr"},
    {"subtrahend": 90.0, "divisor": 50.0},
    {"preprocessing#crop": False},
    {"preprocessing#margin": 0.0},
]


@pytest.mark.parametrize("overrides", OVERRIDES, ids=str)
def test_the_steps_do_what_the_config_says(case: Mapping[str, str], overrides: dict[str, Any]) -> None:
    config = ConfigParser()
    config.read_config(str(CONFIGS / "inference.yaml"))
    config.update(overrides)
    expected = config.get_parsed_content("preprocessing")
    steps = PlainConfig.read([CONFIGS / "inference.yaml"], overrides).get_parsed_content("preprocessing")
    assert isinstance(steps, Steps)
    assert steps.key == expected.key
    theirs, mine = expected(dict(case)), steps(dict(case))
    assert mine.keys() == theirs.keys()
    for key in case:
        assert isinstance(theirs[key], MetaTensor) and isinstance(mine[key], Volume)
        assert mine[key].dtype == theirs[key].dtype
        np.testing.assert_array_equal(mine[key].numpy(), theirs[key].numpy())
        np.testing.assert_allclose(mine[key].affine, theirs[key].affine, rtol=0, atol=1e-12)
        assert {name: theirs[key].meta[name] for name in mine[key].meta} == mine[key].meta


def test_another_parameter_is_another_key() -> None:
    keys = [
        PlainConfig.read([CONFIGS / "inference.yaml"], overrides).get_parsed_content("preprocessing").key
        for overrides in OVERRIDES
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("size", [(8, 20, 30), (100, 120, 90)])  # below and above where quantiles become numpy's
def test_intensities_are_those_of_monai(size: tuple[int, ...]) -> None:
    voxels = torch.from_numpy(RANDOM.normal(100, 300, (1, *size)).astype(np.float32))
    volume = Volume.at(voxels, np.eye(4), {"kind": "volume"})
    ct = ScaleIntensityRange(-125, 275, b_min=0, b_max=255, clip=True)
    mr = ScaleIntensityRangePercentiles(0, 99.5, b_min=0, b_max=255, clip=True)
    whole, fixed = NormalizeIntensity(channel_wise=True), NormalizeIntensity(90.0, 50.0)
    for modality, scale in (("ct", ct), ("mr", mr)):
        expected = whole(scale(voxels.clone()).clone())
        np.testing.assert_array_equal(normalize(volume, modality).numpy(), np.asarray(expected))
        expected = fixed(scale(voxels.clone()).clone())
        np.testing.assert_array_equal(normalize(volume, modality, 90.0, 50.0).numpy(), np.asarray(expected))


@pytest.mark.parametrize(("mode", "monais"), [("bilinear", "bilinear"), ("nearest", "nearest-exact")])
def test_resampling_is_that_of_monai(mode: Any, monais: str) -> None:
    affine = np.array([[1.0, 0.2, 0, 5], [0, 3, 0, -7], [0, 0, 4, 11], [0, 0, 0, 1]])
    voxels = torch.from_numpy(RANDOM.normal(size=(1, 12, 5, 7)).astype(np.float32))
    expected = Resize((12, 15, 7), mode=monais)(MetaTensor(voxels, affine=torch.as_tensor(affine)))
    found = resample(Volume.at(voxels, affine, {}), (12, 15, 7), mode)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    np.testing.assert_allclose(found.affine, expected.affine, rtol=0, atol=1e-12)


def test_arithmetic_forgets_the_place() -> None:
    volume = Volume.at(torch.ones(1, 2, 3, 4), np.eye(4), {"kind": "volume", "affine": "elsewhere"})
    assert isinstance(volume, Placed) and volume.meta == {"kind": "volume"}
    for result in (volume + 1, volume[:, 1:], volume.clone(), torch.cat([volume, volume])):
        assert type(result) is torch.Tensor and not isinstance(result, Placed)
    assert isinstance(MetaTensor(torch.ones(1, 2, 3, 4)), Placed)
    np.testing.assert_array_equal(Volume.of(MetaTensor(torch.ones(1, 2, 3, 4))), volume)


@pytest.mark.parametrize(
    "affine", [np.diag([6.0, 6.0, 8.0, 1.0]), np.diag([-6.0, 8.0, 20.0, 1.0])], ids=["square", "oblong"]
)
@pytest.mark.parametrize("padding", [None, -3000])
def test_integers_become_what_floats_become(tmp_path: Path, affine: np.ndarray, padding: int | None) -> None:
    """A file of int16 stays so while it is turned and cropped; the voxels are those of float32 bit for bit."""
    voxels = scan(-1000, 60)[0].transpose(0, 2, 1).round()
    if padding is not None:
        voxels[:2] = padding
    made = []
    for dtype in (np.int16, np.float32):
        nibabel.save(nibabel.Nifti1Image(voxels.astype(dtype), affine), tmp_path / f"{dtype.__name__}.nii.gz")
        path = tmp_path / f"{dtype.__name__}.nii.gz"
        assert read_image(path).dtype == torch.float32
        assert read_volume(path).dtype == (torch.int16 if dtype == np.int16 else torch.float32)
        made.append(prepare_scan(path, scan_preprocessing()))
    assert made[0].image.dtype == torch.float32
    assert made[0].image.shape[1] < 60, "cropped to the body"
    assert torch.equal(made[0].image.as_tensor(), made[1].image.as_tensor())
    assert torch.equal(made[0].image.affine, made[1].image.affine)


def test_no_scan_is_kept_beside_the_next(tmp_path: Path) -> None:
    """A scan of a gigabyte would be there as it was read, turned, cropped and resampled at once."""
    nibabel.save(nibabel.Nifti1Image(scan(-1000, 60)[0], np.diag([6.0, 8.0, 6.0, 1.0])), tmp_path / "a.nii.gz")
    seen: list[weakref.ref[Volume]] = []

    def copy(case: Mapping[Any, Any]) -> dict[Any, Any]:
        image = case["image"]
        assert [one() for one in seen] == [None] * len(seen), "what stood before the last step is gone"
        seen.append(weakref.ref(image))
        return {**case, "image": Volume.at(image.as_tensor().clone(), image.affine, image.meta)}

    steps = Steps([LoadVolume("image"), copy, copy, copy])
    assert prepare_scan(tmp_path / "a.nii.gz", steps).grid.shape == (60, 8, 50)
    assert len(seen) == 3


@given(st.lists(st.integers(-5000, 500), min_size=20, max_size=60), st.integers(1, 9))
def test_padding_is_found_part_by_part(values: list[int], at_once: int) -> None:
    image = torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)
    with mock.patch.object(padding_of, "AT_ONCE", at_once):
        found, filled = lowest_value(image), without_padding(image)
        assert torch.equal(filled.to(torch.int16), without_padding(image.to(torch.int16)))
    assert found == filled.min()
    assert torch.equal(filled, without_padding(image))
