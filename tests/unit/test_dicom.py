from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from PIL import Image

from protoseg.data.io.dicom import _Slice, _slice_line
from protoseg.data.io.queries import find_queries
from protoseg.data.io.volumes import EXPECTED, read_image, read_labels
from protoseg.data.preprocessing.transforms import LoadLabelsd, LoadVolumed
from protoseg.errors import InputError

TILT = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]])  # columns: rows, columns and normal


def dicom_slice(
    folder: Path,
    index: int,
    z: float,
    *,
    series: str = "1.2.3",
    size: tuple[int, int] = (9, 10),
    modality: str = "CT",
    aside: float = 0.0,
) -> None:
    """One file, 1.5 x 2 mm pixels, tilted about x, `z` mm along its normal; named against its position."""
    image = SimpleITK.GetImageFromArray(np.full((1, *size), index, dtype=np.int16) + np.eye(*size, dtype=np.int16))
    image.SetSpacing((1.5, 2.0, 1.0))
    image.SetDirection(TILT.ravel())
    image.SetOrigin((TILT[:, 2] * z + TILT[:, 0] * aside).tolist())
    tags = {"0008|0060": modality, "0020|000e": series, "0008|103e": f"body {series}", "0018|0050": "3"}
    tags["0020|0032"] = "\\".join(f"{c:.6f}" for c in image.GetOrigin())
    tags["0020|0037"] = "\\".join(f"{c:.6f}" for c in (*TILT[:, 0], *TILT[:, 1]))
    for tag, value in tags.items():
        image.SetMetaData(tag, value)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    folder.mkdir(exist_ok=True)
    writer.SetFileName(str(folder / f"{series[-1]}{99 - index}.dcm"))
    writer.Execute(image)


def dicom_series(folder: Path, positions: Sequence[float], **options: Any) -> Path:
    for index, z in enumerate(positions):
        dicom_slice(folder, index, z, **options)
    return folder


def test_dicom_slices_are_stacked_by_position(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path / "series", [3.0, 5.5, 8.0])
    (folder / "notes.txt").write_text("not a slice")
    scan = read_image(folder)
    assert scan.shape == (1, 10, 9, 3)
    assert scan[0, 0, 1].tolist() == [0, 1, 2]
    lps = np.eye(4)
    lps[:3, :3] = TILT @ np.diag([1.5, 2.0, 2.5])
    lps[:3, 3] = TILT[:, 2] * 3
    np.testing.assert_allclose(scan.affine, np.diag([-1, -1, 1, 1]) @ lps, atol=1e-5)


def test_one_dicom_slice_is_as_thick_as_its_header_says(tmp_path: Path) -> None:
    scan = read_image(dicom_series(tmp_path / "series", [3.0]))
    assert scan.shape == (1, 10, 9, 1)
    assert np.linalg.norm(scan.affine[:3, 2]) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("step", "places"), [(1.25, 1), (0.625, 1), (0.25, 1), (3.0, 1), (1.2512, 2)], ids=lambda value: f"{value:g}"
)
def test_rounded_positions_are_judged_by_the_line_through_all(tmp_path: Path, step: float, places: int) -> None:
    rounded = [round(-7.3 + step * index + 1e-9, places) for index in range(12)]
    scan = read_image(dicom_series(tmp_path / "series", rounded))
    assert np.linalg.norm(scan.affine[:3, 2]) == pytest.approx(step, abs=0.6 * 10**-places / 12)
    first = np.diag([-1.0, -1.0, 1.0]) @ (TILT[:, 2] * -7.3)
    np.testing.assert_allclose(scan.affine[:3, 3], first, atol=0.5 * 10**-places)


@pytest.mark.parametrize("step", [0.25, 0.625, 1.25, 5.0])
@pytest.mark.parametrize("count", [4, 5, 8, 40])
def test_any_missing_slice_is_told_from_rounding(tmp_path: Path, step: float, count: int) -> None:
    for missing in range(1, count - 1):
        places = [round(step * index + 1e-9, 1) for index in range(count) if index != missing]
        slices = [_Slice("a", "", "", (), (1.0, 1.0), (), (0.0, 0.0, z), 1.0, "") for z in places]
        with pytest.raises(InputError, match=r"mm apart, expected"):
            _slice_line(slices, np.array([0.0, 0.0, 1.0]), tmp_path)


