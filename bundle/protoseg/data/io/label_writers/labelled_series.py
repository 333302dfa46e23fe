"""A label map together with the DICOM series that it was made on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID, generate_uid
from scipy.ndimage import find_objects

from protoseg.data.io.dicom import LPS_TO_RAS, SeriesGrid, dicom_files, series_grid
from protoseg.data.io.label_sources.masks import unique_names
from protoseg.errors import InputError

__all__ = ["LabelledSeries"]

SAME_PLACE = 0.5  # largest distance of corresponding corners in voxels
LONGEST_NAME = 64  # characters of a DICOM long string
UTF_8 = "ISO_IR 192"
PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY = ("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName")
IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
OTHERS = ("Rows", "Columns", "Modality", "FrameOfReferenceUID", "PositionReferenceIndicator", "SliceThickness")
LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


@dataclass(frozen=True)
class LabelledSeries:
    """A label map on the slices of a DICOM series."""

    label_map: NDArray[np.uint8]  # X x Y x Z
    labels: dict[str, int]  # name -> value of what is in the label map, names as DICOM can hold them
    boxes: dict[int, tuple[slice, slice, slice]]  # value -> part of the label map that holds all its voxels
    headers: list[Dataset]  # of the slices, along Z, without pixels
    affine: NDArray[np.float64]  # voxel index -> LPS mm, 4 x 4

    @classmethod
    def read(
        cls, label_map: NDArray[np.uint8], affine: NDArray[np.float64], labels: Mapping[str, int], series: Path
    ) -> LabelledSeries:
        """Read the headers of the series and check that the label map fits them.

        Args:
            label_map: (X, Y, Z) label map, with voxels as `read_series` orders them; 0 is background.
            affine: (4, 4) affine, voxel index -> RAS+ mm.
            labels: value of each label by name; a value without a name becomes "label_<value>".
            series: folder of the DICOM series.

        Raises:
            InputError: nothing is labelled, the folder holds no DICOM series that can be referred to, or the label map
                is on other voxels.
        """
        if not series.is_dir() or not dicom_files(series):
            raise InputError(
                f"{series} is no folder with a DICOM series, to whose slices a DICOM SEG or RTSTRUCT refers. Save the "
                "labels as .nii.gz, .nrrd or .mha instead."
            )
        found = enumerate(find_objects(label_map), start=1)
        boxes = {value: box for value, box in found if box is not None}
        if not boxes:
            raise InputError(
                f"{series}: nothing is labelled, expected at least one voxel: DICOM has no empty segments. Save the "
                "labels as .nii.gz instead."
            )
        grid = series_grid(series)
        _check_grid(label_map.shape, LPS_TO_RAS @ affine, grid, series)
        return cls(label_map, _named(boxes, labels), boxes, _headers(grid.files), grid.affine)

    @property
    def frame_of_reference(self) -> UID:
        """UID of the coordinate system that the series is in."""
        return UID(self.headers[0].FrameOfReferenceUID)


def _named(values: Iterable[int], labels: Mapping[str, int]) -> dict[str, int]:
    names = {value: name for name, value in labels.items()}
    values = list(values)
    return dict(zip(unique_names(_dicom_text(names.get(value, f"label_{value}")) for value in values), values))


def _dicom_text(name: str) -> str:
    """Make a name that DICOM can hold: a backslash would split it in two."""
    return "".join(c if c.isprintable() and c != "\\" else "/" for c in name)[:LONGEST_NAME].strip()


def _check_grid(size: tuple[int, ...], affine: NDArray[np.float64], grid: SeriesGrid, series: Path) -> None:
    if size != grid.size:
        found, expected = (" x ".join(map(str, each)) for each in (size, grid.size))
        raise InputError(
            f"{series} has {expected} voxels and the label map {found}. Give the series that the label map was made on."
        )
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(size) - 1)
    apart = (np.linalg.inv(grid.affine) @ affine - np.eye(4)) @ np.c_[corners, np.ones(8)].T
    if np.abs(apart).max() > SAME_PLACE:
        raise InputError(
            f"{series} and the label map lie up to {np.abs(apart).max():.1f} voxels apart. Give the series that the "
            "label map was made on."
        )


def _headers(files: list[Path]) -> list[Dataset]:
    """Read headers, with everything that a DICOM object takes over from them; what anonymization removed is empty."""
    wanted = [*PATIENT, *STUDY, *IDENTIFIERS, *PLACE, *OTHERS, *LOSSY, "SpecificCharacterSet"]
    headers: list[Dataset] = [pydicom.dcmread(file, stop_before_pixels=True, specific_tags=wanted) for file in files]
    for header, file in zip(headers, files):
        missing = [key for key in (*IDENTIFIERS, *PLACE) if not header.get(key)]
        if missing:
            raise InputError(
                f"{file} lacks {', '.join(missing)}, which a DICOM SEG or RTSTRUCT refers to. Export the series again, "
                "or save the labels as .nii.gz instead."
            )
        header.decode()
        header.SpecificCharacterSet = UTF_8
        for key in (*PATIENT, *STUDY):
            if key not in header:
                setattr(header, key, "")
    first = headers[0]
    frame = first.get("FrameOfReferenceUID") or generate_uid(entropy_srcs=[str(first.SeriesInstanceUID), "frame"])
    for header in headers:
        header.FrameOfReferenceUID = frame
    return headers
