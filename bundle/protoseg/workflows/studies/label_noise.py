"""Labels as drawn in haste."""

from __future__ import annotations

from dataclasses import replace

import torch
from monai.transforms import Rand2DElastic

from protoseg.engine.support import SupportSet

__all__ = ["deform_labels"]

SPACING = 16  # pixels between the points that are moved, with all between them


def deform_labels(support: SupportSet, pixels: float, *, seed: int = 0) -> SupportSet:
    """Move the borders of all labels of a support about, smoothly, and leave the images as they are.

    A label that would vanish from a slice stays there as it was.

    Args:
        support: support whose masks are moved.
        pixels: largest move of a border, roughly, in pixels of the network's input; 0 moves nothing.
        seed: seed of the moves.
    """
    if not pixels:
        return support
    deform = Rand2DElastic(
        spacing=SPACING, magnitude_range=(pixels, pixels), prob=1.0, mode="nearest", padding_mode="border"
    )
    deform.set_random_state(seed)
    masks = torch.stack([_deformed(mask, deform) for mask in support.masks])
    return replace(support, masks=masks)


def _deformed(mask: torch.Tensor, deform: Rand2DElastic) -> torch.Tensor:
    moved = torch.as_tensor(deform(mask[None].float())).as_subclass(torch.Tensor)[0].to(mask)
    for label in mask.unique():
        if not (moved == label).any():
            moved[mask == label] = label
    return moved
