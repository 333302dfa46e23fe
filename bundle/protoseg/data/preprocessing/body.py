"""The part of a scan that holds the body, without the table."""

from __future__ import annotations

import cc3d
import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_fill_holes, grey_opening
from skimage.filters import threshold_otsu

from protoseg.data.preprocessing.hounsfield import warn_unless_hounsfield
from protoseg.data.preprocessing.modality import Modality, ModalityChoice, modality_of
from protoseg.ops.volume import Volume

__all__ = ["MARGIN", "body_box", "crop"]

MARGIN = 10.0  # mm that are kept around the body
BODY_ABOVE_HU = -150.0  # below fat; where arm and trunk just touch, the average is below it
SLICES_AT_ONCE = 16  # slices converted to float to be averaged
BODY_PIXEL = 4.0  # mm; the body is looked for on pixels of this size
NARROWER_THAN_TRUNK = 40.0  # mm; thinner parts are the table, a fold of skin or the touch of an arm
FOUR_NEIGHBOURS = [[[0], [1], [0]], [[1], [1], [1]], [[0], [1], [0]]]  # in the plane of a slice


def body_box(image: Volume, margin: float = MARGIN, modality: ModalityChoice = "auto") -> tuple[np.ndarray, np.ndarray]:
    """Find the first and one-past-last voxel index (X, Y, Z) of the body and a margin around it; Z is not cropped.

    A picture, and a scan in which no body is found, are not cropped.

    Args:
        image: (C, X, Y, Z) image, slices axial, intensities as in the file (HU in CT).
        margin: margin around the body in mm.
        modality: modality of the scan, see `modality_of`.
    """
    size = np.array(image.shape[1:])
    start, end = np.zeros(3, dtype=int), size.copy()
    pixel = np.linalg.norm(image.affine.cpu().numpy()[:3, :2], axis=0)
    pooling = np.maximum(1, np.round(BODY_PIXEL / pixel)).astype(int)
    kind = modality_of(image, modality)
    warn_unless_hounsfield(image, kind)  # here, while the air around the body is still visible
    body = _body_mask(image, kind, pooling, pixel)
    if body.any():
        for axis in (0, 1):
            inside = np.flatnonzero(body.any(axis=(1 - axis, 2)))
            around = int(np.ceil(margin / pixel[axis]))
            start[axis] = max(0, inside[0] * pooling[axis] - around)
            end[axis] = min(size[axis], (inside[-1] + 1) * pooling[axis] + around)
    return start, end


def crop(image: Volume, start: np.ndarray, end: np.ndarray) -> Volume:
    """Crop an image (C, X, Y, Z) to a box of voxel indices."""
    inside = tuple(slice(int(first), int(last)) for first, last in zip(start, end))
    shift = np.eye(4)
    shift[:3, 3] = start
    return Volume.at(image.as_tensor()[:, *inside], np.asarray(image.affine, float) @ shift, image.meta)


def _body_mask(image: Volume, modality: Modality, pooling: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """Mask the trunk in an image (C, X, Y, Z): (X / pooling, Y / pooling, Z), empty if none is found."""
    if modality == "picture":
        return np.zeros((1, 1, 1), dtype=bool)
    slices = image.as_tensor()[0].permute(2, 0, 1)[:, None]  # Z x 1 x X x Y
    # Averages over a few millimeters wipe out noise and the thin shell of the table.
    few = (F.avg_pool2d(part.float(), tuple(pooling.tolist()), ceil_mode=True) for part in slices.split(SLICES_AT_ONCE))
    pooled = torch.cat(list(few))
    coarse = pooled[:, 0].permute(1, 2, 0).cpu().numpy()
    threshold = BODY_ABOVE_HU if modality == "ct" else _mr_background(coarse)
    # Lungs and bowel gas are filled first, or the opening would eat the thin chest wall around them.
    solid = binary_fill_holes(coarse > threshold, FOUR_NEIGHBOURS)
    width = np.maximum(1, np.round(NARROWER_THAN_TRUNK / (pixel * pooling))).astype(int)
    trunk = _main_parts(grey_opening(solid.astype(np.uint8), size=(*width, 1)) > 0)
    whole = _main_parts(solid)
    # An opening that removes much has not met a trunk but, say, a hand, whose fingers must stay.
    return trunk if trunk.sum() > 0.7 * whole.sum() else whole


def _main_parts(mask: np.ndarray) -> np.ndarray:
    """Keep components at least a quarter as large as the largest: the trunk or both legs, but not an arm."""
    parts = cc3d.connected_components(mask.astype(np.uint8), connectivity=6)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (sizes >= max(1, sizes.max() / 4))[parts]


def _mr_background(coarse: np.ndarray) -> float:
    """Find the intensity above which MR shows tissue: fat-suppressed skin is far below the usual Otsu threshold."""
    pixels = coarse.ravel()  # flat: skimage takes three or four slices for the channels of a picture, and warns
    darkest = pixels.min()
    return float(darkest + (threshold_otsu(pixels.clip(max=np.percentile(pixels, 99))) - darkest) / 4)
