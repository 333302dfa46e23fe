"""The choice of the 3D components to keep of a volume's labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from protoseg.ops.components import Box, ComponentFilter, keep_most_confident

__all__ = ["keep_components"]


def keep_components(
    label_map: NDArray[np.uint8],
    certainty: NDArray[np.uint8],
    boxes: Sequence[Box | None],
    counts: Sequence[int],
    rule: ComponentFilter,
) -> None:
    """Drop the unwanted components of each label, in place.

    Args:
        label_map: (S, H, W) label map, 0 = background, k = k-th label.
        certainty: (S, H, W) values proportional to the probability of the label of each pixel.
        boxes: box around each label; None for a label that is nowhere.
        counts: number of components of each label on the support.
        rule: "support" to keep as many as there, and those that are as large and sure; "one" to keep the most
            confident; "none" to drop nothing.
    """
    if rule == "none":
        return
    for position, (box, count) in enumerate(zip(boxes, counts), start=1):
        if box is None:
            continue
        mask = label_map[box] == position
        by_support = rule == "support"
        kept = keep_most_confident(mask, certainty[box], count=count if by_support else 1, alike=by_support)
        if kept is not mask:
            np.copyto(label_map[box], 0, where=mask & ~kept)
