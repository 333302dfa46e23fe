"""Finds whether an image is rotated in its plane relative to the support, as a film that was scanned upside down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from protoseg.engine.contrast import compared_slices, explained
from protoseg.matching.matching import Prototypes
from protoseg.ops.slices import turn_slices

__all__ = ["quarter_turns"]

# Gains of the mean cosine that the turned image must have, see docs/engine_defaults.md. Of 101 pairs of real pictures
# as they are, none reaches the first; 24 have some gain. Of 39 pairs of volumes as they are, one has a gain, of .0003.
PICTURE_MARGIN = 0.04
VOLUME_MARGIN = 0.01


@torch.no_grad()
def quarter_turns(
    slices: Tensor, encode: Callable[[Tensor, Sequence[int]], Tensor], prototypes: Callable[[Tensor], Prototypes]
) -> int:
    """Tell by how many quarter turns, counterclockwise, slices must be turned to be upright like the support.

    Mirrored images are not detected: most of what is photographed looks the same in a mirror, and a trunk nearly so.

    Args:
        slices: (S, C, H, W) normalized slices of a volume; a picture is one.
        encode: function that gives features (B, C, h, w) of turned slices, by their indices.
        prototypes: function that gives the support prototypes for a slice, from its features (C, h, w).
    """
    few, places = compared_slices(slices)
    if len(places) > 3:
        places = places[1:-1]  # the first and the last may show little of what the support shows
    middle = (len(places) - 1) // 2

    def explained_turned(chosen: Sequence[int]) -> list[float]:
        encoded = [encode(turn_slices(few, turns), chosen) for turns in range(4)]
        return [float(torch.stack([explained(one, prototypes(one)) for one in each]).mean()) for each in encoded]

    scores = explained_turned([places[middle]])
    if len(places) > 1 and max(scores[1:]) > scores[0]:  # few images as they are need more than one slice
        scores = explained_turned(places)
    best = max(range(4), key=scores.__getitem__)
    return best if scores[best] > scores[0] + (PICTURE_MARGIN if len(slices) == 1 else VOLUME_MARGIN) else 0
