"""Finds whether a picture is rotated relative to the support, as a film that was scanned upside down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from protoseg.engine.contrast import explained
from protoseg.matching.matching import Prototypes

__all__ = ["quarter_turns"]

# Gain of the mean cosine that the turned picture must have. Of 101 pairs of real pictures as they are, none reaches it;
# 24 have some gain. See docs/engine_defaults.md.
MARGIN = 0.04


@torch.no_grad()
def quarter_turns(
    picture: Tensor, encode: Callable[[Tensor, Sequence[int]], Tensor], prototypes: Callable[[Tensor], Prototypes]
) -> int:
    """Tell by how many quarter turns, counterclockwise, a picture must be turned to be upright like the support.

    Mirrored pictures are not detected: most of what is photographed looks the same in a mirror.

    Args:
        picture: (1, C, H, W) normalized picture.
        encode: function that gives features (1, C, h, w) of a turned picture.
        prototypes: function that gives the support prototypes for it, from its features (C, h, w).
    """
    scores = []
    for turns in range(4):
        features = encode(torch.rot90(picture, turns, (-2, -1)), [0])[0]
        scores.append(float(explained(features, prototypes(features))))
    best = max(range(4), key=scores.__getitem__)
    return best if scores[best] > scores[0] + MARGIN else 0
