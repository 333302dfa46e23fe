"""Whole numbers from what files hold as the values of labels."""

from __future__ import annotations

import numpy as np

from protoseg.errors import InputError
from protoseg.files import PathLike

__all__ = ["whole_voxels"]

TOLERANCE = 1e-3  # largest distance from its whole number at which resampling and scaling in float32 leave a label
LARGEST = np.iinfo(np.int16).max
AT_ONCE = 2**22  # voxels rounded at once, to avoid a second copy of a large scan


def whole_voxels(voxels: np.ndarray, path: PathLike) -> np.ndarray:
    """Round the voxels of a label map to int16; values farther than 0.001 from a whole number are refused.

    Raises:
        InputError: a voxel is no whole number, or outside 0..32767.
    """
    whole = np.empty_like(voxels, np.int16)  # in the order of the voxels in memory
    lowest, highest, broken, example = np.inf, -np.inf, 0, None
    for part, rounded in zip(_parts(voxels), _parts(whole)):
        with np.errstate(invalid="ignore"):
            values = np.round(part)
            wrong = ~(np.abs(part - values) <= TOLERANCE)  # true for NaN and infinity
            rounded[...] = values
        if wrong.any():
            broken += int(wrong.sum())
            example = part[wrong][0] if example is None else example
        elif values.size:
            lowest, highest = min(lowest, values.min()), max(highest, values.max())
    if broken:
        raise InputError(
            f"{path}: {broken} voxels are no whole numbers, such as {example!s}, "
            "expected one integer a voxel. Resample label maps with nearest neighbor and save them again."
        )
    if lowest < 0 or highest > LARGEST:
        raise InputError(
            f"{path}: the label values run from {lowest:.0f} to {highest:.0f}, expected 0 to {LARGEST}. "
            "Check that this is the label map and not the image."
        )
    return whole


def _parts(voxels: np.ndarray) -> list[np.ndarray]:
    """Divide voxels into views, along the axis on which they are farthest apart in memory."""
    axis = int(np.argmax([0 if size == 1 else abs(stride) for size, stride in zip(voxels.shape, voxels.strides)]))
    sections = min(voxels.shape[axis], max(1, voxels.size // AT_ONCE))
    return np.array_split(voxels, sections, axis)
