"""Turns a volume so that its slices are those of the plane in which it was acquired."""

from __future__ import annotations

import logging
from typing import Literal, get_args

import numpy as np
from nibabel.orientations import inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from protoseg.engine.slice_axes import PLANE_AXES, SliceAxes, is_oriented, plane_of
from protoseg.errors import InputError
from protoseg.ops.volume import Volume

__all__ = ["SLICE_AXES", "Orientation", "PlaneChoice", "check_plane", "find_orientation", "reversed_turn", "turn"]

logger = logging.getLogger(__name__)

PlaneChoice = Literal["auto", "axial", "coronal", "sagittal"]

SLICE_AXES = "slice_axes"  # key of a case: the directions that its slices must follow
# Distance of slices over size of pixels from which on a scan counts as acquired in slices. Below it, axial slices of
# other scans are cut nearly as finely, and the anatomy that encoders know best is axial.
ANISOTROPIC = 1.5

Orientation = NDArray[np.float64]  # 3 x 2, as nibabel's: for each axis its new place, and -1 where it is flipped


def check_plane(plane: str) -> None:
    """Refuse anything but a `PlaneChoice`.

    Raises:
        InputError: naming the planes.
    """
    if plane not in get_args(PlaneChoice):
        raise InputError(f"plane is {plane!r}, expected {', '.join(get_args(PlaneChoice))}.")


def find_orientation(image: Volume, plane: PlaneChoice = "auto", like: SliceAxes | None = None) -> Orientation:
    """Find the new place of each axis of an image.

    Args:
        image: (C, X, Y, Z) image.
        plane: "auto" to follow the acquisition: the plane with the finest pixels, axial where voxels are nearly as deep
            as wide, and a single slice's own; or one of the three planes.
        like: directions that the axes follow as closely as they can if the plane is "auto".
    """
    affine = np.asarray(image.affine, float)
    size = np.array(image.shape[1:])
    if plane != "auto":
        return io_orientation(_seen_from(PLANE_AXES[plane], affine))
    single = (size == 1).sum() == 1
    # Directions missing from a file cannot be followed, and a single slice seen edge-on would be a line.
    if like is not None and is_oriented(image) and not single:
        followed = io_orientation(_seen_from(like, affine))
        deepest = _acquired_through(affine)
        if deepest is not None and followed[deepest, 0] != 2:
            logger.warning(
                "%s states that its slices lie across those of the labelled scan: labels are looked for in slices "
                "through voxels that are %.1f mm deep. If it does not look so, its header states a wrong orientation.",
                image.meta.get("filename_or_obj", "The image"),
                np.linalg.norm(affine[:3, deepest]),
            )
        return followed
    through = int(size.argmin()) if single else _acquired_through(affine)
    if through is None:
        return io_orientation(_seen_from(PLANE_AXES["axial"], affine))
    direction = affine[:3, through] / np.linalg.norm(affine[:3, through])
    seen = _seen_from(PLANE_AXES[plane_of((direction, direction, direction))], affine)
    forwards = np.sign(seen[2, through])
    seen[2, :3], seen[:3, through] = 0, 0  # an oblique axis may be nearer to another one of the plane's
    seen[2, through] = forwards
    return io_orientation(seen)


def turn(image: Volume, orientation: Orientation) -> Volume:
    """Permute and flip the axes of an image (C, X, Y, Z) as an orientation says; voxels stay as they are."""
    places, flips = orientation[:, 0].astype(int), orientation[:, 1]
    voxels = image.as_tensor()
    turned_round = [axis + 1 for axis in range(3) if flips[axis] < 0]
    if turned_round:
        voxels = voxels.flip(turned_round)
    voxels = voxels.permute(0, *(np.argsort(places) + 1).tolist())
    affine = np.asarray(image.affine, float) @ inv_ornt_aff(orientation, image.shape[1:])
    return Volume.at(voxels, affine, image.meta)


def reversed_turn(orientation: Orientation) -> Orientation:
    """Give the orientation that turns an image back."""
    back = np.empty_like(orientation)
    for axis, (place, flip) in enumerate(orientation):
        back[int(place)] = axis, flip
    return back


def _acquired_through(affine: NDArray[np.float64]) -> int | None:
    """Find the axis along which voxels are clearly longest; None if there is none."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    _, second, longest = np.sort(spacing)
    return int(spacing.argmax()) if longest >= ANISOTROPIC * second else None


def _seen_from(axes: SliceAxes, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Express an affine in the frame of some axes, which need not be at right angles."""
    frame = np.eye(4)
    frame[:3, :3] = np.transpose(axes)
    return np.linalg.inv(frame) @ affine
