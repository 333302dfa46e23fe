"""DICOM series with a label map, small and awkward."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray

from protoseg.data.io.dicom import LPS_TO_RAS, read_series
from protoseg.data.io.dicom_export import write_series

SHAPE = (19, 23, 7)  # pixels of a slice are no multiple of 8: segments are packed bit by bit


NAMES = {"kidney_left": 7, "liver": 2, "Läsion 1": 200, "absent": 9}


Writer = Callable[..., None]


def label_map() -> NDArray[np.uint8]:
    """A liver with a hole, a kidney in two islands, and a lesion at the border, named out of their values' order."""
    labels = np.zeros(SHAPE, np.uint8)
    x, y, z = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    labels[((x - 7) / 6) ** 2 + ((y - 8) / 7) ** 2 + ((z - 3) / 3.4) ** 2 < 1] = 2
    labels[((x - 7) / 2) ** 2 + ((y - 8) / 3) ** 2 + ((z - 3) / 2) ** 2 < 1] = 0
    labels[14:17, 3:6, 1:4] = labels[15:18, 14:19, 2:6] = 7
    labels[0, 20:, 0] = labels[:2, 22, -1] = 200
    return labels


def series_of(folder: Path, *, turn: float = 0.0, slices: int = SHAPE[2]) -> Path:
    """Write a series, with axes turned about all three by some degrees."""
    x, y, z = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn)), 0.0
    about_z = np.array([[x, -y, z], [y, x, z], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_z[[2, 0, 1]][:, [2, 0, 1]] * [-0.9, -1.1, 3.0]
    affine[:3, 3] = 40, -31, 12.5
    voxels = np.random.default_rng(0).integers(-1000, 1000, (*SHAPE[:2], slices), dtype=np.int16)
    image = folder.with_suffix(".nii.gz")
    nibabel.save(nibabel.Nifti1Image(voxels, affine), image)
    write_series(folder, image, patient="Doe^Anna")
    return folder


def edit(series: Path, change: Callable[[pydicom.Dataset], object]) -> None:
    for file in series.iterdir():
        dataset = pydicom.dcmread(file)
        change(dataset)
        dataset.save_as(file)


def reversed_slices(folder: Path) -> Path:
    """Write a series whose files are named from the head on, and whose rows run so that its normal points down."""
    series = series_of(folder)

    def turn_over(dataset: pydicom.Dataset) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]

    edit(series, turn_over)
    files = sorted(series.iterdir())
    for file in files:
        file.rename(file.with_suffix(".old"))
    for file, old in zip(files, reversed(files)):
        old.with_suffix(".old").rename(file)
    return series


SERIES = {
    "axial": series_of,
    "oblique": lambda folder: series_of(folder, turn=20),
    "reversed": reversed_slices,
    "one slice": lambda folder: series_of(folder, slices=1),
}


def affine_of(series: Path) -> np.ndarray:
    return LPS_TO_RAS @ read_series(series)[1]
