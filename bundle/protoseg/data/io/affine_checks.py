"""Refuses affines that no scanner writes but a damaged header may hold."""

from __future__ import annotations

import numpy as np

from protoseg.errors import InputError
from protoseg.files import PathLike

__all__ = ["check_affine"]

FLAT = 1e-6  # volume spanned by three axes of length 1
SPACINGS = (1e-6, 1e4)  # mm: from a nanometer, as of electron microscopes, to ten meters
FARTHEST = 1e7  # mm from the origin to the first voxel; scanners' own are within meters
STRETCHED = 1e4  # longest side of a voxel over its shortest


def check_affine(affine: np.ndarray, path: PathLike) -> None:
    """Refuse an affine (4 x 4, voxel index -> mm) that cannot be that of a scan.

    Raises:
        InputError: it is not finite or has no depth; its voxels are tiny, huge or threads, or lie kilometers away.
    """
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not lengths.all() or abs(np.linalg.det(affine[:3, :3] / lengths)) < FLAT:
        raise InputError(
            f"{path}: the affine {affine.tolist()} cannot be inverted, expected spacings above 0 mm. "
            "Export the image again with its geometry."
        )
    shortest, longest, origin = lengths.min(), lengths.max(), np.abs(affine[:3, 3]).max()
    if shortest < SPACINGS[0] or longest > SPACINGS[1] or longest > STRETCHED * shortest or origin > FARTHEST:
        raise InputError(
            f"{path}: its voxels are {' x '.join(f'{length:g}' for length in lengths)} mm large and begin {origin:g} "
            f"mm from the origin, expected {SPACINGS[0]:g} to {SPACINGS[1]:g} mm, no side {STRETCHED:g} times another, "
            f"and at most {FARTHEST:g} mm. The header is damaged or has another unit: export the image again."
        )
