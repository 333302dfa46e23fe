"""CT whose rescale intercept was lost is told from MR and from windowed CT, and the user hears of it."""

import logging

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from protoseg.data.preprocessing.hounsfield import air_is_at_zero
from protoseg.data.preprocessing.intensity import CropBodyd


def scan(voxels: np.ndarray) -> MetaTensor:
    meta = {"filename_or_obj": "anna.nii.gz", "kind": "volume"}
    return MetaTensor(torch.tensor(voxels[None], dtype=torch.float32), affine=np.diag([5.0, 5, 5, 1]), meta=meta)


def chest_ct() -> np.ndarray:
    """HU (64, 64, 8): noisy air, a skin of partial volume, muscle with fat and bone, and a lung."""
    x, y, _ = np.mgrid[-32:32, -32:32, :8]
    radius = np.hypot(x, y)
    image = np.select(
        [radius < 8, radius < 10, radius < 22, radius < 25, radius < 26],
        [-850.0, 600.0, 50.0, -100.0, -500.0],
        -1000.0,
    )
    return (image + np.random.default_rng(0).normal(0, 20, image.shape)).round().clip(-1024)


def mr(brightest: float) -> np.ndarray:
    """Tissues of many intensities, coils that see what is near, and noise."""
    random = np.random.default_rng(0)
    x, y, _ = np.mgrid[-32:32, -32:32, :8]
    tissues = random.uniform(0.3, 1, (8, 8, 8)).repeat(8, 0).repeat(8, 1) * (1 - np.hypot(x, y) / 80)
    return np.abs(np.where(np.hypot(x, y) < 25, tissues, 0) * brightest + random.rayleigh(brightest / 60, x.shape))


def messages(image: MetaTensor, modality: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING):
        CropBodyd("image", modality=modality)({"image": image})
    return [record.getMessage() for record in caplog.records]


OFFSET = (
    "anna.nii.gz: this looks like CT whose values are not Hounsfield units: air is about 0 and soft tissue about 1024, "
    "expected -1000 and 40. Subtract 1024, the rescale intercept that was lost, and save it again."
)


@pytest.mark.parametrize("modality", ["auto", "ct"])
def test_a_lost_intercept_is_told(modality: str, caplog: pytest.LogCaptureFixture) -> None:
    assert messages(scan(chest_ct() + 1024), modality, caplog) == [OFFSET]


def test_other_values_that_are_no_hounsfield_units(caplog: pytest.LogCaptureFixture) -> None:
    stored = (chest_ct() + 1024).clip(0) * 8
    assert messages(scan(stored), "ct", caplog) == [
        f"anna.nii.gz: it is read as CT, but its values, 0 to {stored.max():.0f}, are not Hounsfield units, where air "
        "is about -1000 and fat about -100. Give it with its rescale slope and intercept applied."
    ]


@pytest.mark.parametrize("brightest", [100, 255, 1000, 1100, 1300, 2000, 4000])
def test_no_mr_is_suspected(brightest: float) -> None:
    assert not air_is_at_zero(torch.tensor(mr(brightest)))


@pytest.mark.parametrize(
    ("image", "modality"),
    [
        (chest_ct(), "auto"),
        (((chest_ct().clip(-125, 275) + 125) / 400 * 255).round(), "ct"),
        (chest_ct().clip(-125, 275), "ct"),
        (mr(1100), "auto"),
    ],
    ids=["HU", "window of 8 bits", "window of HU", "MR"],
)
def test_no_false_alarm(image: np.ndarray, modality: str, caplog: pytest.LogCaptureFixture) -> None:
    assert messages(scan(image), modality, caplog) == []
