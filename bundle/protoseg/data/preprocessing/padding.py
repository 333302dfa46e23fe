"""Padding: one value, far below all others, where a scanner or a program had no data."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["NO_HU_BELOW", "lowest_value", "padding_value", "without_padding"]

NO_HU_BELOW = -4096.0  # HU; no scanner reconstructs less: -32768 is padding whatever the rest is
FEWEST_VALUES = 16  # of an image; one with fewer is a phantom, whose air may be a single value
SAMPLES = 100_000  # voxels whose values are counted
AT_ONCE = 2**23  # voxels examined at once, to avoid a second copy of a large scan


def padding_value(image: Tensor) -> float | None:
    """Find the value that pads an image; None if none does.

    Below -4096 the lowest value is padding if the next one is at least -4096. Otherwise it is padding if it is negative
    and everything else is not: magnitude images (MR) are so, while CT has fat, lung and the partial volume of
    the skin between air and water. Images of a few values are phantoms, whose air may well be one value.
    """
    lowest = float(image.min())
    if lowest >= 0:
        return None
    next_value = _lowest_above(image, lowest)
    if lowest < NO_HU_BELOW:
        return lowest if NO_HU_BELOW <= next_value < torch.inf else None
    if not 0 <= next_value < torch.inf:
        return None
    voxels = image.flatten()
    sampled = voxels[:: max(1, len(voxels) // SAMPLES)]
    return lowest if len(torch.unique(sampled)) > FEWEST_VALUES else None


def without_padding(image: Tensor) -> Tensor:
    """Replace padding by the lowest of the other values; an image without padding is returned as it is."""
    padding = padding_value(image)
    if padding is None:
        return image
    rest = torch.as_tensor(_lowest_above(image, padding), dtype=image.dtype)
    return torch.where(image > padding, image, rest.to(image.device))


def lowest_value(image: Tensor) -> float:
    """Find the lowest value of an image that is not padding."""
    padding = padding_value(image)
    return float(image.min()) if padding is None else _lowest_above(image, padding)


def _lowest_above(image: Tensor, value: float) -> float:
    """Find the lowest value (C, X, Y, Z) above another; infinity if there is none."""
    columns = image.split(max(1, AT_ONCE * image.shape[1] // image.numel()), dim=1)
    return min(float(torch.where(part > value, part, torch.inf).min()) for part in columns)
