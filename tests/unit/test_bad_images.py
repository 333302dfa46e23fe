import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from monai.data import MetaTensor
from PIL import Image

from protoseg.data.io.volumes import EXPECTED, read_image, read_labels
from protoseg.errors import InputError

RAMP = np.arange(10 * 9 * 4, dtype=np.int16).reshape(10, 9, 4)


def nifti(path: Path, voxels: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    return path


def picture(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
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


def itk_color(path: Path) -> Path:
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
    "color volume": (
        "a.mha",
        itk_color,
        "{path}: each voxel has 3 values, expected one. Extract one channel.",
    ),
    "pages": ("a.tif", pages, "{path}: the picture has 3 pages, expected one. Save one page a file."),
}
BAD_LABELS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": BAD_IMAGES["missing"],
    "truncated gzip": BAD_IMAGES["truncated gzip"],
    "4D": (
        "a.nii",
        lambda p: nifti(p, np.stack([RAMP] * 5, axis=-1)),
        "{path}: the label map has 10 x 9 x 4 x 5 voxels in 4 dimensions, and channel 0 holds other values than 0 and "
        "1, expected one 3D label map or a mask a channel. Extract one label map into a file of its own.",
    ),
    "DICOM of another kind": (
        "a.dcm",
        lambda p: SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((1, 9, 9), np.int16)), str(p)),
        "{path} is a DICOM object of modality OT, expected labels: SEG or RTSTRUCT. Give the label map of the image.",
    ),
    "fractions": (
        "a.nii",
        lambda p: nifti(p, with_value(0.25, 7)),
        "{path}: 7 voxels are no whole numbers, such as 0.25, expected one integer a voxel. "
        "Resample label maps with nearest neighbor and save them again.",
    ),
    "nearly whole": (
        "a.nii",
        lambda p: nifti(p, with_value(1.0021, 7)),
        "{path}: 7 voxels are no whole numbers, such as 1.0021, expected one integer a voxel. "
        "Resample label maps with nearest neighbor and save them again.",
    ),
    "NaN": (
        "a.nii",
        lambda p: nifti(p, with_value(np.nan, 2)),
        "{path}: 2 voxels are no whole numbers, such as nan, expected one integer a voxel. "
        "Resample label maps with nearest neighbor and save them again.",
    ),
    "negative": (
        "a.nii",
        lambda p: nifti(p, RAMP - 1000),
        "{path}: the label values run from -1000 to -641, expected 0 to 32767. "
        "Check that this is the label map and not the image.",
    ),
    "color": (
        "a.png",
        lambda p: picture(p, np.dstack([np.eye(9, dtype=np.uint8), np.zeros((9, 9, 2), np.uint8)])),
        "{path}: the label picture is in color, expected gray. Save it in gray values.",
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
