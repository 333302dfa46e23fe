"""Intensities of CT, MR and pictures on one scale, and the part of a scan that holds the body."""

from collections.abc import Hashable, Mapping
from typing import Any, Literal, cast, get_args

import cc3d
import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import (
    CropForeground,
    CropForegroundd,
    MapTransform,
    NormalizeIntensity,
    ScaleIntensityRange,
    ScaleIntensityRangePercentiles,
    Transform,
)
from scipy.ndimage import binary_fill_holes, grey_opening
from skimage.filters import threshold_otsu

from protoseg.data.preprocessing.hounsfield import warn_unless_hounsfield
from protoseg.data.preprocessing.padding import without_padding
from protoseg.errors import InputError
from protoseg.ops.windows import CT_WINDOW

__all__ = ["CropBody", "CropBodyd", "Modality", "NormalizeByModality", "NormalizeByModalityd", "modality_of"]

Modality = Literal["ct", "mr", "picture"]
ModalityChoice = Literal["auto", "ct", "mr", "picture"]

TAGS: dict[str, Modality] = {"CT": "ct", "MR": "mr"}  # DICOM (0008,0060)
MR_UPPER_PERCENTILE = 99.5  # published: the top 0.5 % is cut
AIR_BELOW = -500.0  # HU; only CT, which has air near -1000, goes so low

BODY_ABOVE_HU = -150.0  # below fat; where arm and trunk only touch, the average lies below it
BODY_PIXEL = 4.0  # mm; the body is looked for on pixels of this size
NARROWER_THAN_TRUNK = 40.0  # mm; what is thinner is table, skin fold or where an arm touches
FOUR_NEIGHBOURS = [[[0], [1], [0]], [[1], [1], [1]], [[0], [1], [0]]]  # in the plane of a slice


def modality_of(image: MetaTensor, choice: ModalityChoice = "auto") -> Modality:
    """Tell the modality of an image as it was read; any choice but "auto" is returned.

    A picture is known by `meta["kind"]`, and CT and MR by what a DICOM series says of itself, `meta["modality"]`. Else
    CT is known by air: a voxel below -500 HU that is no padding. All else is MR.

    Raises:
        InputError: the choice is no modality.
    """
    if choice not in get_args(ModalityChoice):
        raise InputError(f"modality: found {choice!r}, expected {', '.join(get_args(ModalityChoice))}.")
    if choice != "auto":
        return choice
    if image.meta.get("kind") == "picture":
        return "picture"
    said = TAGS.get(str(image.meta.get("modality", "")).upper())
    if said is not None:
        return said
    return "ct" if image.min() < AIR_BELOW and without_padding(image.as_tensor()).min() < AIR_BELOW else "mr"


class NormalizeByModality(Transform):
    """Bring an image (C, X, Y, Z) to zero mean and unit variance, as published for its modality.

    CT: window [-125, 275] HU scaled to 0..255, then z-score. MR: top 0.5 % cut, scaled to 0..255, then
    z-score. Picture: z-score of each channel.

    Args:
        modality: "auto" tells it from the image, see `modality_of`.
        subtrahend: mean to subtract, on the scale 0..255, such as a training fold's; the image's own if None.
        divisor: standard deviation to divide by, on the same scale; the image's own if None.

    Example::

        NormalizeByModality("ct", subtrahend=0, divisor=255)(hu([-1000, -125, 75, 275]))  # [0, 0, 0.5, 1]
    """

    def __init__(
        self, modality: ModalityChoice = "auto", subtrahend: float | None = None, divisor: float | None = None
    ) -> None:
        self.modality = modality
        self.scalers = {
            "ct": ScaleIntensityRange(*CT_WINDOW, b_min=0, b_max=255, clip=True),
            "mr": ScaleIntensityRangePercentiles(0, MR_UPPER_PERCENTILE, b_min=0, b_max=255, clip=True),
        }
        per_channel = subtrahend is None and divisor is None
        self.z_score = NormalizeIntensity(subtrahend, divisor, channel_wise=per_channel)  # type: ignore[arg-type]

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Return the normalised image; the given one is not changed."""
        modality = modality_of(image, self.modality)
        scaled = self.scalers[modality](image) if modality in self.scalers else image
        return cast(MetaTensor, self.z_score(cast(MetaTensor, scaled).clone()))


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
        self.normalise = NormalizeByModality(modality, subtrahend, divisor)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Normalise the image of each key."""
        return {**data, **{key: self.normalise(data[key]) for key in self.key_iterator(data)}}


