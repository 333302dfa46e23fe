"""MONAI's form of the crop to the body and of the normalization, see `body` and `normalization`."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import CropForeground, CropForegroundd, MapTransform, Transform

from protoseg.data.preprocessing import steps
from protoseg.data.preprocessing.body import MARGIN, body_box
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.data.preprocessing.modality import ModalityChoice
from protoseg.data.preprocessing.normalization import normalize
from protoseg.ops.volume import Volume

__all__ = ["CropBody", "CropBodyd", "NormalizeByModality", "NormalizeByModalityd"]


class NormalizeByModality(Transform):
    """Bring an image (C, X, Y, Z) to zero mean and unit variance, as published for its modality; see `normalize`.

    Args:
        modality: "ct", "mr" or "picture"; "auto" to tell it from the image, see `modality_of`.
        subtrahend: mean to subtract, on the scale 0..255, such as that of a training fold; by default the image's own.
        divisor: standard deviation to divide by, on the same scale; by default the image's own.

    Example::

        NormalizeByModality("ct", subtrahend=0, divisor=255)(hu([-1000, -125, 75, 275]))  # [0, 0, 0.5, 1]
    """

    def __init__(
        self, modality: ModalityChoice = "auto", subtrahend: float | None = None, divisor: float | None = None
    ) -> None:
        self.modality = modality
        self.subtrahend = subtrahend
        self.divisor = divisor

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Return the normalized image; the given one is not changed."""
        normalized = normalize(Volume.of(image), self.modality, self.subtrahend, self.divisor)
        return meta_tensor(normalized, traced=image)


class NormalizeByModalityd(MapTransform):
    """Dictionary form of `NormalizeByModality`."""

    def __init__(
        self,
        keys: KeysCollection,
        modality: ModalityChoice = "auto",
        subtrahend: float | None = None,
        divisor: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.step = steps.NormalizeIntensity(keys, allow_missing_keys, modality, subtrahend, divisor)
        self.normalise = NormalizeByModality(modality, subtrahend, divisor)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Normalize the image of each key."""
        return {**data, **{key: self.normalise(data[key]) for key in self.key_iterator(data)}}


class CropBody(CropForeground):
    """Crop X and Y of an image (C, X, Y, Z) to the body, without the table; Z is not cropped. Invertible.

    The slices must be axial: Z along the body. Intensities are those of the file (HU in CT), so crop before
    `NormalizeByModality`. A picture, and a scan in which no body is found, are not cropped.

    Args:
        margin: margin kept around the body in mm.
        modality: modality of the scan, see `modality_of`.

    Example::

        CropBody(margin=10)(ct).shape  # (1, 512, 512, 90) -> (1, 401, 288, 90)
    """

    def __init__(self, margin: float = MARGIN, modality: ModalityChoice = "auto") -> None:
        super().__init__(allow_smaller=True)
        self.margin_mm = margin
        self.modality = modality

    def compute_bounding_box(self, img: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Find the first and one-past-last voxel index (X, Y, Z) of the part to keep."""
        return body_box(Volume.of(img), self.margin_mm, self.modality)


class CropBodyd(CropForegroundd):
    """Dictionary form of `CropBody`: the body in the image of `source_key` crops every key. Invertible."""

    def __init__(
        self,
        keys: KeysCollection,
        source_key: str = "image",
        margin: float = MARGIN,
        modality: ModalityChoice = "auto",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(
            keys, source_key, start_coord_key=None, end_coord_key=None, allow_missing_keys=allow_missing_keys
        )
        self.step = steps.CropBody(keys, allow_missing_keys, source_key, margin, modality)
        self.cropper = CropBody(margin, modality)
