"""Contours of DICOM structure sets as labels."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from overlapping_labels import AFFINE, OVERLAP, SHAPE, boxes, check, drawn, rtstruct

from protoseg.data.io.dicom_export import write_series
from protoseg.data.io.volumes import read_labels
from protoseg.errors import InputError


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A NIfTI of the scan."""
    voxels = np.random.default_rng(0).integers(-1000, 1000, SHAPE, dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), tmp_path / "image.nii.gz")
    return tmp_path / "image.nii.gz"


@pytest.fixture
def series(tmp_path: Path, image: Path) -> Path:
    """The same scan as a DICOM series."""
    write_series(tmp_path / "series", image, patient="Doe^Anna")
    return tmp_path / "series"


def test_rtstruct(tmp_path: Path, image: Path, series: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = rtstruct(tmp_path / "a.dcm", {**drawn(), "isocenter": []})
    check(path, image)
    check(path, series)
    assert caplog.messages == [OVERLAP.format(path)] * 2


def test_contours_within_each_other_are_holes(tmp_path: Path, image: Path) -> None:
    contours = drawn()
    path = rtstruct(tmp_path / "a.dcm", {"liver": contours["liver"] + contours["tumor"]})
    found = read_labels(path, image)[0].numpy() > 0
    np.testing.assert_array_equal(found, boxes()["liver"] & ~boxes()["tumor"])


def test_contours_between_slices_belong_to_the_nearest(tmp_path: Path, image: Path) -> None:
    fine = [c + np.array([0, 0, shift]) for c in drawn()["liver"] for shift in (-0.4, 0.1, 0.4)]
    found = read_labels(rtstruct(tmp_path / "a.dcm", {"liver": fine}), image)[0].numpy() > 0
    np.testing.assert_array_equal(found, boxes()["liver"])


def test_a_circle_has_the_area_of_a_circle(tmp_path: Path, image: Path) -> None:
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    circle = np.stack([7.3 + 5.2 * np.cos(angles), 8.1 + 5.2 * np.sin(angles), np.full(90, 2.0)], axis=1)
    found = read_labels(rtstruct(tmp_path / "a.dcm", {"circle": [circle]}), image)[0].numpy() > 0
    x, y = np.mgrid[: SHAPE[0], : SHAPE[1]]
    np.testing.assert_array_equal(found[..., 2], np.hypot(x - 7.3, y - 8.1) < 5.2)


BAD_STRUCTURES = {
    "no contours": (
        lambda p: rtstruct(p, {"liver": []}),
        "{path}: this structure set has no closed contours. Give one in which structures are drawn.",
    ),
    "points only": (
        lambda p: rtstruct(p, drawn(), "POINT"),
        "{path}: this structure set has no closed contours. Give one in which structures are drawn.",
    ),
    "other slices": (
        lambda p: rtstruct(p, {"liver": [c @ [[1, 0, 0.3], [0, 1, 0], [0.3, 0.3, 1]] for c in drawn()["liver"]]}),
        "{path}: the contours are not drawn on the slices of the image. Give the image that they were drawn on.",
    ),
    "elsewhere": (
        lambda p: rtstruct(p, {"liver": [c + 100 for c in drawn()["liver"]]}),
        "{path}: none of its contours lies on the image. Give the image that they were drawn on.",
    ),
}


@pytest.mark.parametrize("case", BAD_STRUCTURES)
def test_structure_sets_that_cannot_be_used(tmp_path: Path, image: Path, case: str) -> None:
    make, message = BAD_STRUCTURES[case]
    path = make(tmp_path / "a.dcm")
    with pytest.raises(InputError) as error:
        read_labels(path, image)
    assert str(error.value) == message.format(path=path)


def test_contours_need_their_image(tmp_path: Path) -> None:
    path = rtstruct(tmp_path / "a.dcm", drawn())
    with pytest.raises(InputError) as error:
        read_labels(path)
    assert str(error.value) == (
        f"{path} holds contours, which have no voxels of their own. Give the image that they belong to."
    )
