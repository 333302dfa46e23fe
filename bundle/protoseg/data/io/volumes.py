"""Volumes and pictures in, label maps out.

Everything read is a `Volume` (C, X, Y, Z) on its native grid whose affine maps a voxel index to
RAS+ mm; `meta["filename_or_obj"]` is the path, `meta["kind"]` is "volume" or "picture", and `meta["modality"]` is that
of a DICOM series, such as "CT".
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch

from protoseg.data.io.dicom import LPS_TO_RAS, dicom_files, read_series, series_modality
from protoseg.data.io.label_sources import source
from protoseg.data.io.label_sources.masks import NamedLabels
from protoseg.data.io.label_values import whole_voxels
from protoseg.data.io.marks import mark_of
from protoseg.data.io.nifti_files import NIFTI_SUFFIXES, Array, read_nifti, write_nifti
from protoseg.data.io.nifti_forms import NIFTI_FORMS, placement
from protoseg.data.io.pictures import PICTURE_SUFFIXES, read_label_picture, read_picture
from protoseg.data.io.voxels import Grid, checked_grid, refuse_channels, times, volume_grid
from protoseg.engine.slice_axes import GUESSED, is_oriented
from protoseg.errors import InputError
from protoseg.files import PathLike, is_there, to_path
from protoseg.ops.volume import Placed, Volume

__all__ = [
    "EXPECTED",
    "check_image_file",
    "checked_image",
    "checked_labels",
    "query_id",
    "read_image",
    "read_labels",
    "write_image",
    "write_label_map",
]

logger = logging.getLogger(__name__)

ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
IMAGE_SUFFIXES = NIFTI_SUFFIXES + ITK_SUFFIXES + PICTURE_SUFFIXES
EXPECTED = f"Give a {', '.join(IMAGE_SUFFIXES)} file, or a folder that holds one DICOM series."

SMALLEST_SLICE = 8  # pixels each way


def read_image(path: PathLike | Volume, *, integers: bool = False) -> Volume:
    """Read a volume, a DICOM series (a folder) or a picture: float32 (C, X, Y, Z), intensities as stored.

    C is 1, or 3 for a color picture, whose axes are (3, W, H, 1) with pixels of 1 mm. A `Volume` is returned as it is.

    Args:
        path: file or folder.
        integers: True to leave int16 voxels as they are, at half the memory.

    Raises:
        InputError: the file is missing, damaged, of another format, not 3D, constant, smaller than
            8 x 8 pixels, or holds NaN or infinity; the DICOM folder is not one complete series.
    """
    if isinstance(path, Placed):
        return Volume.of(path)
    image = checked_image(_read(Path(path), read_picture), path, integers=integers)
    if Path(path).is_dir():
        image.meta["modality"] = series_modality(Path(path))
    return image


def checked_image(grid: Grid, path: PathLike, *, integers: bool = False) -> Volume:
    """Make an image of the content of a file or an object in memory; arguments as for `read_image`.

    Raises:
        InputError: it is not 3D, constant, smaller than 8 x 8 pixels, or holds NaN or infinity.
    """
    voxels = grid.voxels
    if grid.kind == "volume" and len(voxels) > 1:
        refuse_channels(path, (*voxels.shape[1:], len(voxels)))
    unusable = 0 if voxels.dtype == np.int16 else int(voxels.size - np.isfinite(voxels).sum())
    if unusable:
        raise InputError(
            f"{path}: {unusable} of {voxels.size} voxels are NaN or infinite, expected finite intensities. "
            "Replace them, for example with numpy.nan_to_num, and save the image again."
        )
    size = voxels.shape[1:]
    if sorted(size)[1] < SMALLEST_SLICE:
        raise InputError(
            f"{path}: the image has {times(size)} voxels, expected slices of at least "
            f"{SMALLEST_SLICE} x {SMALLEST_SLICE} pixels. Give an image with its slices whole."
        )
    if voxels.min() == voxels.max():
        raise InputError(
            f"{path}: every voxel is {voxels.min():g}, expected an image with contrast. "
            "Export the image again from its source."
        )
    image = _volume_of(grid, path, np.int16 if integers and voxels.dtype == np.int16 else np.float32)
    if grid.kind == "volume" and not is_oriented(image):
        logger.warning(
            "%s says nothing about where left and right are (qform and sform codes are 0): they are a guess. Convert "
            "the scan again from its source to be sure.",
            path,
        )
    elif grid.kind == "volume" and np.array_equal(grid.affine, np.eye(4)):
        logger.warning(
            "%s has the identity for an affine, as an array that was saved without its own: voxels of 1 mm, and where "
            "left and right are, may be wrong. Convert the scan again from its source to be sure.",
            path,
        )
    return image


def read_labels(path: PathLike | Volume, image: Volume | PathLike | None = None) -> Volume:
    """Read labels as one label map: int16 (1, X, Y, Z), 0 is background.

    Reads a label map, a mask per channel (4D), a folder of masks, a DICOM SEG or RTSTRUCT. Label pictures keep
    their gray values or palette indices; a black-and-white mask becomes 0 and 1. `meta["label_names"]` is name -> value
    where the file names its labels, `meta["label_values"]` lists the values there are. What was read before comes back.

    Args:
        path: file or folder.
        image: image that the labels belong to, or its path; needed for RTSTRUCT, whose contours have no voxels.

    Raises:
        InputError: as `read_image` for files and formats; a value is further than 0.001 from an integer in 0..32767;
            the picture is in color or a JPEG.
    """
    if isinstance(path, Placed):
        return Volume.of(path)

    def read(file: Path) -> NamedLabels:
        grid = _read(file, read_label_picture)
        return NamedLabels(grid.voxels, grid.affine, kind=grid.kind, details=grid.details)

    def image_grid() -> source.Grid:
        known = read_image(cast(PathLike, image))
        return tuple(known.shape[1:]), known.affine.cpu().numpy()

    found = source.read_label_source(to_path(path, "label"), read, query_id, None if image is None else image_grid)
    return checked_labels(found, path)


def checked_labels(found: NamedLabels, path: PathLike) -> Volume:
    """Make a label map of the content of a file or an object in memory, see `read_labels`.

    Raises:
        InputError: a value is further than 0.001 from an integer in 0..32767.
    """
    voxels = whole_voxels(found.voxels, path)
    labels = _volume_of(Grid(voxels, found.affine, found.kind, found.details), path, np.int16)
    labels.meta["label_values"] = [int(value) for value in np.unique(voxels) if value]
    if found.names is not None:
        labels.meta["label_names"] = found.names
    return labels


def write_label_map(path: PathLike, labels: Array, place: Array) -> None:
    """Write labels (X, Y, Z) or (1, X, Y, Z) as a uint8 NIfTI at the place of an image, see `write_nifti`.

    Raises:
        InputError: the file name does not end in .nii or .nii.gz, or a value is outside 0..255.
    """
    values = torch.as_tensor(labels).cpu().numpy()
    if values.min() < 0 or values.max() > 255:
        raise InputError(
            f"{path}: the label values run from {values.min():g} to {values.max():g}, expected 0 to 255. "
            "Renumber the labels."
        )
    voxels = _three_axes(values.astype(np.uint8))
    write_nifti(Path(path), voxels, place, mark=mark_of(voxels))


def write_image(path: PathLike, image: Array, place: Array) -> None:
    """Write an image (X, Y, Z) or (1, X, Y, Z) as a NIfTI, int16 if that holds every value and float32 if not.

    The file is placed as in `write_nifti`.

    Raises:
        InputError: the file name does not end in .nii or .nii.gz.
    """
    values = torch.as_tensor(image).cpu().numpy()
    shortened = values.clip(-32768, 32767).astype(np.int16)
    voxels = shortened if (shortened == values).all() else values.astype(np.float32)
    write_nifti(Path(path), _three_axes(voxels), place)


def query_id(path: PathLike) -> str:
    """Name a query by its file without the image suffix: "scan.nii.gz" -> "scan"; a DICOM folder's own name."""
    path = Path(path).absolute()
    suffix = _suffix(path, IMAGE_SUFFIXES)
    return path.name[: -len(suffix)] if suffix else path.name


