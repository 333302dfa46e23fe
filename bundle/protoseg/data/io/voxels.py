"""Voxels as they were read or are in memory, with their place, before they are made a `Volume`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from protoseg.data.io.affine_checks import check_affine
from protoseg.errors import InputError
from protoseg.files import PathLike

__all__ = ["Grid", "checked_grid", "refuse_channels", "times", "volume_grid"]


class Grid(NamedTuple):
    """Voxels (C, X, Y, Z), their affine to RAS+ mm, "volume" or "picture", and further metadata."""

    voxels: np.ndarray
    affine: np.ndarray
    kind: str = "volume"
    details: Mapping[str, str] = {}


def checked_grid(grid: Grid, path: PathLike) -> Grid:
    """Give a grid back that has voxels, and an affine as of a scanner.

    Raises:
        InputError: it has none.
    """
    if not grid.voxels.size:
        raise InputError(f"{path} holds no voxels: it has {times(grid.voxels.shape[1:])}. Export the image again.")
    check_affine(grid.affine, path)
    return grid


def volume_grid(voxels: np.ndarray, affine: np.ndarray, path: PathLike, **details: str) -> Grid:
    """Arrange the voxels (X, Y, Z) of a volume, or those (X, Y, Z, C) of masks, as a `Grid`; axes of 1 may follow.

    Raises:
        InputError: there are more axes, or the voxels are complex or colors.
    """
    if voxels.dtype.kind not in "biuf":
        raise InputError(
            f"{path}: the voxels are of the type {voxels.dtype}, expected one real number each. Save the magnitude of "
            "complex voxels, or one channel of colored ones."
        )
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim == 5 and voxels.shape[3] == 1:  # NIfTI reserves the fourth for time
        voxels = voxels[:, :, :, 0]
    if voxels.ndim > 4:
        refuse_channels(path, voxels.shape)
    if voxels.ndim == 4:  # masks, or images of several times
        return Grid(np.moveaxis(voxels, 3, 0), affine, details=details)
    voxels = voxels.reshape(voxels.shape + (1,) * (3 - voxels.ndim))
    kept = voxels if voxels.dtype == np.int16 else voxels.astype(np.float32, copy=False)
    return Grid(kept[None], affine, details=details)


def refuse_channels(path: PathLike, shape: Sequence[int]) -> NoReturn:
    """Refuse an image of several volumes or channels, by its shape."""
    raise InputError(
        f"{path}: the image has {times(shape)} voxels in {len(shape)} dimensions, expected one 3D volume. Extract "
        "one, such as the first, [..., 0], into a file of its own."
    )


def times(shape: Sequence[int]) -> str:
    """Write a shape, as 512 x 512 x 90."""
    return " x ".join(map(str, shape))
