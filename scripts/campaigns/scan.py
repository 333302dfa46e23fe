"""A scan of two organs, so small that reading it costs milliseconds and segmenting it a tenth of a second."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from protoseg.data.io.dicom_export import write_series as write_dicom

__all__ = ["AFFINE", "label_map", "scan", "write_nifti", "write_series"]

AFFINE = np.diag([-10.0, -10.0, 10.0, 1.0])  # 1 cm voxels: 32 cm x 32 cm x 4 cm, axes L, P, S


def label_map() -> np.ndarray:
    """Make a label map (32, 32, 4) of two boxes, on slices 1 and 2."""
    labels = np.zeros((32, 32, 4), np.uint8)
    labels[6:14, 8:16, 1:3] = 1
    labels[18:26, 8:16, 1:3] = 2
    return labels


def scan(seed: int = 0) -> np.ndarray:
    """Make HU (32, 32, 4) of a body with these organs, with different noise for each seed."""
    image = np.full((32, 32, 4), -1000.0)
    image[4:28, 6:26] = 20
    image[label_map() == 1] = 100
    image[label_map() == 2] = 180
    return (image + np.random.default_rng(seed).normal(0, 4, image.shape)).round().astype(np.int16)


def write_nifti(path: Path, voxels: np.ndarray) -> Path:
    """Write voxels at the place of the scan; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), path)
    return path


def write_series(folder: Path, voxels: np.ndarray) -> Path:
    """Write a CT series, a file a slice, at the place of the scan."""
    write_dicom(folder, write_nifti(folder.parent / f"{folder.name}.nii.gz", voxels), patient="Anna")
    return folder