def test_the_series_says_what_it_is(tmp_path: Path) -> None:
    for modality in ("MR", "CT"):
        scan = read_image(dicom_series(tmp_path / modality, [0.0, 2.0], modality=modality))
        assert scan.meta["modality"] == modality


def test_real_dicom_series_lies_where_its_labels_do(real_scans: Path) -> None:
    item = {"image": real_scans / "ct_dicom", "label": real_scans / "ct_dicom_labels.nii.gz"}
    item = LoadLabelsd("label")(LoadVolumed("image")(item))
    image, labels = item["image"], item["label"]
    assert image.shape == labels.shape == (1, 512, 512, 20)
    assert (image.min(), image.max()) == (-1024, 1839)
    stored = read_labels(real_scans / "ct_dicom_labels.nii.gz")
    assert torch.equal(labels.as_tensor(), stored.as_tensor().flip(2))
    liver = image[labels == 4]
    assert 50 < liver.mean() < 150  # HU with contrast agent


def test_queries_of_a_folder_are_its_images_and_series(tmp_path: Path) -> None:
    series = dicom_series(tmp_path / "m series", [0.0, 2.0])
    image, photo = tmp_path / "a.nii.gz", tmp_path / "z.png"
    nibabel.save(nibabel.Nifti1Image(np.eye(9), np.eye(4)), image)
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(photo)
    (tmp_path / "README.md").write_text("no image")
    (tmp_path / "._a.nii.gz").write_text("left by a file manager")
    (tmp_path / "empty").mkdir()
    assert find_queries(tmp_path) == [image, series, photo]
    assert find_queries(series) == [series]
    assert find_queries(image) == [image]


def two_series(path: Path) -> Path:
    dicom_slice(path, 0, 0.0)
    dicom_slice(path, 1, 2.0)
    dicom_slice(path, 0, 0.0, series="1.2.4")
    return path


def two_sizes(path: Path) -> Path:
    dicom_slice(path, 0, 0.0)
    dicom_slice(path, 1, 2.0, size=(12, 12))
    return path


def shifted_slice(path: Path) -> Path:
    dicom_series(path, [2.0 * index for index in range(10)])
    (path / "394.dcm").unlink()
    dicom_slice(path, 5, 10.0, aside=9.0)
    return path


def damaged_slice(path: Path) -> Path:
    dicom_series(path, [0.0, 2.0])
    (path / "2.dcm").write_bytes(bytes(128) + b"DICM" + b"rubbish")
    return path


BAD_SERIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty folder": (Path.mkdir, "{path} holds no DICOM files. " + EXPECTED),
    "two series": (
        two_series,
        "{path} holds 2 DICOM series: 'body 1.2.3' (2 slices), 'body 1.2.4' (1 slices). Keep one series in a folder.",
    ),
    "missing slice": (
        lambda p: dicom_series(p, [0.0, 2.0, 4.0, 8.0]),
        "{path}: 397.dcm and 396.dcm are 4 mm apart, expected 2 mm as between the other slices. "
        "Export the whole series again.",
    ),
    "slices at one position": (
        lambda p: dicom_series(p, [0.0, 2.0, 2.0, 4.0]),
        "{path}: 397.dcm and 398.dcm lie at the same position, expected one volume. Keep one volume in a folder.",
    ),
    "missing slice of many": (
        lambda p: dicom_series(p, [round(1.25 * index, 1) for index in range(30) if index != 27]),
        "{path}: 373.dcm and 372.dcm are 2.5 mm apart, expected 1.25 mm as between the other slices. "
        "Export the whole series again.",
    ),
    "shifted slice": (
        shifted_slice,
        "{path}: 394.dcm lies 8.1 mm beside the straight line through the slices, expected slices in one stack. "
        "Keep one stack in a folder.",
    ),
    "two sizes": (
        two_sizes,
        "{path}: 399.dcm and 398.dcm differ in size, spacing or orientation, expected slices of one stack. "
        "Keep one stack in a folder.",
    ),
    "damaged slice": (
        damaged_slice,
        "{path}/2.dcm is damaged or holds no pixels, expected a DICOM image. Take it out of the folder.",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD_SERIES.values(), ids=list(BAD_SERIES))
def test_bad_series_is_named(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    path = tmp_path / "series"
    make(path)
    with pytest.raises(InputError) as error:
        read_image(path)
    assert str(error.value) == message.format(path=path)
