"""Images and labels that are in memory, as if they had been read from a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import torch
from nibabel.nifti1 import Nifti1Image
from nibabel.spatialimages import SpatialImage
from PIL.Image import Image as Picture

from protoseg.data.io.dicom import LPS_TO_RAS
from protoseg.data.io.label_sources.masks import NamedLabels
from protoseg.data.io.label_sources.one_hot import from_channels
from protoseg.data.io.nifti_forms import NIFTI_FORMS, NiftiForms, placement
from protoseg.data.io.pictures import label_pixels, one_page, picture_pixels
from protoseg.data.io.volumes import checked_image, checked_labels
from protoseg.data.io.voxels import Grid, checked_grid, volume_grid
from protoseg.engine.slice_axes import GUESSED
from protoseg.errors import InputError
from protoseg.files import PathLike
from protoseg.ops.volume import Placed, Volume

__all__ = ["InMemory", "Source", "image_source", "label_source", "source_name"]

if TYPE_CHECKING:
    import SimpleITK
    from monai.data import MetaTensor

InMemory: TypeAlias = "Volume | MetaTensor | SpatialImage | SimpleITK.Image | Picture"
Source: TypeAlias = "PathLike | InMemory"


def source_name(source: Source, default: str) -> str:
    """Name the source of an image: its path, the path that an object was read from, or a default."""
    if isinstance(source, Placed):
        return str(source.meta.get("filename_or_obj", default))
    if isinstance(source, SpatialImage):
        return str(source.get_filename() or default)
    return str(source) if isinstance(source, PathLike) else default


def image_source(source: Source, name: str) -> PathLike | Volume:
    """Give a path as it is, and an image in memory as `read_image` gives one.

    Args:
        source: path, image of nibabel, SimpleITK or Pillow, or `MetaTensor` (C, X, Y, Z).
        name: name for messages and results.

    Raises:
        InputError: it is of none of these types, or cannot be used as an image.
    """
    grid = _grid(source, name, lambda picture: picture_pixels(one_page(picture, name)))
    return grid if not isinstance(grid, Grid) else checked_image(grid, name)


def label_source(source: Source, name: str) -> PathLike | Volume:
    """Give a path as it is, and a label map in memory as `read_labels` gives one; arguments as of `image_source`.

    Raises:
        InputError: it is of another type, or cannot be used as a label map.
    """
    grid = _grid(source, name, lambda picture: label_pixels(one_page(picture, name), name))
    if not isinstance(grid, Grid):
        return grid
    voxels = from_channels(grid.voxels, name) if len(grid.voxels) > 1 else grid.voxels
    return checked_labels(NamedLabels(voxels, grid.affine, kind=grid.kind, details=grid.details), name)


def _grid(source: Any, name: str, pixels_of: Callable[[Picture], np.ndarray]) -> PathLike | Grid:
    grid = _any_grid(source, name, pixels_of)
    return checked_grid(grid, name) if isinstance(grid, Grid) else grid


def _any_grid(source: Any, name: str, pixels_of: Callable[[Picture], np.ndarray]) -> PathLike | Grid:
    if isinstance(source, Placed):
        source = Volume.of(source)
        if source.ndim != 4:
            raise InputError(f"{name}: the tensor has {source.ndim} dimensions, expected (C, X, Y, Z).")
        details = {key: value for key, value in source.meta.items() if key in (NIFTI_FORMS, GUESSED)}
        kind = str(source.meta.get("kind", "volume"))
        if source.is_complex():
            raise InputError(f"{name}: the voxels are complex, expected one real number each. Give their magnitude.")
        voxels = (source.as_tensor().float() if source.dtype == torch.bfloat16 else source.as_tensor()).cpu().numpy()
        return Grid(voxels, source.affine.cpu().numpy().astype(float), kind, details)
    if isinstance(source, SpatialImage):
        return _of_nibabel(source, name)
    if _is_of_itk(source):
        if source.GetNumberOfComponentsPerPixel() > 1 or source.GetDimension() != 3:
            raise InputError(f"{name}: expected a SimpleITK image of three dimensions and one value a voxel.")
        import SimpleITK  # imported already, as the source is its image

        return volume_grid(SimpleITK.GetArrayFromImage(source).T, placement(source), name)
    if isinstance(source, Picture):
        return Grid(pixels_of(source), LPS_TO_RAS.copy(), "picture")
    if isinstance(source, np.ndarray | torch.Tensor):
        raise InputError(
            f"{name}: an array does not say where its voxels are. Wrap it: nibabel.Nifti1Image(array, affine) for a "
            "volume (X, Y, Z), PIL.Image.fromarray(array) for a picture (H, W)."
        )
    if not isinstance(source, PathLike):
        raise InputError(
            f"{name} is of the type {type(source).__name__}; expected a path, or an image of nibabel, SimpleITK, "
            "Pillow or MONAI."
        )
    return source


def _is_of_itk(source: object) -> TypeGuard[SimpleITK.Image]:
    """Tell whether an object is an image of SimpleITK, without importing that."""
    return any(kind.__module__.startswith("SimpleITK") and kind.__name__ == "Image" for kind in type(source).__mro__)


def _of_nibabel(image: SpatialImage, name: str) -> Grid:
    affine, details = np.asarray(image.affine, float), {}
    if isinstance(image, Nifti1Image):
        header = image.header.copy()
        if not np.allclose(header.get_best_affine(), affine):  # it was edited; nibabel would save it as this
            header.set_sform(affine, code="aligned")
            header.set_qform(affine, code="unknown")
        forms = NiftiForms.of(header)
        affine = forms.affine
        details = {NIFTI_FORMS: forms.to_json()} | ({} if forms.oriented else {GUESSED: "yes"})
    return volume_grid(np.asarray(image.dataobj), affine, name, **details)
