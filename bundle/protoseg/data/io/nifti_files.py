"""Reads NIfTI files with their place, and writes voxels at the place of an image."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
import torch

from protoseg.data.io.nifti_forms import NIFTI_FORMS, NiftiForms
from protoseg.data.io.promised_sizes import check_promise
from protoseg.errors import InputError
from protoseg.files import replacing
from protoseg.ops.volume import Placed

__all__ = ["NIFTI_SUFFIXES", "Array", "read_nifti", "write_nifti"]

logger = logging.getLogger(__name__)

Array = np.ndarray | torch.Tensor

NIFTI_SUFFIXES = (".nii.gz", ".nii")


def read_nifti(path: Path) -> tuple[np.ndarray, NiftiForms]:
    """Read the voxels, in as many dimensions as they have, and their place."""
    image = cast(nibabel.Nifti1Image, nibabel.load(path))  # NIfTI-2 is a subclass
    check_promise(path, math.prod(image.shape) * image.header.get_data_dtype().itemsize)
    return np.asarray(image.dataobj), NiftiForms.of(image.header)


def write_nifti(path: Path, voxels: np.ndarray, place: Array, *, mark: str = "") -> None:
    """Write voxels (X, Y, Z) at the place of an image; a reader never sees half a file.

    Args:
        path: path of the file.
        voxels: (X, Y, Z) voxels to write, in their own type.
        place: image that has these voxels, as it was read, whose forms, codes and units the file gets; or an affine
            from voxel index to RAS+ mm, which the sform holds. If it is sheared (a tilted gantry), the qform holds the
            nearest one at right angles, as ITK reads nothing else.
        mark: description in the header, see `mark_of`.

    Raises:
        InputError: the file name does not end in .nii or .nii.gz.
    """
    if not path.name.lower().endswith(NIFTI_SUFFIXES):
        raise InputError(f"{path}: volumes are written as NIfTI. Give a name that ends in .nii.gz or .nii.")
    x, y, z = voxels.shape
    forms = _forms(place, (x, y, z))
    if forms.sheared:
        logger.warning(
            "%s: the slices are sheared, as by a tilted gantry. nibabel reads them in place; ITK (3D Slicer, ITK-SNAP) "
            "knows right angles only and stacks them straight, as it stacks the scan.",
            path,
        )
    image = nibabel.Nifti1Image(voxels, None)
    forms.apply(image.header)
    image.header["descrip"] = mark
    with replacing(path) as unfinished:
        nibabel.save(image, unfinished)


def _forms(place: Array, shape: tuple[int, int, int]) -> NiftiForms:
    affine = np.asarray(place.affine if isinstance(place, Placed) else torch.as_tensor(place).cpu(), float)
    if isinstance(place, Placed) and NIFTI_FORMS in place.meta:
        forms = NiftiForms.from_json(place.meta[NIFTI_FORMS])
        # A resampled image still has the forms of its file.
        if forms.shape == shape and np.allclose(forms.affine, affine):
            return forms.readable()
    return NiftiForms.from_affine(affine, shape)
