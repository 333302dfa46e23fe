"""The grid of a file's own voxels, seen from the grid that the preprocessing made of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protoseg.errors import InputError

__all__ = ["SourceGrid"]

OFF_AXIS = 1e-3  # of a voxel; what float32 headers make of a right angle


@dataclass(frozen=True)
class SourceGrid:
    """Maps between a file's voxels and those of its preprocessed volume, whose axes are the file's in some order.

    Turning, cropping and resampling along the axes are of this kind; rotating is not.

    Args:
        shape: voxels of the file along its own axes.
        affine: voxel index of the file -> RAS+ mm, 4 x 4.
        volume_shape: voxels of the preprocessed volume, X, Y, Z.
        volume_affine: the same for the preprocessed volume.

    Raises:
        InputError: the axes of the two grids are not parallel.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    volume_shape: tuple[int, ...]
    volume_affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        steps = np.abs(self._to_volume[:3, :3])
        # Over the whole volume: each axis follows one axis of the file alone.
        drift = (np.sort(steps, axis=1)[:, :2] * max(self.shape)).max()
        if drift > OFF_AXIS * max(self.shape) or len(set(self._axes)) < 3:
            raise InputError("The preprocessing rotates scans: label maps could not be brought back to their files.")

    @cached_property
    def _to_volume(self) -> NDArray[np.float64]:
        return np.linalg.inv(self.volume_affine) @ self.affine

    @cached_property
    def _axes(self) -> tuple[int, ...]:
        """For X, Y, Z of the volume, the axis of the file that runs along it."""
        return tuple(int(axis) for axis in np.abs(self._to_volume[:3, :3]).argmax(1))

    def label_map(self, slices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label map on the file's voxels, from one (S, H, W) on the preprocessed volume's, by nearest neighbor.

        Voxels that the preprocessing cut away are background.
        """
        volume = slices.transpose(2, 1, 0)
        nearest = [self._nearest(axis) for axis in range(3)]
        inside = [(index >= 0) & (index < size) for index, size in zip(nearest, volume.shape)]
        taken = volume[np.ix_(*(index[valid] for index, valid in zip(nearest, inside)))]
        whole = np.zeros(self.shape, np.uint8)
        along_volume = whole.transpose(self._axes)  # a view: writing to it fills `whole`
        along_volume[tuple(slice(*_extent(valid)) for valid in inside)] = taken
        return whole

    def slices(self, label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Slices (S, H, W) of the preprocessed volume, from a label map on the file's voxels, by nearest neighbor."""
        taken = []
        for axis, size in enumerate(self.volume_shape):
            step, offset = self._along(axis)
            nearest = _round((np.arange(size) - offset) / step)
            taken.append(nearest.clip(0, self.shape[self._axes[axis]] - 1))
        return np.ascontiguousarray(label_map.transpose(self._axes)[np.ix_(*taken)].transpose(2, 1, 0))

    def voxel(self, index: tuple[float, float, float]) -> tuple[int, int, int] | None:
        """Voxel X, Y, Z of the volume for a voxel index of the file; the nearest one where it was cut away.

        None when the index lies outside the file.
        """
        if not all(-0.5 <= i <= size - 0.5 for i, size in zip(index, self.shape)):
            return None
        place = self._to_volume[:3, :3] @ np.asarray(index, float) + self._to_volume[:3, 3]
        clipped = np.clip(_round(place), 0, np.array(self.volume_shape) - 1)
        return int(clipped[0]), int(clipped[1]), int(clipped[2])

    def _along(self, axis: int) -> tuple[float, float]:
        """Index along an axis of the volume = step x index along the file's axis that follows it + offset."""
        return float(self._to_volume[axis, self._axes[axis]]), float(self._to_volume[axis, 3])

    def _nearest(self, axis: int) -> NDArray[np.int64]:
        """Index along an axis of the volume, for every index along the file's axis that follows it."""
        step, offset = self._along(axis)
        return _round(np.arange(self.shape[self._axes[axis]]) * step + offset)


def _round(place: NDArray[np.float64]) -> NDArray[np.int64]:
    """Nearest index; rounding errors must not decide about a center that falls between two voxels."""
    return np.floor(place + 0.5 + 1e-6).astype(int)


def _extent(valid: NDArray[np.bool_]) -> tuple[int, int]:
    """First and one past the last True of a mask whose True values are in one run."""
    inside = np.flatnonzero(valid)
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
