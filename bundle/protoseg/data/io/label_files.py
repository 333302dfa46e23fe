"""Label maps out, in the format of a file's name, each at the place where its readers show the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK
from monai.data import MetaTensor
from numpy.typing import NDArray

from protoseg.data.io.dicom import LPS_TO_RAS
from protoseg.data.io.nifti_files import NIFTI_SUFFIXES
from protoseg.data.io.nifti_forms import itk_placed
from protoseg.data.io.pictures import write_label_picture
from protoseg.data.io.volumes import write_label_map
from protoseg.errors import InputError
from protoseg.files import replacing

__all__ = ["ITK_SUFFIXES", "write_labels"]

ITK_SUFFIXES = (".nrrd", ".mha")


def write_labels(path: Path, label_map: NDArray[np.uint8], source: MetaTensor, *, compress: bool = True) -> None:
    """Write a label map (X, Y, Z): NIfTI, NRRD, MetaImage, or a PNG whose pixels are the labels' values.

    Args:
        path: of the file.
        label_map: on the image's own voxels.
        source: the image as it was read. A NIfTI gets all that its file says of its place; NRRD and MetaImage get the
            place at which ITK, hence the viewers, read it.
        compress: whether NRRD and MetaImage are.

    Raises:
        InputError: the name ends in none of .nii.gz, .nii, .nrrd, .mha and .png, or a volume is to be a picture.
    """
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        write_label_map(path, label_map, source)
    elif name.endswith(ITK_SUFFIXES):
        _write_itk(path, label_map, source, compress)
    elif name.endswith(".png"):
        if label_map.shape[2] > 1:
            raise InputError(f"{path}: a volume of {label_map.shape[2]} slices is no picture. Write it as .nii.gz.")
        write_label_picture(path, label_map[None])
    else:
        known = ", ".join((*NIFTI_SUFFIXES, *ITK_SUFFIXES, ".png"))
        raise InputError(f"{path}: label maps are written as {known}. Give a name that ends in one of these.")


def _write_itk(path: Path, label_map: NDArray[np.uint8], source: MetaTensor, compress: bool) -> None:
    image = SimpleITK.GetImageFromArray(label_map.T)
    affine = LPS_TO_RAS @ itk_placed(source)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    with replacing(path) as unfinished:
        SimpleITK.WriteImage(image, str(unfinished), useCompression=compress)
