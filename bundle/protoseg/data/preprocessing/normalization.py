"""Intensities of CT, MR and pictures on one scale."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from protoseg.data.preprocessing.modality import ModalityChoice, modality_of
from protoseg.ops.volume import Volume
from protoseg.ops.windows import CT_WINDOW

__all__ = ["MR_UPPER_PERCENTILE", "normalize"]

MR_UPPER_PERCENTILE = 99.5  # published: the top 0.5 % is cut
LARGEST_QUANTILE = 1_000_000  # values; torch.quantile takes no more than 16 million


def normalize(
    image: Volume,
    modality: ModalityChoice = "auto",
    subtrahend: float | None = None,
    divisor: float | None = None,
) -> Volume:
    """Bring an image (C, X, Y, Z) to zero mean and unit variance, as published for its modality.

    CT: window [-125, 275] HU scaled to 0..255, then z-score. MR: top 0.5 % cut, scaled to 0..255, then
    z-score. Picture: z-score of each channel. Equal to MONAI's `ScaleIntensityRange`, `ScaleIntensityRangePercentiles`
    and `NormalizeIntensity` bit for bit.

    Args:
        image: (C, X, Y, Z) image, which is not changed.
        modality: "ct", "mr" or "picture"; "auto" to tell it from the image, see `modality_of`.
        subtrahend: mean to subtract, on the scale 0..255, such as that of a training fold; by default the image's own.
        divisor: standard deviation to divide by, on the same scale; by default the image's own.
    """
    kind, voxels = modality_of(image, modality), image.as_tensor().float()
    if kind == "ct":
        voxels = _to_bytes(voxels, *CT_WINDOW)
    elif kind == "mr":
        voxels = _to_bytes(voxels, _percentile(voxels, 0.0), _percentile(voxels, MR_UPPER_PERCENTILE))
    else:
        voxels = voxels.clone()
    own = subtrahend is None and divisor is None
    for part in voxels if own else [voxels]:
        _z_score_(part, subtrahend, divisor)
    return Volume.at(voxels, image.affine, image.meta)


def _to_bytes(voxels: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Scale intensities from low..high to 0..255, and clip them, in one copy, because volumes are large."""
    scaled = voxels - low
    return scaled if high - low == 0.0 else scaled.div_(high - low).mul_(255).clamp_(0, 255)


def _percentile(voxels: Tensor, percent: float) -> Tensor:
    if voxels.numel() > LARGEST_QUANTILE:
        return torch.as_tensor(np.percentile(voxels.cpu().numpy(), percent)).to(voxels)
    return torch.quantile(voxels, torch.as_tensor(percent / 100).to(voxels))


def _z_score_(voxels: Tensor, mean: float | None, deviation: float | None) -> None:
    """Subtract the mean and divide by the standard deviation, in place; by default the voxels' own."""
    mean = voxels.mean().item() if mean is None else mean
    deviation = voxels.std(unbiased=False).item() if deviation is None else deviation
    voxels.sub_(mean).div_(deviation or 1.0)
