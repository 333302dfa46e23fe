"""Slices of any plane through a volume of maps, so that people are seen as every scanner cuts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.subjects import FRAME, Box

__all__ = ["PLANES", "Plane", "cut", "random_rotation", "small_rotation"]

Vectors = NDArray[np.float64]

PLANES: dict[str, Vectors] = {
    "axial": np.array([[0, -1, 0], [-1, 0, 0], [0, 0, 1]], dtype=np.float64),
    "coronal": np.array([[0, 0, -1], [-1, 0, 0], [0, -1, 0]], dtype=np.float64),
    "sagittal": np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]], dtype=np.float64),
}
"""Directions in the axes of a volume (right, front, up) along which rows and columns grow, and the slices' normal."""


@dataclass(frozen=True)
class Plane:
    """A cut through a volume: the middle of the slice in mm from the volume's first voxel, and three unit vectors."""

    centre: Vectors
    """(3,)."""
    directions: Vectors
    """(3, 3): along the rows, along the columns, and the normal, see `PLANES`."""
    pixel: float
    """mm of the slice."""

    def box(self, lower: Vectors, upper: Vectors) -> Box:
        """Give the rows and columns of the slice that a block of the volume projects to, inside the frame.

        `lower` and `upper` (3,) are two of the block's corners in mm from the volume's first voxel.
        """
        middle, half = (lower + upper) / 2 - self.centre, (upper - lower) / 2
        reach = np.abs(self.directions[:2]) @ half
        place = self.directions[:2] @ middle
        edges = FRAME / 2 + np.stack([place - reach, place + reach]) / self.pixel
        (top, left), (bottom, right) = edges.round().astype(int).clip(0, FRAME).tolist()
        return Box(top, bottom, left, right)


def cut(volume: NDArray[np.uint8], plane: Plane, voxel: float) -> NDArray[np.uint8]:
    """Cut maps (4, FRAME, FRAME) out of a volume of maps (X, Y, Z, 4) of cubes of `voxel` mm; 0 beyond its ends.

    Each pixel shows the voxel that it is in, because the maps are names, which do not mix. If the voxel next to it
    holds another tissue, that one is the pixel's lesser tissue, so that oblique surfaces are imaged without steps.
    """
    offsets = plane.pixel * (np.arange(FRAME, dtype=np.float32) - (FRAME - 1) / 2) / np.float32(voxel)
    directions, centre = plane.directions.astype(np.float32), (plane.centre / voxel).astype(np.float32)
    rows, columns = directions[0][:, None] * offsets, directions[1][:, None] * offsets
    where = centre[:, None, None] + rows[:, :, None] + columns[:, None, :]  # 3 x FRAME x FRAME, in voxels
    nearest = np.floor(where + 0.5).astype(np.intp)
    last = np.array(volume.shape[:3])[:, None] - 1
    inside = ((nearest >= 0) & (nearest <= last[:, :, None])).all(0)
    maps = np.zeros((FRAME, FRAME, 4), dtype=np.uint8)
    maps[..., 2] = 255
    maps[inside] = _with_neighbour(volume, nearest[:, inside], where[:, inside], last)
    return np.ascontiguousarray(maps.transpose(2, 0, 1))


def _with_neighbour(
    volume: NDArray[np.uint8], nearest: NDArray[np.intp], where: NDArray[np.float32], last: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Maps (P, 4) at points `where` (3, P), whose voxels are `nearest`; of unlike neighbors the closest counts."""
    aside = where - nearest  # -0.5 to 0.5
    maps = volume[tuple(nearest)]
    tissue = maps[:, 0].copy()
    for axis in range(3):
        beside = nearest.copy()
        beside[axis] += np.where(aside[axis] < 0, -1, 1)
        beside[axis] = beside[axis].clip(0, last[axis])
        other = volume[(*beside, 0)]
        share = np.round(255 * (1 - np.abs(aside[axis]))).astype(np.uint8)
        mixed = (other != tissue) & (share < maps[:, 2])
        maps[mixed, 1], maps[mixed, 2] = other[mixed], share[mixed]
    return maps


def random_rotation(rng: np.random.Generator) -> Vectors:
    """Draw any rotation (3, 3), uniformly."""
    w, x, y, z = (quaternion := rng.standard_normal(4)) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def small_rotation(rng: np.random.Generator, deviation: float) -> Vectors:
    """Draw a rotation (3, 3) about a random axis by an angle of this standard deviation in radians."""
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = rng.normal(0, deviation)
    turned: Vectors = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned
