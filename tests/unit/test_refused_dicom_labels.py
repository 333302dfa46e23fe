"""Labels that cannot be written as DICOM are refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest
from dicom_series import NAMES, Writer, affine_of, edit, label_map, series_of
from numpy.typing import NDArray

from protoseg.data.io.label_writers.dicom_seg import write_dicom_seg
from protoseg.data.io.label_writers.rtstruct import write_rtstruct
from protoseg.errors import InputError


@pytest.fixture
def axial(tmp_path: Path) -> Path:
    return series_of(tmp_path / "series")


def refused(series: Path, labels: NDArray[np.uint8], affine: np.ndarray, writer: Writer = write_dicom_seg) -> str:
    path = series.parent / "out" / "labels.dcm"
    with pytest.raises(InputError) as error:
        writer(path, labels, affine, NAMES, series)
    assert not path.parent.exists()
    return str(error.value)


@pytest.mark.parametrize("writer", [write_dicom_seg, write_rtstruct])
def test_what_cannot_be_written_is_refused(axial: Path, writer: Writer) -> None:
    affine, labels = affine_of(axial), label_map()
    image = axial.with_suffix(".nii.gz")
    assert refused(image, labels, affine, writer) == (
        f"{image} is no folder with a DICOM series, to whose slices a DICOM SEG or RTSTRUCT refers. Save the labels as "
        ".nii.gz, .nrrd or .mha instead."
    )
    assert refused(axial, np.zeros_like(labels), affine, writer) == (
        f"{axial}: nothing is labelled, expected at least one voxel: DICOM has no empty segments. Save the labels as "
        ".nii.gz instead."
    )
    assert refused(axial, labels[..., 1:], affine, writer) == (
        f"{axial} has 19 x 23 x 7 voxels and the label map 19 x 23 x 6. Give the series that the label map was made on."
    )
    assert refused(axial, labels, affine @ np.diag([1, 1, -1, 1]), writer) == (
        f"{axial} and the label map lie up to 12.0 voxels apart. Give the series that the label map was made on."
    )
    edit(axial, lambda dataset: delattr(dataset, "StudyInstanceUID"))
    assert refused(axial, labels, affine, writer) == (
        f"{axial / '0001.dcm'} lacks StudyInstanceUID, which a DICOM SEG or RTSTRUCT refers to. Export the series "
        "again, or save the labels as .nii.gz instead."
    )


def test_headers_that_highdicom_refuses_are_named(axial: Path) -> None:
    affine = affine_of(axial)
    edit(axial, lambda dataset: setattr(dataset, "PatientSex", "X"))
    said = refused(axial, label_map(), affine)
    assert said.startswith(f"{axial}: no DICOM SEG can refer to this series: ")
    assert said.endswith("Save the labels as .nii.gz instead.")
