"""MONAI's form of turning scans, see `orientation`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys

from protoseg.data.preprocessing import steps
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.data.preprocessing.orientation import (
    SLICE_AXES,
    Orientation,
    PlaneChoice,
    check_plane,
    find_orientation,
    reversed_turn,
    turn,
)
from protoseg.engine.slice_axes import SliceAxes
from protoseg.ops.volume import Volume

__all__ = ["SLICE_AXES", "OrientSlices", "OrientSlicesd", "PlaneChoice"]


class OrientSlices(InvertibleTransform):
    """Turn an image (C, X, Y, Z): X along the columns of its slices, Y along the rows, Z through them. Invertible.

    Axes are permuted and flipped; voxels are not changed. Axial slices have the axes L, P, S, coronal ones L, I, P,
    sagittal ones P, I, L; oblique ones those of the nearest plane.

    Args:
        plane: plane of the slices, see `find_orientation`.

    Raises:
        InputError: the plane is unknown.

    Example::

        OrientSlices()(sagittal).shape  # (1, 20, 512, 512) of 4 x .5 x .5 mm -> (1, 512, 512, 20)
    """

    def __init__(self, plane: PlaneChoice = "auto") -> None:
        check_plane(plane)
        self.plane = plane

    def __call__(self, image: MetaTensor, like: SliceAxes | None = None) -> MetaTensor:
        """Turn the image; with `like` and "auto", its axes follow these as closely as they can."""
        return self.orient(image, self.orientation(image, like))

    def orientation(self, image: MetaTensor, like: SliceAxes | None = None) -> Orientation:
        """Find the new place of each axis of an image."""
        return find_orientation(Volume.of(image), self.plane, like)

    def orient(self, image: MetaTensor, orientation: Orientation) -> MetaTensor:
        """Turn the image as an orientation says."""
        turned = meta_tensor(turn(Volume.of(image), orientation), traced=image)
        self.push_transform(turned, extra_info={"orientation": orientation.tolist()})
        return turned

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Turn the image back."""
        orientation = np.array(self.pop_transform(data)[TraceKeys.EXTRA_INFO]["orientation"])
        return meta_tensor(turn(Volume.of(data), reversed_turn(orientation)), traced=data)


class OrientSlicesd(MapTransform, InvertibleTransform):
    """Dictionary form of `OrientSlices`: all keys are turned as the image of `source_key` is. Invertible.

    If the case holds `SLICE_AXES`, those of a support, its slices follow them.

    Args:
        keys: keys of images on one grid.
        plane: plane of the slices, see `OrientSlices`.
        source_key: key of the image that decides.
        allow_missing_keys: True to pass over missing keys.
    """

    def __init__(
        self,
        keys: KeysCollection,
        plane: PlaneChoice = "auto",
        source_key: str = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.step = steps.OrientSlices(keys, allow_missing_keys, plane, source_key)
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
        """Turn the image of each key back."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.orienter.inverse(result[key])
        return result
