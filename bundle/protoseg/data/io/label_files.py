"""Writes label maps in the format of a file's name, placed where readers of the format show the image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protoseg.data.io.dicom import LPS_TO_RAS
from protoseg.data.io.nifti_files import NIFTI_SUFFIXES
from protoseg.data.io.nifti_forms import itk_placed
from protoseg.data.io.pictures import write_label_picture
from protoseg.data.io.volumes import write_label_map
from protoseg.errors import InputError
from protoseg.files import replacing
from protoseg.ops.volume import Volume

__all__ = ["DICOM_SUFFIXES", "ITK_SUFFIXES", "write_labels"]

ITK_SUFFIXES = (".nrrd", ".mha")
DICOM_SUFFIXES = SEG, RTSTRUCT = (".seg.dcm", ".rtstruct.dcm")


def write_labels(
    path: Path,
    label_map: NDArray[np.uint8],
    source: Volume,
    *,
    labels: Mapping[str, int] | None = None,
    weights: str = "",
    compress: bool = True,
) -> None:
    """Write a label map (X, Y, Z): NIfTI, NRRD, MetaImage, a PNG whose pixels are the labels' values, or DICOM.

    DICOM SEG and RTSTRUCT, of images that are a DICOM series, name the labels; the others hold their values alone.

    Args:
        path: path of the file.
        label_map: (X, Y, Z) label map on the image's own voxels.
        source: image as it was read. A NIfTI gets everything that its file says of its place; NRRD and MetaImage get
            the place at which ITK, hence the viewers, read it; DICOM refers to the slices.
        labels: value of each label by name, for DICOM; a value without a name becomes "label_<value>".
        weights: fingerprint of the network's weights, for DICOM to tell what made the labels.
        compress: True to compress NRRD and MetaImage.

    Raises:
        InputError: the name has another ending, a volume would become a picture, or DICOM is asked for and the image is
            no DICOM series or nothing is labelled.
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
    elif name.endswith(DICOM_SUFFIXES):
        _write_dicom(path, label_map, source, labels or {}, weights)
    else:
        known = ", ".join((*NIFTI_SUFFIXES, *ITK_SUFFIXES, ".png", *DICOM_SUFFIXES))
        raise InputError(f"{path}: label maps are written as {known}. Give a name that ends in one of these.")


def _write_itk(path: Path, label_map: NDArray[np.uint8], source: Volume, compress: bool) -> None:
    import SimpleITK  # only those who write its formats should wait for it

    image = SimpleITK.GetImageFromArray(label_map.T)
    affine = LPS_TO_RAS @ itk_placed(source)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    with replacing(path) as unfinished:
        SimpleITK.WriteImage(image, str(unfinished), useCompression=compress)


def _write_dicom(
    path: Path, label_map: NDArray[np.uint8], source: Volume, labels: Mapping[str, int], weights: str
) -> None:
    # highdicom takes half a second to import, which those who write other formats should not wait for.
    from protoseg.data.io.label_writers.dicom_seg import write_dicom_seg
    from protoseg.data.io.label_writers.rtstruct import write_rtstruct

    series = Path(str(source.meta["filename_or_obj"]))
    if series.is_dir() and path.parent.resolve() == series.resolve():
        raise InputError(f"{path} would be in the folder of the series that it refers to. Choose another folder.")
    write = write_dicom_seg if path.name.lower().endswith(SEG) else write_rtstruct
    write(path, label_map, np.asarray(source.affine, float), labels, series, weights=weights)
