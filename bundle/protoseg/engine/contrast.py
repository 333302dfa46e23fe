"""Whether a volume shows tissues in the reverse order of brightness, as CT beside some MR, or a film beside a print."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from protoseg.matching.matching import Prototypes, unit

__all__ = ["explained", "is_inverted"]

PATCHES_A_SIDE = 32  # to judge by; of a finer feature map every second, third ...
SLICES = 4  # to judge by, evenly spaced
# Of the mean cosine, by which the inverted volume must be explained better. Of 123 pairs of real scans as they are, it
# is in one; without a margin in nine. See docs/engine_defaults.md.
MARGIN = 0.015


@torch.no_grad()
def is_inverted(
    slices: Tensor, encode: Callable[[Tensor, list[int]], Tensor], prototypes: Callable[[Tensor], Prototypes]
) -> bool:
    """Tell whether the support explains a volume better when its gray values are negated.

    A slice is explained as well as its patches are like the most alike patches of the support, on average.

    Args:
        slices: (S, C, H, W), normalized; in color nothing is inverted.
        encode: features (B, C, h, w) of slices at some indices.
        prototypes: of the support that serve a slice, from its features (C, h, w).
    """
    if slices.shape[1] != 1:
        return False
    indices = sorted({int((turn + 0.5) * len(slices) / SLICES) for turn in range(SLICES)})
    near = sorted({k for index in indices for k in (index - 1, index, index + 1) if 0 <= k < len(slices)})
    few = slices[near]  # with their neighbors: a negative of the whole volume may never be needed
    places = [near.index(index) for index in indices]
    plain, inverted = (
        torch.stack([explained(features, prototypes(features)) for features in encode(volume, places)]).mean()
        for volume in (few, -few)
    )
    return bool(inverted > plain + MARGIN)


def explained(features: Tensor, prototypes: Prototypes) -> Tensor:
    """Tell how well prototypes explain features (C, h, w): the mean cosine to what is most alike, a scalar."""
    step = max(1, features.shape[-1] // PATCHES_A_SIDE)
    patches = unit(features[:, ::step, ::step].flatten(1), dim=0)  # C x patches
    best = [(part.patches[0].flatten(0, 1) @ patches).amax(0) for part in prototypes.parts()]
    return torch.stack(best).amax(0).mean()
