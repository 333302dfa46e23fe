import gzip
import os
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import MetaTensor
from PIL import Image

from protoseg.data.transforms import (
    LoadLabels,
    LoadLabelsd,
    LoadVolume,
    LoadVolumed,
    SaveLabelMap,
    SaveLabelMapd,
)
from protoseg.data.volumes import EXPECTED, find_queries, query_id, read_image, read_labels, write_label_map
from protoseg.errors import InputError

RAMP = np.arange(10 * 9 * 4, dtype=np.int16).reshape(10, 9, 4)
OBLIQUE = np.array([[0.0, -2.0, 0.3, 5.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.2, 3.0, 11.0], [0.0, 0.0, 0.0, 1.0]])
TILT = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]])  # columns: rows, columns and normal
SHARED = Path(__file__).resolve().parents[3] / "shared" / "real"


def nifti(path: Path, voxels: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def picture(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def dicom_slice(folder: Path, index: int, z: float, *, series: str = "1.2.3", size: tuple[int, int] = (9, 10)) -> None:
    """One file, 1.5 x 2 mm pixels, tilted about x, `z` mm along its normal; named against its position."""
    image = SimpleITK.GetImageFromArray(np.full((1, *size), index, dtype=np.int16) + np.eye(*size, dtype=np.int16))
    image.SetSpacing((1.5, 2.0, 1.0))
    image.SetDirection(TILT.ravel())
    image.SetOrigin((TILT[:, 2] * z).tolist())
    tags = {"0008|0060": "CT", "0020|000e": series, "0008|103e": f"body {series}", "0018|0050": "3"}
    tags["0020|0032"] = "\\".join(f"{c:.6f}" for c in image.GetOrigin())
    tags["0020|0037"] = "\\".join(f"{c:.6f}" for c in (*TILT[:, 0], *TILT[:, 1]))
    for tag, value in tags.items():
        image.SetMetaData(tag, value)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    folder.mkdir(exist_ok=True)
    writer.SetFileName(str(folder / f"{series[-1]}{99 - index}.dcm"))
    writer.Execute(image)


def dicom_series(folder: Path, positions: list[float]) -> Path:
    for index, z in enumerate(positions):
        dicom_slice(folder, index, z)
    return folder


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


def test_grey_pictures_keep_16_bits_and_one_channel(tmp_path: Path) -> None:
    pixels = np.arange(108, dtype=np.uint16).reshape(9, 12) * 600
    scan = read_image(picture(tmp_path / "p.png", pixels))
    assert scan.shape == (1, 12, 9, 1)
    np.testing.assert_array_equal(scan[0, :, :, 0], pixels.T)
    transparent = Image.fromarray((pixels // 256).astype(np.uint8)).convert("LA")
    transparent.save(tmp_path / "la.png")
    assert read_image(tmp_path / "la.png").shape == (1, 12, 9, 1)


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


def test_real_dicom_series_lies_where_its_labels_do() -> None:
    if not SHARED.is_dir():
        pytest.skip("needs the real scans in ../shared/real, which are not part of the repository")
    item = {"image": SHARED / "ct_dicom", "label": SHARED / "ct_dicom_labels.nii.gz"}
    item = LoadLabelsd("label")(LoadVolumed("image")(item))
    image, labels = item["image"], item["label"]
    assert image.shape == labels.shape == (1, 512, 512, 20)
    assert (image.min(), image.max()) == (-1024, 1839)
    stored = read_labels(SHARED / "ct_dicom_labels.nii.gz")
    assert torch.equal(labels.as_tensor(), stored.as_tensor().flip(2))
    liver = image[labels == 4]
    assert 50 < liver.mean() < 150  # HU with contrast agent


def two_series(path: Path) -> Path:
    dicom_slice(path, 0, 0.0)
    dicom_slice(path, 1, 2.0)
    dicom_slice(path, 0, 0.0, series="1.2.4")
    return path


def two_sizes(path: Path) -> Path:
    dicom_slice(path, 0, 0.0)
    dicom_slice(path, 1, 2.0, size=(12, 12))
    return path


def damaged_slice(path: Path) -> Path:
    dicom_series(path, [0.0, 2.0])
    (path / "2.dcm").write_bytes(bytes(128) + b"DICM" + b"rubbish")
    return path


def truncated(path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 1000, (20, 20, 20), dtype=np.int16)
    content = nifti(path, noise).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def with_value(value: float, count: int) -> np.ndarray:
    voxels = RAMP.astype(np.float32)
    voxels.ravel()[:count] = value
    return voxels


def singular(path: Path) -> Path:
    header = nibabel.Nifti1Image(RAMP, None).header
    header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), code=1)
    nibabel.save(nibabel.Nifti1Image(RAMP, None, header), path)
    return path


def pages(path: Path) -> Path:
    page = Image.fromarray(np.eye(9, dtype=np.uint8))
    page.save(path, save_all=True, append_images=[page, page])
    return path


def itk_colour(path: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((4, 9, 10, 3), np.uint8), isVector=True), str(path))
    return path


DAMAGED = "{path} cannot be read: it is damaged, incomplete, or not in the format of its name. Get a fresh copy."
BAD_IMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("a.nii.gz", lambda p: p, "{path} does not exist. Check the path. " + EXPECTED),
    "truncated gzip": ("a.nii.gz", truncated, DAMAGED),
    "truncated": ("a.nii", truncated, DAMAGED),
    "text as NIfTI": ("a.nii", lambda p: written(p, b"hello"), DAMAGED),
    "gzip of text": ("a.nii.gz", lambda p: written(p, gzip.compress(b"hello")), DAMAGED),
    "empty NRRD": ("a.nrrd", lambda p: written(p, b""), DAMAGED),
    "damaged PNG": ("a.png", lambda p: written(p, b"\x89PNG\r\n\x1a\nrubbish"), DAMAGED),
    "unknown suffix": (
        "a.xyz",
        lambda p: written(p, b"hello"),
        "{path}: no image format has the suffix '.xyz'. " + EXPECTED,
    ),
    "4D": (
        "a.nii",
        lambda p: nifti(p, np.stack([RAMP] * 5, axis=-1)),
        "{path}: the image has 10 x 9 x 4 x 5 voxels in 4 dimensions, expected one 3D volume. "
        "Extract one, such as the first, [..., 0], into a file of its own.",
    ),
    "NaN": (
        "a.nii",
        lambda p: nifti(p, with_value(np.nan, 3)),
        "{path}: 3 of 360 voxels are NaN or infinite, expected finite intensities. "
        "Replace them, for example with numpy.nan_to_num, and save the image again.",
    ),
    "infinity": (
        "a.nii",
        lambda p: nifti(p, with_value(-np.inf, 1)),
        "{path}: 1 of 360 voxels are NaN or infinite, expected finite intensities. "
        "Replace them, for example with numpy.nan_to_num, and save the image again.",
    ),
    "constant": (
        "a.nii",
        lambda p: nifti(p, with_value(-1000, 360)),
        "{path}: every voxel is -1000, expected an image with contrast. Export the image again from its source.",
    ),
    "too small": (
        "a.nii",
        lambda p: nifti(p, RAMP[:, :7]),
        "{path}: the image has 10 x 7 x 4 voxels, expected slices of at least 8 x 8 pixels. "
        "Give an image with its slices whole.",
    ),
    "singular affine": (
        "a.nii",
        singular,
        "{path}: the affine [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], "
        "[0.0, 0.0, 0.0, 1.0]] cannot be inverted, expected spacings above 0 mm. "
        "Export the image again with its geometry.",
    ),
    "colour volume": (
        "a.mha",
        itk_colour,
        "{path}: each voxel has 3 values, expected one. Extract one channel.",
    ),
    "pages": ("a.tif", pages, "{path}: the picture has 3 pages, expected one. Save one page a file."),
    "empty folder": ("series", Path.mkdir, "{path} holds no DICOM files. " + EXPECTED),
    "two series": (
        "series",
        two_series,
        "{path} holds 2 DICOM series: 'body 1.2.3' (2 slices), 'body 1.2.4' (1 slices). Keep one series in a folder.",
    ),
    "missing slice": (
        "series",
        lambda p: dicom_series(p, [0.0, 2.0, 4.0, 8.0]),
        "{path}: 397.dcm and 396.dcm are 4 mm apart, expected 2 mm as between the other slices. "
        "Export the whole series again.",
    ),
    "slices at one position": (
        "series",
        lambda p: dicom_series(p, [0.0, 2.0, 2.0, 4.0]),
        "{path}: 397.dcm and 398.dcm lie at the same position, expected one volume. Keep one volume in a folder.",
    ),
    "two sizes": (
        "series",
        two_sizes,
        "{path}: 399.dcm and 398.dcm differ in size, spacing or orientation, expected slices of one stack. "
        "Keep one stack in a folder.",
    ),
    "damaged slice": (
        "series",
        damaged_slice,
        "{path}/2.dcm is damaged or holds no pixels, expected a DICOM image. Take it out of the folder.",
    ),
}
BAD_LABELS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": BAD_IMAGES["missing"],
    "truncated gzip": BAD_IMAGES["truncated gzip"],
    "4D": BAD_IMAGES["4D"],
    "fractions": (
        "a.nii",
        lambda p: nifti(p, with_value(0.25, 7)),
        "{path}: 7 voxels are no whole numbers, such as 0.25, expected one integer a voxel. "
        "Resample label maps with nearest neighbour and save them again.",
    ),
    "NaN": (
        "a.nii",
        lambda p: nifti(p, with_value(np.nan, 2)),
        "{path}: 2 voxels are no whole numbers, such as nan, expected one integer a voxel. "
        "Resample label maps with nearest neighbour and save them again.",
    ),
    "negative": (
        "a.nii",
        lambda p: nifti(p, RAMP - 1000),
        "{path}: the label values run from -1000 to -641, expected 0 to 32767. "
        "Check that this is the label map and not the image.",
    ),
    "colour": (
        "a.png",
        lambda p: picture(p, np.dstack([np.eye(9, dtype=np.uint8), np.zeros((9, 9, 2), np.uint8)])),
        "{path}: the label picture is in colour, expected grey. Save it in grey values.",
    ),
    "JPEG": (
        "a.jpg",
        lambda p: picture(p, np.eye(9, dtype=np.uint8)),
        "{path}: JPEG changes the values of labels. Save the label picture as PNG.",
    ),
}