class CropBody(CropForeground):
    """Crop X and Y of an image (C, X, Y, Z) to the body, without the table; Z stays whole. Invertible.

    The slices must be axial: Z along the body. Intensities are those of the file (HU in CT), so crop before
    `NormalizeByModality`. A picture, and a scan in which no body is found, stay whole.

    Args:
        margin: mm to keep around the body.
        modality: see `modality_of`.

    Example::

        CropBody(margin=10)(ct).shape  # (1, 512, 512, 90) -> (1, 401, 288, 90)
    """

    def __init__(self, margin: float = 10.0, modality: ModalityChoice = "auto") -> None:
        super().__init__(allow_smaller=True)
        self.margin_mm = margin
        self.modality = modality

    def compute_bounding_box(self, img: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """First and one-past-last voxel index (X, Y, Z) of what is kept."""
        image = cast(MetaTensor, img)
        size = np.array(image.shape[1:])
        start, end = np.zeros(3, dtype=int), size.copy()
        pixel = np.linalg.norm(image.affine.cpu().numpy()[:3, :2], axis=0)
        pooling = np.maximum(1, np.round(BODY_PIXEL / pixel)).astype(int)
        modality = modality_of(image, self.modality)
        warn_unless_hounsfield(image, modality)  # here, where the air around the body is still to be seen
        body = _body_mask(image, modality, pooling, pixel)
        if body.any():
            for axis in (0, 1):
                inside = np.flatnonzero(body.any(axis=(1 - axis, 2)))
                margin = int(np.ceil(self.margin_mm / pixel[axis]))
                start[axis] = max(0, inside[0] * pooling[axis] - margin)
                end[axis] = min(size[axis], (inside[-1] + 1) * pooling[axis] + margin)
        return start, end


class CropBodyd(CropForegroundd):
    """Dictionary form of `CropBody`: the body in the image of `source_key` crops every key. Invertible."""

    def __init__(
        self,
        keys: KeysCollection,
        source_key: str = "image",
        margin: float = 10.0,
        modality: ModalityChoice = "auto",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(
            keys, source_key, start_coord_key=None, end_coord_key=None, allow_missing_keys=allow_missing_keys
        )
        self.cropper = CropBody(margin, modality)


def _body_mask(image: MetaTensor, modality: Modality, pooling: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """Trunk in an image (C, X, Y, Z): mask (X / pooling, Y / pooling, Z), empty where none is found."""
    if modality == "picture":
        return np.zeros((1, 1, 1), dtype=bool)
    slices = image.as_tensor()[0].permute(2, 0, 1)[:, None]  # Z x 1 x X x Y
    # Averages over a few millimetres wipe out noise and the thin shell of the table.
    pooled = F.avg_pool2d(slices, tuple(pooling.tolist()), ceil_mode=True)
    coarse = pooled[:, 0].permute(1, 2, 0).cpu().numpy()
    threshold = BODY_ABOVE_HU if modality == "ct" else _mr_background(coarse)
    # Lungs and bowel gas are filled first, or the opening would eat the thin chest wall around them.
    solid = binary_fill_holes(coarse > threshold, FOUR_NEIGHBOURS)
    width = np.maximum(1, np.round(NARROWER_THAN_TRUNK / (pixel * pooling))).astype(int)
    trunk = _main_parts(grey_opening(solid.astype(np.uint8), size=(*width, 1)) > 0)
    whole = _main_parts(solid)
    # An opening that takes much away has met no trunk, but a hand, say, whose fingers must stay.
    return trunk if trunk.sum() > 0.7 * whole.sum() else whole


def _main_parts(mask: np.ndarray) -> np.ndarray:
    """Components at least a quarter as large as the largest: the trunk or both legs, but not an arm."""
    parts = cc3d.connected_components(mask.astype(np.uint8), connectivity=6)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= max(1, sizes.max() / 4))[parts]


def _mr_background(coarse: np.ndarray) -> float:
    """Intensity above which MR shows tissue: fat-suppressed skin lies far below the usual Otsu threshold."""
    darkest = coarse.min()
    return float(darkest + (threshold_otsu(coarse.clip(max=np.percentile(coarse, 99))) - darkest) / 4)
