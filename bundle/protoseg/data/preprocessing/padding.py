"""Padding: one value, far below all others, where a scanner or a program had nothing to say."""

from __future__ import annotations

import torch

__all__ = ["NO_HU_BELOW", "padding_value", "without_padding"]

NO_HU_BELOW = -4096.0  # HU; no scanner reconstructs less: -32768 is padding whatever the rest is
FEWEST_VALUES = 16  # of an image; one of fewer is a phantom, whose air may be one value
SAMPLES = 100_000  # voxels whose values are counted


def padding_value(image: torch.Tensor) -> float | None:
    """Find the value that pads an image; None where none does.

    Below -4096 the lowest value is padding where the next one is at least -4096. Else it is padding where it is
    negative and everything else is not: so magnitude images are (MR), while CT has fat, lung and the partial volume of
    the skin between air and water. Images of a few values are phantoms, whose air may well be one value.
    """
    lowest = float(image.min())
    if lowest >= 0:
        return None
    next_value = float(torch.where(image > lowest, image, torch.inf).min())
    if lowest < NO_HU_BELOW:
        return lowest if NO_HU_BELOW <= next_value < torch.inf else None
    if not 0 <= next_value < torch.inf:
        return None
    voxels = image.flatten()
    sampled = voxels[:: max(1, len(voxels) // SAMPLES)]
    return lowest if len(torch.unique(sampled)) > FEWEST_VALUES else None


def without_padding(image: torch.Tensor) -> torch.Tensor:
    """Replace padding by the lowest of the other values; an image without padding comes back as it is."""
    padding = padding_value(image)
    if padding is None:
        return image
    rest = torch.where(image > padding, image, torch.inf).min()
    return torch.where(image > padding, image, rest)
