"""MONAI's form of resampling to square pixels, see `resampling`."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys

from protoseg.data.preprocessing import steps
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.data.preprocessing.resampling import Mode, resample, square_size
from protoseg.ops.volume import Volume

__all__ = ["SquarePixels", "SquarePixelsd"]


class SquarePixels(InvertibleTransform):
    """Resample X and Y of an image (C, X, Y, Z) to the smaller of their two spacings; Z is not resampled. Invertible.

    An image whose two spacings agree within 1 % keeps its voxels as they are. Inverting restores a label map exactly:
    every pixel of the coarser grid has its center in one of the finer.

    Args:
        mode: "bilinear" for images, "nearest" for label maps.

    Example::

        SquarePixels()(coronal).shape  # (1, 400, 60, 300) of 1 x 5 x 1 mm -> (1, 400, 300, 300)
    """

    def __init__(self, mode: Mode = "bilinear") -> None:
        self.mode = mode

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Resample the image."""
        return self.resample(image, square_size(Volume.of(image)))

    def resample(self, image: MetaTensor, size: tuple[int, ...]) -> MetaTensor:
        """Resample the image to `size` voxels along X, Y, Z."""
        resampled = meta_tensor(resample(Volume.of(image), size, self.mode), traced=image)
        self.push_transform(resampled, orig_size=tuple(image.shape[1:]), extra_info={"mode": self.mode})
        return resampled

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Resample to the voxels that the image had before."""
        applied = self.pop_transform(data)
        size, mode = applied[TraceKeys.ORIG_SIZE], applied[TraceKeys.EXTRA_INFO]["mode"]
        return meta_tensor(resample(Volume.of(data), size, mode), traced=data)


class SquarePixelsd(MapTransform, InvertibleTransform):
    """Dictionary form of `SquarePixels`: all keys get the grid of the image of `source_key`. Invertible.

    Args:
        keys: keys of images on one grid.
        mode: interpolation of all keys, or of each.
        source_key: key of the image whose spacing counts.
        allow_missing_keys: True to pass over missing keys.
    """

    def __init__(
        self,
        keys: KeysCollection,
        mode: Mode | Sequence[Mode] = "bilinear",
        source_key: str = "image",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.step = steps.SquarePixels(keys, allow_missing_keys, mode, source_key)
        self.resamplers = [SquarePixels(key_mode) for key_mode in self.step.mode]  # type: ignore[arg-type]
        self.source_key = source_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample the image of each key."""
        result, size = dict(data), square_size(Volume.of(data[self.source_key]))
        for key, resampler in self.key_iterator(result, self.resamplers):
            result[key] = resampler.resample(result[key], size)
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample the image of each key back."""
        result = dict(data)
        for key, resampler in self.key_iterator(result, self.resamplers):
            result[key] = resampler.inverse(result[key])
        return result