def check_image_file(path: Path) -> None:
    """Refuse a path without a file, or whose suffix is not that of an image format.

    Raises:
        InputError: the path is refused.
    """
    if not is_there(path):
        raise InputError(f"{path} does not exist. Check the path. {EXPECTED}")
    if _suffix(path, IMAGE_SUFFIXES) is None:
        raise InputError(f"{path}: no image format has the suffix {path.suffix!r}. {EXPECTED}")


def _three_axes(voxels: np.ndarray) -> np.ndarray:
    return voxels[0] if voxels.ndim == 4 else voxels


def _suffix(path: Path, suffixes: tuple[str, ...]) -> str | None:
    return next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), None)


def _read(path: Path, read_picture_file: Callable[[Path], np.ndarray]) -> Grid:
    if not path.is_dir():
        check_image_file(path)
    elif not dicom_files(path):
        raise InputError(f"{path} holds no DICOM files. {EXPECTED}")
    try:
        if path.is_dir():
            voxels, affine = read_series(path)
            grid = volume_grid(voxels, LPS_TO_RAS @ affine, path)
        elif _suffix(path, NIFTI_SUFFIXES):
            voxels, forms = read_nifti(path)
            guessed = {} if forms.oriented else {GUESSED: "yes"}
            grid = volume_grid(voxels, forms.affine, path, **{NIFTI_FORMS: forms.to_json(), **guessed})
        elif _suffix(path, ITK_SUFFIXES):
            grid = _read_itk(path)
        else:
            # An axial slice as in radiology: columns run to the patient's left, rows to the back.
            grid = Grid(read_picture_file(path), LPS_TO_RAS.copy(), "picture")
    except InputError:
        raise
    except Exception as error:  # a decoder raises whatever a damaged file makes it stumble over
        raise InputError(
            f"{path} cannot be read: it is damaged, incomplete, or not in the format of its name. Get a fresh copy."
        ) from error
    return checked_grid(grid, path)


def _volume_of(grid: Grid, path: PathLike, dtype: type[np.number]) -> Volume:
    return Volume.at(
        torch.as_tensor(np.ascontiguousarray(grid.voxels, dtype)),  # order and type in one pass, without another copy
        grid.affine,
        {"filename_or_obj": str(path), "kind": grid.kind, **grid.details},
    )


def _read_itk(path: Path) -> Grid:
    import SimpleITK  # here and below: slow, so only for its formats

    image = SimpleITK.ReadImage(str(path))
    values = image.GetNumberOfComponentsPerPixel()
    if values > 1:
        raise InputError(f"{path}: each voxel has {values} values, expected one. Extract one channel.")
    return volume_grid(SimpleITK.GetArrayFromImage(image).T, placement(image), path)
