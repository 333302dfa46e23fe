"""Whole numbers from what files hold as the values of labels."""

from __future__ import annotations

import numpy as np

from protoseg.errors import InputError
from protoseg.files import PathLike

__all__ = ["whole_voxels"]

TOLERANCE = 1e-3  # resampling and scaling in float32 leave a label this far from its whole number at most
LARGEST = np.iinfo(np.int16).max


def whole_voxels(voxels: np.ndarray, path: PathLike) -> np.ndarray:
    """Round the voxels of a label map to int16; what is further than 0.001 from a whole number is refused.

    Raises:
        InputError: a voxel is no whole number, or outside 0..32767.
    """
    with np.errstate(invalid="ignore"):
        rounded = np.round(voxels)
        whole = np.abs(voxels - rounded) <= TOLERANCE  # false for NaN and infinity
    if not whole.all():
        raise InputError(
            f"{path}: {int((~whole).sum())} voxels are no whole numbers, such as {voxels[~whole][0]!s}, "
            "expected one integer a voxel. Resample label maps with nearest neighbour and save them again."
        )
    if rounded.min() < 0 or rounded.max() > LARGEST:
        raise InputError(
            f"{path}: the label values run from {rounded.min():.0f} to {rounded.max():.0f}, expected 0 to {LARGEST}. "
            "Check that this is the label map and not the image."
        )
    return rounded.astype(np.int16)
