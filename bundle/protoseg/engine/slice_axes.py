"""The plane of a volume's slices, as directions in the body."""

from __future__ import annotations

from typing import Literal

import numpy as np
from torch import Tensor

from protoseg.ops.volume import Placed

__all__ = ["GUESSED", "PLANE_AXES", "Plane", "SliceAxes", "is_oriented", "plane_of", "same_plane", "slice_axes"]

Plane = Literal["axial", "coronal", "sagittal"]

# Unit vectors in RAS along a volume's columns, rows and slices: the directions in which X, Y and Z grow.
SliceAxes = tuple[tuple[float, float, float], ...]

# As in radiology; slices are counted from the feet, from the front, and from the right.
PLANE_AXES: dict[Plane, SliceAxes] = {
    "axial": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),  # left, posterior, superior
    "coronal": ((-1, 0, 0), (0, 0, -1), (0, -1, 0)),  # left, inferior, posterior
    "sagittal": ((0, -1, 0), (0, 0, -1), (-1, 0, 0)),  # posterior, inferior, left
}
GUESSED = "guessed_orientation"  # key of an image's metadata, present if its file has no orientation
HALF_RIGHT_ANGLE = np.cos(np.deg2rad(45))


def is_oriented(image: Placed) -> bool:
    """Tell whether an image's file says where left and right are; a picture and a NIfTI without forms do not."""
    return image.meta.get("kind") != "picture" and GUESSED not in image.meta


def slice_axes(volume: Tensor) -> SliceAxes | None:
    """Give the directions of X, Y and Z of a volume (C, X, Y, Z); None if its file has none, as a picture."""
    if not isinstance(volume, Placed) or not is_oriented(volume):
        return None
    columns = np.asarray(volume.affine, float)[:3, :3]
    return tuple((float(x), float(y), float(z)) for x, y, z in (columns / np.linalg.norm(columns, axis=0)).T)


def plane_of(axes: SliceAxes | None) -> Plane:
    """Give the anatomical plane that the slices are nearest to; axial if nothing is known."""
    if axes is None:
        return "axial"
    return max(PLANE_AXES, key=lambda plane: abs(np.dot(axes[2], PLANE_AXES[plane][2])))


def same_plane(one: SliceAxes | None, other: SliceAxes | None) -> bool:
    """Tell whether slices are less than 45 degrees apart; unknown axes match any."""
    return one is None or other is None or abs(np.dot(one[2], other[2])) >= HALF_RIGHT_ANGLE
