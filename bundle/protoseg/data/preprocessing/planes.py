"""Scans turned so that their slices are those of the plane in which they were acquired."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys
from nibabel.orientations import inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from protoseg.engine.slice_axes import PLANE_AXES, SliceAxes, is_oriented, plane_of
from protoseg.errors import InputError

__all__ = ["SLICE_AXES", "OrientSlices", "OrientSlicesd", "PlaneChoice"]

PlaneChoice = Literal["auto", "axial", "coronal", "sagittal"]

SLICE_AXES = "slice_axes"  # key of a case: the directions that its slices are to follow, see `OrientSlicesd`
# Distance of slices over size of pixels from which on a scan counts as acquired in slices. Below it, axial slices of
# other scans are cut nearly as finely, and the anatomy that encoders know best is axial.
ANISOTROPIC = 1.5

Orientation = NDArray[np.float64]  # 3 x 2, as nibabel's: for each axis its new place, and -1 where it is turned round


class OrientSlices(InvertibleTransform):
    """Turn an image (C, X, Y, Z): X along the columns of its slices, Y along the rows, Z through them. Invertible.

    Axes are permuted and flipped, voxels stay as they are. Axial slices have the axes L, P, S, coronal ones L, I, P,
    sagittal ones P, I, L; oblique ones those of the nearest plane.

    Args:
        plane: "auto" follows the acquisition: the plane with the finest pixels, axial where voxels are nearly as deep
            as wide, and a single slice's own; or one of the three planes.

    Raises:
        InputError: the plane is unknown.

    Example::

        OrientSlices()(sagittal).shape  # (1, 20, 512, 512) of 4 x .5 x .5 mm -> (1, 512, 512, 20)
    """

    def __init__(self, plane: PlaneChoice = "auto") -> None:
        if plane not in get_args(PlaneChoice):
            raise InputError(f"plane is {plane!r}, expected {', '.join(get_args(PlaneChoice))}.")
        self.plane = plane

    def __call__(self, image: MetaTensor, like: SliceAxes | None = None) -> MetaTensor:
        """Turn the image; with `like`, whose plane "auto" then takes, its axes follow these as closely as they can."""
        return self.orient(image, self.orientation(image, like))

    def orientation(self, image: MetaTensor, like: SliceAxes | None = None) -> Orientation:
        """Find the new place of each axis of an image."""
        affine = np.asarray(image.affine, float)
        size = np.array(image.shape[1:])
        if self.plane != "auto":
            return io_orientation(_seen_from(PLANE_AXES[self.plane], affine))
        single = (size == 1).sum() == 1
        # What a file does not say cannot be followed, and a single slice seen from its edge would be a line.
        if like is not None and is_oriented(image) and not single:
            return io_orientation(_seen_from(like, affine))
        through = int(size.argmin()) if single else _acquired_through(affine)
        if through is None:
            return io_orientation(_seen_from(PLANE_AXES["axial"], affine))
        direction = affine[:3, through] / np.linalg.norm(affine[:3, through])
        seen = _seen_from(PLANE_AXES[plane_of((direction, direction, direction))], affine)
        forwards = np.sign(seen[2, through])
        seen[2, :3], seen[:3, through] = 0, 0  # an oblique axis may be nearer to another one of the plane's
        seen[2, through] = forwards
        return io_orientation(seen)

    def orient(self, image: MetaTensor, orientation: Orientation) -> MetaTensor:
        """Turn the image as an orientation says."""
        turned = _turned(image, orientation)
        self.push_transform(turned, extra_info={"orientation": orientation.tolist()})
        return turned

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Turn it back."""
        orientation = np.array(self.pop_transform(data)[TraceKeys.EXTRA_INFO]["orientation"])
        back = np.empty_like(orientation)
        for axis, (place, flip) in enumerate(orientation):
            back[int(place)] = axis, flip
        return _turned(data, back)


class OrientSlicesd(MapTransform, InvertibleTransform):
    """Dictionary form of `OrientSlices`: all keys are turned as the image of `source_key` is. Invertible.

    Where the case holds `SLICE_AXES`, those of a support, its slices follow them.

    Args:
        keys: images on one grid.
        plane: see `OrientSlices`.
        source_key: the image that decides.
        allow_missing_keys: pass over a key that is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        plane: PlaneChoice = "auto",
        source_key: str = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.orienter = OrientSlices(plane)
        self.source_key = source_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Turn the image of each key."""
        result = dict(data)
        orientation = self.orienter.orientation(result[self.source_key], result.pop(SLICE_AXES, None))
        for key in self.key_iterator(result):
            result[key] = self.orienter.orient(result[key], orientation)
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Undo it for each key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.orienter.inverse(result[key])
        return result


def _acquired_through(affine: NDArray[np.float64]) -> int | None:
    """The axis along which voxels are clearly longest, None where there is none."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    _, second, longest = np.sort(spacing)
    return int(spacing.argmax()) if longest >= ANISOTROPIC * second else None


def _seen_from(axes: SliceAxes, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine in the frame of some axes, which need not be at right angles."""
    frame = np.eye(4)
    frame[:3, :3] = np.transpose(axes)
    return np.linalg.inv(frame) @ affine


def _turned(image: MetaTensor, orientation: Orientation) -> MetaTensor:
    places, flips = orientation[:, 0].astype(int), orientation[:, 1]
    voxels = image.as_tensor()
    turned_round = [axis + 1 for axis in range(3) if flips[axis] < 0]
    if turned_round:
        voxels = voxels.flip(turned_round)
    voxels = voxels.permute(0, *(np.argsort(places) + 1).tolist())
    affine = np.asarray(image.affine, float) @ inv_ornt_aff(orientation, image.shape[1:])
    meta = {**image.meta, "affine": torch.as_tensor(affine)}
    return MetaTensor(voxels, meta=meta, applied_operations=list(image.applied_operations))
