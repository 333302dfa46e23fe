"""The size of a volume by its header, before any of it is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import nibabel

from protoseg.errors import InputError

__all__ = ["check_promise", "promised_bytes"]

DEFLATE = 1032  # largest number of bytes that a byte of gzip or zlib unpacks to


def promised_bytes(path: Path) -> int:
    """Tell the bytes that a NIfTI, NRRD or MetaImage file says its voxels take; 0 of other files and damaged ones."""
    name = path.name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            image = cast(nibabel.Nifti1Image, nibabel.load(path))
            return math.prod(image.shape) * image.header.get_data_dtype().itemsize
        if name.endswith((".nrrd", ".nhdr", ".mha", ".mhd")):
            import SimpleITK  # slow, so only for its formats

            reader = SimpleITK.ImageFileReader()
            reader.SetFileName(str(path))
            reader.ReadImageInformation()
            values = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
            return values * SimpleITK.Image(1, 1, reader.GetPixelID()).GetSizeOfPixelComponent()
    except Exception:  # the reader of the voxels reports it
        return 0
    return 0


def check_promise(path: Path, promised: int) -> None:
    """Refuse a file that is too small for what its header promises, before memory is taken for it.

    Raises:
        InputError: the file is too small.
    """
    size = path.stat().st_size
    if promised > DEFLATE * size:
        raise InputError(
            f"{path} cannot be read: its header promises {promised} bytes of voxels, and the file has {size}. Get a "
            "fresh copy."
        )
