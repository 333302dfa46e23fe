"""The grid of a file's own voxels, relative to the grid that the preprocessing made of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protoseg.errors import InputError

__all__ = ["SourceGrid"]

OFF_AXIS = 1e-3  # of a voxel; error of a right angle in float32 headers


@dataclass(frozen=True)
class SourceGrid:
    """Maps between a file's voxels and those of its preprocessed volume, whose axes are the file's in some order.

    Turning, cropping and resampling along the axes keep it so; rotating does not.

    Args:
        shape: number of voxels of the file along its own axes.
        affine: (4, 4) affine of the file, voxel index -> RAS+ mm.
        volume_shape: number of voxels of the preprocessed volume along X, Y, Z.
        volume_affine: (4, 4) affine of the preprocessed volume, voxel index -> RAS+ mm.

    Raises:
        InputError: the axes of the two grids are not parallel.
    """

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    volume_shape: tuple[int, ...]
    volume_affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        steps = np.abs(self._to_volume[:3, :3])
        # Each axis follows one axis of the file alone.
        if np.sort(steps, axis=1)[:, :2].max() > OFF_AXIS or len(set(self._axes)) < 3:
            raise InputError("The preprocessing rotates scans: label maps could not be brought back to their files.")

    @cached_property
    def _to_volume(self) -> NDArray[np.float64]:
        return np.linalg.inv(self.volume_affine) @ self.affine

    @cached_property
    def _axes(self) -> tuple[int, ...]:
        """Axes of the file that run along X, Y, Z of the volume."""
        return tuple(int(axis) for axis in np.abs(self._to_volume[:3, :3]).argmax(1))

    def label_map(self, slices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resample a label map (S, H, W) of the preprocessed volume on the file's voxels, by nearest neighbor.

        Voxels that the preprocessing cropped are background.
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
        """Resample a label map on the file's voxels on the slices (S, H, W) of the preprocessed volume, by nearest
        neighbor."""
        taken = []
        for axis, size in enumerate(self.volume_shape):
            step, offset = self._along(axis)
            nearest = _round((np.arange(size) - offset) / step)
            taken.append(nearest.clip(0, self.shape[self._axes[axis]] - 1))
        return np.ascontiguousarray(label_map.transpose(self._axes)[np.ix_(*taken)].transpose(2, 1, 0))

    def voxel(self, index: tuple[float, float, float]) -> tuple[int, int, int] | None:
        """Convert a voxel index of the file to a voxel X, Y, Z of the volume, the nearest one if it was cropped.

        None when the index lies outside the file.
        """
        if not all(-0.5 <= i <= size - 0.5 for i, size in zip(index, self.shape)):
            return None
        clipped = np.clip(_round(self._place(index)), 0, np.array(self.volume_shape) - 1)
        return int(clipped[0]), int(clipped[1]), int(clipped[2])

    def is_cropped(self, index: tuple[float, float, float]) -> bool:
        """Tell whether a voxel index of the file lies in what was cropped; what is beside the border does not."""
        steps = np.abs([self._along(axis)[0] for axis in range(3)])
        place, end = self._place(index), np.array(self.volume_shape) - 1
        return bool((np.maximum(-place, place - end) > 1.5 * np.maximum(steps, 1)).any())

    def _place(self, index: tuple[float, float, float]) -> NDArray[np.float64]:
        """Convert a voxel index of the file to one along X, Y, Z of the volume."""
        place: NDArray[np.float64] = self._to_volume[:3, :3] @ np.asarray(index, float) + self._to_volume[:3, 3]
        return place

    def _along(self, axis: int) -> tuple[float, float]:
        """Give (step, offset): index along an axis of the volume = step x index along the file's axis + offset."""
        return float(self._to_volume[axis, self._axes[axis]]), float(self._to_volume[axis, 3])

    def _nearest(self, axis: int) -> NDArray[np.int64]:
        """Give the index along an axis of the volume for every index along the file's matching axis."""
        step, offset = self._along(axis)
        return _round(np.arange(self.shape[self._axes[axis]]) * step + offset)


def _round(place: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round to the nearest index; rounding errors must not decide for a center halfway between two voxels."""
    return np.floor(place + 0.5 + 1e-6).astype(int)


def _extent(valid: NDArray[np.bool_]) -> tuple[int, int]:
    """Find the first and one past the last True of a mask whose True values are contiguous."""
    inside = np.flatnonzero(valid)
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
