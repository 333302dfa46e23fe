"""Pixels as wide as they are high, so that the network sees anatomy in its true proportions."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Resize
from monai.utils import TraceKeys, ensure_tuple_rep

__all__ = ["SquarePixels", "SquarePixelsd"]

SQUARE = 1.01  # ratio of the two spacings up to which pixels count as square

Mode = Literal["bilinear", "nearest"]


class SquarePixels(InvertibleTransform):
    """Resample X and Y of an image (C, X, Y, Z) to the smaller of their two spacings; Z stays. Invertible.

    An image whose two spacings agree within 1 % keeps its voxels as they are. A label map comes back exactly:
    every pixel of the coarser grid has its centre in one of the finer.

    Args:
        mode: "bilinear" for images, "nearest" for label maps.

    Example::

        SquarePixels()(coronal).shape  # (1, 400, 60, 300) of 1 x 5 x 1 mm -> (1, 400, 300, 300)
    """

    def __init__(self, mode: Mode = "bilinear") -> None:
        self.mode = mode

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Resample the image."""
        return self.resample(image, square_size(image))

    def resample(self, image: MetaTensor, size: tuple[int, ...]) -> MetaTensor:
        """Resample the image to `size` voxels along X, Y, Z."""
        resampled = self._resize(image, size, self.mode)
        self.push_transform(resampled, orig_size=tuple(image.shape[1:]), extra_info={"mode": self.mode})
        return resampled

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Resample to the voxels that the image had before."""
        applied = self.pop_transform(data)
        return self._resize(data, applied[TraceKeys.ORIG_SIZE], applied[TraceKeys.EXTRA_INFO]["mode"])

    def _resize(self, image: MetaTensor, size: Sequence[int], mode: Mode) -> MetaTensor:
        if tuple(size) == tuple(image.shape[1:]):
            return cast(MetaTensor, image.clone())
        # torch's "nearest" takes the corner of a pixel, not its centre: labels would move by half a pixel.
        resize = Resize(tuple(size), mode="nearest-exact" if mode == "nearest" else mode)
        with resize.trace_transform(False):
            return cast(MetaTensor, resize(image).to(image.dtype))


class SquarePixelsd(MapTransform, InvertibleTransform):
    """Dictionary form of `SquarePixels`: all keys get the grid of the image of `source_key`. Invertible.

    Args:
        keys: images on one grid.
        mode: of all keys, or of each.
        source_key: the image whose spacing counts.
        allow_missing_keys: pass over a key that is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mode: Mode | Sequence[Mode] = "bilinear",
        source_key: str = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.resamplers = [SquarePixels(key_mode) for key_mode in ensure_tuple_rep(mode, len(self.keys))]
        self.source_key = source_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample the image of each key."""
        result, size = dict(data), square_size(data[self.source_key])
        for key, resampler in self.key_iterator(result, self.resamplers):
            result[key] = resampler.resample(result[key], size)
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Undo it for each key."""
        result = dict(data)
        for key, resampler in self.key_iterator(result, self.resamplers):
            result[key] = resampler.inverse(result[key])
        return result


def square_size(image: MetaTensor) -> tuple[int, ...]:
    """Voxels along X, Y, Z of an image (C, X, Y, Z) when X and Y have the smaller of their two spacings."""
    width, height, depth = image.shape[1:]
    x, y = np.linalg.norm(image.affine.cpu().numpy()[:3, :2], axis=0)
    finest = min(x, y)
    if max(x, y) <= SQUARE * finest:
        return width, height, depth
    return round(width * x / finest), round(height * y / finest), depth
