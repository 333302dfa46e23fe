"""Enlarges slices so that the patches of a feature map can show the labels on them.

A structure thinner than a patch fills half of none: it would be missing from the support and never be found. At 256
pixels with patches of 8, the vessels of a retina and the nuclei of a tissue vanish. What a feature map can show is
derived from the labels alone: their shares of patches, upsampled to pixels, are compared with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from protoseg.errors import InputError
from protoseg.ops.slices import fit_slices

__all__ = ["Magnification", "MagnifyToFit", "input_size", "shown_dice"]

FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0)  # each costs about twice as much as the one before


@dataclass(frozen=True)
class MagnifyToFit:
    """Magnifies pictures by the least factor that shows the labels well enough.

    Volumes stay as they are: magnified by 2, each of their slices would cost four times as much to encode and sixteen
    times as much to match.

    Args:
        stride: edge of a patch in pixels of the network's input.
        enough: mean Dice over labels that is enough, of the labels as a feature map can show them; found on the suite,
            see docs/engine_defaults.md.
    """

    stride: int
    enough: float = 0.85

    def factor(self, masks: Tensor, labels: int, *, image_size: int, is_picture: bool) -> float:
        """Choose a factor for masks (N, H, W) of labels 1 to `labels`."""
        if not is_picture:
            return FACTORS[0]
        for factor in FACTORS:
            size = _magnified(image_size, factor, self.stride)
            if shown_dice(masks, labels, size=size, stride=self.stride) >= self.enough:
                return factor
        return FACTORS[-1]


Magnification: TypeAlias = MagnifyToFit | float


def input_size(magnification: Magnification, masks: Tensor, labels: int, *, image_size: int, is_picture: bool) -> int:
    """Tell the edge in pixels to which slices with these masks are resized.

    Args:
        magnification: factor, or the rule that chooses one.
        masks: (N, H, W) masks, k = k-th label.
        labels: number of labels.
        image_size: edge of the network's input without magnification.
        is_picture: True for a scan of one slice.

    Raises:
        InputError: the factor is no number, below 1 or above 8.
    """
    if isinstance(magnification, MagnifyToFit):
        factor = magnification.factor(masks, labels, image_size=image_size, is_picture=is_picture)
        return _magnified(image_size, factor, magnification.stride)
    if not isinstance(magnification, int | float) or not 1 <= magnification <= 8:
        raise InputError(f"magnification is {magnification!r}; it must lie between 1 and 8.")
    return round(image_size * magnification)


def shown_dice(masks: Tensor, labels: int, *, size: int, stride: int) -> float:
    """Compute the mean Dice of labels with what a feature map of slices of some size can show of them.

    Args:
        masks: (N, H, W) masks, k = k-th label; absent labels do not count.
        labels: number of labels.
        size: edge of the slices in pixels.
        stride: edge of a patch in pixels.
    """
    fitted = fit_slices(masks[:, None], size, "nearest")
    patches = size // stride
    dice = []
    for label in range(1, 1 + labels):
        mask = (fitted[(masks == label).flatten(1).any(1)] == label).float()
        if not len(mask):
            continue
        shares = F.adaptive_avg_pool2d(mask, (patches, patches))
        shown = F.interpolate(shares, size=(size, size), mode="bilinear", align_corners=False) > 0.5
        dice.append(2 * (shown * mask).sum() / (shown.sum() + mask.sum()).clamp(min=1))
    return float(torch.stack(dice).mean()) if dice else 1.0


def _magnified(image_size: int, factor: float, stride: int) -> int:
    # A size that the user chose is left to the encoder, which refuses one that it cannot take.
    return image_size if factor == 1 else round(image_size * factor / stride) * stride
