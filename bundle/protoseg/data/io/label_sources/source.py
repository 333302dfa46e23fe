"""Recognizes the form in which labels come, and reads them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np

from protoseg.data.io.dicom import dicom_files, is_dicom
from protoseg.data.io.label_sources.mask_folder import read_mask_folder
from protoseg.data.io.label_sources.masks import NamedLabels
from protoseg.data.io.label_sources.one_hot import from_channels
from protoseg.data.io.label_sources.slicer import read_slicer_segmentation
from protoseg.errors import InputError

__all__ = ["Grid", "read_label_source"]

Grid = tuple[tuple[int, ...], np.ndarray]
"""Size (X, Y, Z) of an image, and its affine from voxel index to RAS+ mm."""


def read_label_source(
    path: Path,
    read: Callable[[Path], NamedLabels],
    name_of: Callable[[Path], str],
    image_grid: Callable[[], Grid] | None,
) -> NamedLabels:
    """Read labels from a label map, a folder of masks, a DICOM SEG or RTSTRUCT, with their names where they have some.

    Args:
        path: file or folder.
        read: function that reads voxels (C, X, Y, Z) and affine of a file, or of a folder that holds a DICOM series.
        name_of: function that strips the suffix of an image from a file's name, if it has one.
        image_grid: function that gives the grid of the image that the labels belong to, if that is known.

    Raises:
        InputError: the labels cannot be used.
    """
    objects = dicom_files(path) if path.is_dir() else [path] * is_dicom(path)
    if len(objects) == 1 and (labels := _read_object(objects[0], image_grid, alone=not path.is_dir())) is not None:
        return labels
    if path.is_dir() and not objects:
        masks: dict[str, Path] = {}
        for file in sorted(path.iterdir()):
            name = name_of(file)
            if file.name.startswith(".") or not file.is_file() or name == file.name:
                continue
            if name in masks:
                raise InputError(
                    f"{path} holds {masks[name].name} and {file.name}, expected one mask of {name!r}. Keep one of them."
                )
            masks[name] = file
        if masks:
            return read_mask_folder(path, masks, lambda file: _read_file(file, read))
    return _read_file(path, read)


def _read_file(path: Path, read: Callable[[Path], NamedLabels]) -> NamedLabels:
    if path.suffix.lower() in (".nrrd", ".nhdr") and (segmentation := read_slicer_segmentation(path)) is not None:
        return segmentation
    labels = read(path)
    if labels.kind == "volume" and len(labels.voxels) > 1:
        return labels._replace(voxels=from_channels(labels.voxels, path))
    return labels


def _read_object(path: Path, image_grid: Callable[[], Grid] | None, *, alone: bool) -> NamedLabels | None:
    """Read a DICOM SEG or RTSTRUCT; None for another object, which is refused if it is `alone`, in no folder."""
    import pydicom  # slow to import, and most labels are no DICOM objects

    from protoseg.data.io.label_sources.dicom_seg import read_dicom_seg
    from protoseg.data.io.label_sources.rtstruct import read_rtstruct

    try:
        # From memory: of a file, pydicom asks for as many bytes as a damaged length says, which may be 4 GB.
        dataset = pydicom.dcmread(BytesIO(path.read_bytes()))
        modality = str(dataset.get("Modality", ""))
        if modality == "SEG":
            return read_dicom_seg(dataset, path)
        if modality == "RTSTRUCT" and image_grid is not None:
            return read_rtstruct(dataset, path, *image_grid())
    except InputError:
        raise
    except Exception as error:  # foreign files lack what the standard asks for
        raise InputError(
            f"{path} cannot be read as DICOM SEG or RTSTRUCT: {error}. Export the labels again, or as NIfTI."
        ) from error
    if modality == "RTSTRUCT":
        raise InputError(
            f"{path} holds contours, which have no voxels of their own. Give the image that they belong to."
        )
    if alone:
        raise InputError(
            f"{path} is a DICOM object of modality {modality or 'unknown'}, expected labels: SEG or RTSTRUCT. Give the "
            "label map of the image."
        )
    return None
