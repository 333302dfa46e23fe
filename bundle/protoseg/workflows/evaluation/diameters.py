"""Largest diameters of a mask, between points of its surface, as pyradiomics measures them.

The surface runs halfway between the centers of voxels inside and outside, as marching cubes finds it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import cdist

__all__ = ["largest_diameter", "largest_in_plane_diameter"]

ROWS = 512  # of distances at a time, to bound the memory


def largest_diameter(mask: NDArray[np.bool_], columns: NDArray[np.float64]) -> float:
    """Measure in mm the largest distance between two points of the surface (Maximum3DDiameter).

    Args:
        mask: (X, Y, Z) mask, with a voxel in it.
        columns: (3, 3) steps in mm along X, Y and Z, one a column.
    """
    return _farthest(_hull(_ends(mask)) @ columns.T)


def largest_in_plane_diameter(mask: NDArray[np.bool_], columns: NDArray[np.float64], through: int) -> float:
    """Measure in mm the largest distance between two points of the outline in one slice (Maximum2DDiameterSlice).

    Args:
        mask: (X, Y, Z) mask, with a voxel in it.
        columns: (3, 3) steps in mm along X, Y and Z, one a column.
        through: axis along which the slices are stacked.
    """
    steps = np.delete(columns, through, axis=1)
    planes = np.moveaxis(mask, through, 0)
    return max(_farthest(_hull(_ends(plane)) @ steps.T) for plane in planes if plane.any())


def _ends(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Find where the surface first and last cuts each line of voxels along an axis (N, axes): others are between."""
    found: list[NDArray[np.float64]] = []
    for axis in range(mask.ndim):
        lines = np.moveaxis(mask, axis, -1)
        there = np.argwhere(lines.any(axis=-1))
        inside = lines[tuple(there.T)]
        first, last = inside.argmax(axis=1) - 0.5, inside.shape[1] - inside[:, ::-1].argmax(axis=1) - 0.5
        found.extend(np.insert(there.astype(float), axis, end, axis=1) for end in (first, last))
    return np.concatenate(found)


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:  # it gives up on too few points
        return points


def _farthest(points: NDArray[np.float64]) -> float:
    return max(float(cdist(points[i : i + ROWS], points).max()) for i in range(0, len(points), ROWS))