@pytest.mark.parametrize(
    ("read", "case"),
    [pytest.param(read_image, case, id=f"image-{name}") for name, case in BAD_IMAGES.items()]
    + [pytest.param(read_labels, case, id=f"labels-{name}") for name, case in BAD_LABELS.items()],
)
def test_bad_input_is_named(
    tmp_path: Path,
    read: Callable[[Path], MetaTensor],
    case: tuple[str, Callable[[Path], object], str],
) -> None:
    name, make, message = case
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value) == message.format(path=path)


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
    grey_as_colour = picture(tmp_path / "colour.png", np.dstack([pixels] * 3))
    assert torch.equal(read_labels(grey_as_colour).as_tensor(), labels.as_tensor())


def test_palette_picture_gives_indices_as_labels_and_colours_as_image(tmp_path: Path) -> None:
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
    ("matrix", "qform_code"),
    [
        (TILT @ np.diag([1.5, 2.0, 3.0]), 1),
        (np.diag([-1.0, -1.0, 1.0]) @ TILT, 1),  # half a turn and a tilt: where a quaternion in float32 is worst
        (np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.6], [0.0, 0.0, 3.0]]), 0),  # slices of a tilted gantry
    ],
)
def test_qform_is_valid_only_where_it_can_say_the_affine(tmp_path: Path, matrix: np.ndarray, qform_code: int) -> None:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, [5, -7, 11]
    write_label_map(tmp_path / "labels.nii", RAMP % 7, affine)
    image = nibabel.load(tmp_path / "labels.nii")
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, qform_code)
    np.testing.assert_allclose(image.affine, affine, atol=1e-5)
    np.testing.assert_allclose(image.header.get_zooms(), np.linalg.norm(matrix, axis=0), atol=1e-5)
    if qform_code:
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


def test_queries_of_a_folder_are_its_images_and_series(tmp_path: Path) -> None:
    series = dicom_series(tmp_path / "m series", [0.0, 2.0])
    image, photo = nifti(tmp_path / "a.nii.gz", RAMP), picture(tmp_path / "z.png", np.eye(9, dtype=np.uint8))
    (tmp_path / "README.md").write_text("no image")
    (tmp_path / "._a.nii.gz").write_text("left by a file manager")
    (tmp_path / "empty").mkdir()
    assert find_queries(tmp_path) == [image, series, photo]
    assert find_queries(series) == [series]
    assert find_queries(image) == [image]


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
        f"{tmp_path}: the results of a.nii.gz and a.png would be named 'a'. Rename one of them."
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
