import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import MetaTensor
from PIL import Image

from protoseg.data.io.grids import align_labels
from protoseg.data.io.queries import find_queries
from protoseg.data.io.volumes import EXPECTED, query_id, read_image, read_labels, write_label_map
from protoseg.data.preprocessing.transforms import (
    LoadLabels,
    LoadLabelsd,
    LoadVolume,
    LoadVolumed,
    SaveLabelMap,
    SaveLabelMapd,
)
from protoseg.errors import InputError

RAMP = np.arange(10 * 9 * 4, dtype=np.int16).reshape(10, 9, 4)
OBLIQUE = np.array([[0.0, -2.0, 0.3, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.2, 3.0, 11.0], [0.0, 0.0, 0.0, 1.0]])
TILT = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]])  # columns: rows, columns and normal


def nifti(path: Path, voxels: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def picture(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_every_volume_format_gives_the_same_voxels_and_ras_affine(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scan{suffix}"
    oblique = np.eye(4)
    oblique[:3, :3] = TILT @ np.diag([1.5, 2.0, 3.0])
    oblique[:3, 3] = [5, -7, 11]
    if suffix.startswith(".nii"):
        nifti(path, RAMP, oblique)
    else:
        lps = np.diag([-1, -1, 1, 1]) @ oblique
        image = SimpleITK.GetImageFromArray(RAMP.T)
        image.SetSpacing((1.5, 2, 3))
        image.SetDirection((lps[:3, :3] / [1.5, 2, 3]).ravel())
        image.SetOrigin(lps[:3, 3])
        SimpleITK.WriteImage(image, str(path))

    scan = read_image(path)

    assert scan.dtype == torch.float32
    assert scan.affine.dtype == torch.float64
    assert scan.meta["kind"] == "volume"
    assert scan.meta["filename_or_obj"] == str(path)
    np.testing.assert_array_equal(scan[0], RAMP)
    np.testing.assert_allclose(scan.affine, oblique, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "read"), [((10, 9), (10, 9, 1)), ((10, 9, 1), (10, 9, 1)), ((10, 9, 4, 1), (10, 9, 4))]
)
def test_one_slice_and_trailing_singletons_are_volumes(
    tmp_path: Path, shape: tuple[int, ...], read: tuple[int, ...]
) -> None:
    scan = read_image(nifti(tmp_path / "slice.nii", RAMP.ravel()[: np.prod(shape)].reshape(shape)))
    assert scan.shape == (1, *read)


def test_scale_slope_of_nifti_is_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(RAMP, OBLIQUE)
    image.header.set_slope_inter(0.5, -100)
    nibabel.save(image, tmp_path / "scaled.nii")
    stored = nibabel.load(tmp_path / "scaled.nii").get_fdata()
    np.testing.assert_allclose(read_image(tmp_path / "scaled.nii")[0], stored, atol=1e-4)


def test_picture_axes_are_width_and_height_and_alpha_is_dropped(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 4), dtype=np.uint8)
    scan = read_image(picture(tmp_path / "p.png", pixels))
    assert scan.shape == (3, 12, 9, 1)
    assert scan.meta["kind"] == "picture"
    assert scan[:, 7, 2, 0].tolist() == pixels[2, 7, :3].tolist()
    assert scan.affine.diag().tolist() == [-1, -1, 1, 1]  # axes point left, posterior, superior


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.tif"])
def test_pictures_are_upright_as_their_exif_orientation_says(tmp_path: Path, name: str) -> None:
    pixels = np.zeros((16, 24), dtype=np.uint8)
    pixels[:8, :8] = 255  # top left as stored
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    scan = read_image(tmp_path / name)
    assert scan.shape == (1, 16, 24, 1)
    assert scan[0, :, 3, 0].tolist() == [*[0] * 8, *[255] * 8], "top right once it is upright"


def test_labels_of_a_picture_that_is_turned_are_taken_as_it_is_shown_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exif = Image.Exif()
    exif[274] = 3  # to be turned by 180 degrees
    Image.fromarray(np.arange(384, dtype=np.uint8).reshape(16, 24)).save(tmp_path / "p.png", exif=exif)
    drawn = np.zeros((16, 24), dtype=np.uint8)
    drawn[:4] = 1
    mask = read_labels(picture(tmp_path / "mask.png", drawn))
    aligned = align_labels(mask, read_image(tmp_path / "p.png"))
    np.testing.assert_array_equal(aligned, mask)
    assert caplog.messages == [
        f"{tmp_path / 'p.png'} comes turned, as its EXIF orientation says: {tmp_path / 'mask.png'} must have been "
        "drawn on the picture as it is shown, not on its pixels as they are stored."
    ]


def test_gray_pictures_keep_16_bits_and_one_channel(tmp_path: Path) -> None:
    pixels = np.arange(108, dtype=np.uint16).reshape(9, 12) * 600
    scan = read_image(picture(tmp_path / "p.png", pixels))
    assert scan.shape == (1, 12, 9, 1)
    np.testing.assert_array_equal(scan[0, :, :, 0], pixels.T)
    transparent = Image.fromarray((pixels // 256).astype(np.uint8)).convert("LA")
    transparent.save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png").shape == (1, 12, 9, 1)


def test_labels_are_integers_on_their_grid(tmp_path: Path) -> None:
    labels = read_labels(nifti(tmp_path / "labels.nii.gz", (RAMP % 5).astype(np.float64)))
    assert labels.dtype == torch.int16
    np.testing.assert_array_equal(labels[0], RAMP % 5)
    np.testing.assert_allclose(labels.affine, OBLIQUE, atol=1e-6)


@pytest.mark.parametrize(
    ("stored", "read"),
    [([0, 255], [0, 1]), ([0, 128, 255], [0, 128, 255]), ([0, 4], [0, 4]), ([0, 1, 2], [0, 1, 2])],
)
def test_label_pictures_keep_their_values_but_white_is_one(tmp_path: Path, stored: list[int], read: list[int]) -> None:
    pixels = np.resize(np.array(stored, dtype=np.uint8), (9, 12))
    labels = read_labels(picture(tmp_path / "labels.png", pixels))
    assert labels.shape == (1, 12, 9, 1)
    assert labels.unique().tolist() == read
    gray_as_color = picture(tmp_path / "color.png", np.dstack([pixels] * 3))
    assert torch.equal(read_labels(gray_as_color).as_tensor(), labels.as_tensor())


def test_palette_picture_gives_indices_as_labels_and_colors_as_image(tmp_path: Path) -> None:
    indexed = Image.fromarray(np.resize(np.array([0, 1, 2], dtype=np.uint8), (9, 12)), mode="P")
    indexed.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    indexed.save(tmp_path / "p.png")
    assert read_labels(tmp_path / "p.png").unique().tolist() == [0, 1, 2]
    assert read_image(tmp_path / "p.png")[:, 1, 0, 0].tolist() == [255, 0, 0]


def test_written_label_map_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "labels.nii.gz"
    write_label_map(path, torch.as_tensor(RAMP % 7), OBLIQUE)
    labels = read_labels(path)
    np.testing.assert_array_equal(labels[0], RAMP % 7)
    np.testing.assert_allclose(labels.affine, OBLIQUE, atol=1e-5)
    header = nibabel.load(path).header
    assert header.get_data_dtype() == np.uint8
    assert header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize(
    "matrix",
    [
        TILT @ np.diag([1.5, 2.0, 3.0]),
        np.diag([-1.0, -1.0, 1.0]) @ TILT,  # half a turn and a tilt: where a quaternion in float32 is worst
    ],
)
def test_both_forms_hold_an_affine_at_right_angles(tmp_path: Path, matrix: np.ndarray) -> None:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, [5, -7, 11]
    write_label_map(tmp_path / "labels.nii", RAMP % 7, affine)
    image = nibabel.load(tmp_path / "labels.nii")
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(image.affine, affine, atol=1e-5)
    np.testing.assert_allclose(image.header.get_zooms(), np.linalg.norm(matrix, axis=0), atol=1e-5)
    np.testing.assert_allclose(image.get_qform(), affine, atol=1e-3)


def test_interrupted_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.nii.gz"
    write_label_map(path, RAMP % 7, OBLIQUE)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_label_map(path, RAMP % 3, OBLIQUE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "voxels", "message"),
    [
        (
            "a.png",
            RAMP % 3,
            "{path}: volumes are written as NIfTI. Give a name that ends in .nii.gz or .nii.",
        ),
        (
            "a.nii",
            RAMP,
            "{path}: the label values run from 0 to 359, expected 0 to 255. Renumber the labels.",
        ),
    ],
)
def test_unwritable_label_map_is_refused(tmp_path: Path, name: str, voxels: np.ndarray, message: str) -> None:
    with pytest.raises(InputError) as error:
        write_label_map(tmp_path / name, voxels, OBLIQUE)
    assert str(error.value) == message.format(path=tmp_path / name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/scan.nii.gz", "scan"),
        ("Scan.NII", "Scan"),
        ("v1.2.mha", "v1.2"),
        ("photo.jpeg", "photo"),
        ("a/series", "series"),
    ],
)
def test_query_id(path: str, name: str) -> None:
    assert query_id(path) == name


def test_folder_without_queries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        find_queries(tmp_path)
    assert str(error.value) == f"{tmp_path} holds no image and no DICOM series. {EXPECTED}"


def test_missing_query_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        find_queries(tmp_path / "a.nii")
    assert str(error.value) == f"{tmp_path / 'a.nii'} does not exist. Check the path. {EXPECTED}"


def test_queries_with_one_name_of_result_are_refused(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii.gz", RAMP)
    picture(tmp_path / "a.png", np.eye(9, dtype=np.uint8))
    with pytest.raises(InputError) as error:
        find_queries(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: the results of {tmp_path / 'a.nii.gz'} and {tmp_path / 'a.png'} would be named 'a'. Rename one "
        "of them."
    )


def test_transforms_load_align_and_save(tmp_path: Path) -> None:
    image = nifti(tmp_path / "anna.nii.gz", RAMP)
    flipped = OBLIQUE @ np.array([[-1, 0, 0, 9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    labels = nifti(tmp_path / "labels.nii.gz", (RAMP % 3)[::-1], flipped)

    item = LoadLabelsd("label")(LoadVolumed("image")({"image": image, "label": labels, "fold": 2}))
    assert item["fold"] == 2
    assert torch.equal(item["image"], LoadVolume()(image))
    np.testing.assert_array_equal(item["label"][0], RAMP % 3)
    np.testing.assert_array_equal(LoadLabels()(labels)[0], (RAMP % 3)[::-1])

    answer = MetaTensor(item["label"].as_tensor(), meta=dict(item["image"].meta))
    assert SaveLabelMapd("pred", tmp_path / "out")({"pred": answer})["pred"] is answer
    assert SaveLabelMap(tmp_path / "out", postfix="_x")(answer) is answer
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["anna_seg.nii.gz", "anna_x.nii.gz"]
    again = read_labels(tmp_path / "out" / "anna_seg.nii.gz")
    np.testing.assert_array_equal(again[0], RAMP % 3)
    np.testing.assert_allclose(again.affine, OBLIQUE, atol=1e-5)
