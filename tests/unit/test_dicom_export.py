from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from monai.transforms import Orientation
from PIL import Image

from protoseg.data.io.volumes import read_image
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.errors import InputError

pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed: pip install -e .[label]")

from protoseg.data.io.dicom_export import write_series  # noqa: E402 - it needs pydicom

RAMP = (np.arange(12 * 10 * 4, dtype=np.int16) - 200).reshape(12, 10, 4)
TURNED = np.array([[0.0, 1.2, 0.9, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, -0.9, 1.2, 11.0], [0.0, 0.0, 0.0, 1.0]])
TURNED[:3, 1:3] *= [1.0, 2.0]  # spacing 1.5 x 1.5 x 3 mm, turned about an axis


def nifti(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


@pytest.mark.parametrize("stored", ["LPS", "RAS", "ASL"])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_series_reads_back_as_the_volume_it_was(tmp_path, stored, modality):
    scan = nibabel.Nifti1Image(RAMP, TURNED)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(scan.affine), nibabel.orientations.axcodes2ornt(stored)
    )
    nibabel.save(scan.as_reoriented(turn), tmp_path / "scan.nii.gz")
    write_series(tmp_path / "dicom", tmp_path / "scan.nii.gz", patient="someone", modality=modality)
    expected = Orientation("LPS", labels=None)(meta_tensor(read_image(tmp_path / "scan.nii.gz")))
    series = read_image(tmp_path / "dicom")
    np.testing.assert_array_equal(series, expected)
    np.testing.assert_allclose(series.affine, expected.affine, atol=1e-5)


def test_headers_say_what_a_viewer_needs(tmp_path):
    affine = np.diag([-0.8, -0.7, 2.5, 1.0])
    affine[:3, 3] = (40, 30, -100)
    uid = write_series(tmp_path / "dicom", nifti(tmp_path / "a.nii.gz", RAMP, affine), patient="someone")
    slices = [pydicom.dcmread(file) for file in sorted((tmp_path / "dicom").iterdir())]
    assert [s.InstanceNumber for s in slices] == [1, 2, 3, 4]
    assert {s.SeriesInstanceUID for s in slices} == {uid}
    assert len({s.SOPInstanceUID for s in slices}) == 4
    assert len({(s.StudyInstanceUID, s.FrameOfReferenceUID) for s in slices}) == 1
    assert {str(s.PatientName) for s in slices} == {"someone"}
    assert slices[1].ImagePositionPatient == [-40, -30, -97.5]
    assert slices[1].ImageOrientationPatient == [1, 0, 0, 0, 1, 0]
    assert slices[1].PixelSpacing == [0.7, 0.8]  # between rows first
    assert (slices[1].Rows, slices[1].Columns) == (10, 12)
    assert slices[1].file_meta.MediaStorageSOPClassUID.name == "CT Image Storage"
    np.testing.assert_array_equal(slices[1].pixel_array, RAMP[:, :, 1].T)


def test_the_same_scan_is_the_same_series_and_another_patient_another(tmp_path):
    scan = nifti(tmp_path / "a.nii.gz", RAMP, np.eye(4))
    uids = [write_series(tmp_path / str(i), scan, patient=name) for i, name in enumerate(("a", "a", "b"))]
    assert uids[0] == uids[1] != uids[2]


@pytest.mark.parametrize(
    ("voxels", "affine", "modality", "message"),
    [
        (RAMP, np.eye(4), "PT", "The modality is 'PT', expected one of CT, MR."),
        (RAMP.astype(np.float32) * 1e4, np.eye(4), "CT", "expected -32768 to 32767"),
        (RAMP, np.array([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "CT", "not at right angles"),
    ],
)
def test_what_dicom_cannot_hold_is_refused(tmp_path, voxels, affine, modality, message):
    scan = nifti(tmp_path / "a.nii.gz", voxels, affine)
    with pytest.raises(InputError, match=message):
        write_series(tmp_path / "dicom", scan, patient="someone", modality=modality)
    assert not (tmp_path / "dicom").exists()


def test_a_color_picture_is_refused(tmp_path):
    pixels = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="is a color picture"):
        write_series(tmp_path / "dicom", tmp_path / "a.png", patient="someone")


def test_simpleitk_reads_hounsfield_units(tmp_path):
    write_series(tmp_path / "dicom", nifti(tmp_path / "a.nii.gz", RAMP, np.diag([-1, -1, 1, 1])), patient="someone")
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "dicom")))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(reader.Execute()).T, RAMP)
