"""Whether a volume shows tissues in the reverse order of brightness, as CT beside some MR, or a film beside a print."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from protoseg.matching.matching import Prototypes, unit

__all__ = ["compared_slices", "explained", "is_inverted"]

PATCHES_A_SIDE = 32  # patches compared along each side; of a finer feature map every second, third ...
SLICES = 4  # number of slices compared, evenly spaced
# Gain of the mean cosine that the inverted volume must have. Of 123 pairs of real scans as they are, one reaches it;
# nine have some gain. See docs/engine_defaults.md.
MARGIN = 0.015


@torch.no_grad()
def is_inverted(
    slices: Tensor, encode: Callable[[Tensor, list[int]], Tensor], prototypes: Callable[[Tensor], Prototypes]
) -> bool:
    """Tell whether the support explains a volume better with its gray values negated.

    A slice is explained as well as its patches resemble the most similar patches of the support, on average.

    Args:
        slices: (S, C, H, W) normalized slices; color is never inverted.
        encode: function that gives features (B, C, h, w) of slices, by their indices.
        prototypes: function that gives the support prototypes for a slice, from its features (C, h, w).
    """
    if slices.shape[1] != 1:
        return False
    few, places = compared_slices(slices)  # a negative of the whole volume may never be needed
    plain, inverted = (
        torch.stack([explained(features, prototypes(features)) for features in encode(volume, places)]).mean()
        for volume in (few, -few)
    )
    return bool(inverted > plain + MARGIN)


def compared_slices(slices: Tensor) -> tuple[Tensor, list[int]]:
    """Take the slices of a volume (S, C, H, W) by which hypotheses are compared, and their neighbors.

    Returns:
        (N, C, H, W) slices, and the indices in them of those that are compared; the others are for a slice adapter.
    """
    indices = sorted({int((turn + 0.5) * len(slices) / SLICES) for turn in range(SLICES)})
    near = sorted({k for index in indices for k in (index - 1, index, index + 1) if 0 <= k < len(slices)})
    return slices[near], [near.index(index) for index in indices]


def explained(features: Tensor, prototypes: Prototypes) -> Tensor:
    """Measure how well prototypes explain features (C, h, w): the mean cosine to the most similar ones, a scalar."""
    step = max(1, features.shape[-1] // PATCHES_A_SIDE)
    patches = unit(features[:, ::step, ::step].flatten(1), dim=0)  # C x patches
    best = [(part.patches[0].flatten(0, 1) @ patches).amax(0) for part in prototypes.parts()]
    return torch.stack(best).amax(0).mean()
