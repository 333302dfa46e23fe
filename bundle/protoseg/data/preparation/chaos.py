"""CHAOS (chaos.grand-challenge.org) as distributed: abdominal MR and CT as DICOM, the ground truth as PNG.

Train_Sets/MR/<id>/T2SPIR/DICOM_anon/*.dcm           T2SPIR/Ground/*.png
Train_Sets/MR/<id>/T1DUAL/DICOM_anon/InPhase/*.dcm   T1DUAL/Ground/*.png
Train_Sets/MR/<id>/T1DUAL/DICOM_anon/OutPhase/*.dcm  (registered: the ground truth of InPhase)
Train_Sets/CT/<id>/DICOM_anon/*.dcm                  Ground/*.png
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from protoseg.data.io.dicom import dicom_files, slice_files
from protoseg.data.io.volumes import read_image
from protoseg.data.preparation.folds import in_folds
from protoseg.data.preparation.geometry import PublishedCT, PublishedGeometry, PublishedMR
from protoseg.data.preparation.scans import DataSet, LabelledScan, SourceScan, gray_picture, natural_order
from protoseg.data.preprocessing.modality import Modality
from protoseg.errors import InputError
from protoseg.ops.volume import Volume

__all__ = ["SEQUENCES", "find_chaos"]

MR_LABELS = {"liver": 1, "right_kidney": 2, "left_kidney": 3, "spleen": 4}
GrayLevels = Mapping[str, tuple[int, int]]
MR_GRAY_LEVELS: GrayLevels = {  # lowest and highest, as the challenge states them
    "liver": (55, 70),
    "right_kidney": (110, 135),
    "left_kidney": (175, 200),
    "spleen": (240, 255),
}


class Acquisition(NamedTuple):
    """Folders of a scan of one sequence in the folder of its patient, and the labels drawn in it."""

    modality: Modality
    images: str
    ground_truth: str
    labels: Mapping[str, int] = MR_LABELS
    gray_levels: GrayLevels = MR_GRAY_LEVELS


SEQUENCES = {
    "t2spir": Acquisition("mr", "T2SPIR/DICOM_anon", "T2SPIR/Ground"),
    "t1_in": Acquisition("mr", "T1DUAL/DICOM_anon/InPhase", "T1DUAL/Ground"),
    "t1_out": Acquisition("mr", "T1DUAL/DICOM_anon/OutPhase", "T1DUAL/Ground"),
    "ct": Acquisition("ct", "DICOM_anon", "Ground", {"liver": 1}, {"liver": (255, 255)}),
}


def find_chaos(source: Path, *, sequence: str = "t2spir", size: int = 256, border: int = 32) -> DataSet:
    """Find the scans of one sequence.

    Args:
        source: folder that holds Train_Sets.
        sequence: sequence, one of `SEQUENCES`.
        size: edge of the prepared slices in pixels.
        border: number of pixels cropped at each side of a CT slice, see `PublishedCT`.

    Raises:
        InputError: a folder is missing, or the numbers of DICOM slices and PNG files of a scan differ.
    """
    chosen = SEQUENCES[sequence]
    folder = source / "Train_Sets" / chosen.modality.upper()
    patients = natural_order(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not patients:
        raise InputError(
            f"{source}: found no scans in {folder.relative_to(source)}, expected "
            f"{folder.relative_to(source)}/<id>/{chosen.images}. Give the folder that holds Train_Sets, or another "
            "--sequence."
        )
    scans = [SourceScan(_id(p), p / chosen.images, p / chosen.ground_truth) for p in patients]
    for scan in scans:
        _check_counts(scan)
    geometry: PublishedGeometry = PublishedMR(size) if chosen.modality == "mr" else PublishedCT(size, border)
    read = partial(_read, labels=chosen.labels, gray_levels=chosen.gray_levels)
    return DataSet(
        f"CHAOS {sequence}", source, chosen.modality, chosen.labels, scans, read, in_folds, geometry, asdict(geometry)
    )


def _id(patient: Path) -> str:
    return str(int(patient.name)) if patient.name.isdecimal() else patient.name


def _check_counts(scan: SourceScan) -> None:
    assert scan.label is not None
    for folder in (scan.image, scan.label):
        if not folder.is_dir():
            raise InputError(f"{folder} does not exist, expected a folder of slices. Unpack the data set again.")
    slices, drawings = len(dicom_files(scan.image)), len(_drawings(scan.label))
    if slices != drawings or not slices:
        raise InputError(
            f"{scan.label} holds {drawings} PNG files and {scan.image} {slices} DICOM slices, expected as many of one "
            "as of the other. Unpack the data set again."
        )


def _drawings(folder: Path) -> list[Path]:
    return natural_order(folder.glob("*.png"))


def _read(scan: SourceScan, *, labels: Mapping[str, int], gray_levels: GrayLevels) -> LabelledScan:
    """Read one scan; the n-th PNG by name is the ground truth of the n-th DICOM file by name, wherever that lies."""
    assert scan.label is not None
    image = read_image(scan.image)
    stacked = slice_files(scan.image)
    drawing_of = dict(zip(natural_order(stacked), _drawings(scan.label)))
    values = np.zeros(image.shape[1:], dtype=np.int16)
    for index, file in enumerate(stacked):
        drawing = drawing_of[file]
        gray = gray_picture(drawing)
        if gray.shape != values.shape[:2]:
            found, expected = (" x ".join(map(str, shape)) for shape in (gray.shape, values.shape[:2]))
            raise InputError(
                f"{drawing} has {found} pixels and its slice {file.name} {expected}, expected one size. "
                "Unpack the data set again."
            )
        values[..., index] = _label_values(gray, labels, gray_levels, drawing)
    return LabelledScan(image, Volume.at(torch.from_numpy(values)[None], image.affine, image.meta))


def _label_values(gray: np.ndarray, labels: Mapping[str, int], gray_levels: GrayLevels, drawing: Path) -> np.ndarray:
    values = np.zeros(gray.shape, dtype=np.int16)
    known = gray == 0
    for name, (lowest, highest) in gray_levels.items():
        here = (gray >= lowest) & (gray <= highest)
        values[here] = labels[name]
        known |= here
    if not known.all():
        legend = ", ".join(f"{name} {lowest} to {highest}" for name, (lowest, highest) in gray_levels.items())
        raise InputError(
            f"{drawing}: found the gray level {gray[~known][0]:g}, expected 0 or one of {legend}. "
            "Unpack the data set again."
        )
    return values
