"""Clicks as a careful user sets them, for tests and studies: each in the middle of what is most wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from protoseg.engine.clicks.click import Click
from protoseg.ops.components import connected_components

__all__ = ["interior_point", "next_click"]

Mask = NDArray[np.bool_]


def next_click(ground_truth: Mask, found: Mask, *, label: str) -> Click | None:
    """Find a click in the largest error, on the slice where that is largest; None if there is no error.

    With nothing found it is in the middle of the organ's largest slice. Source of the procedure: the evaluation of
    interactive segmentation by simulated users, as in Xu et al., CVPR 2016.

    Args:
        ground_truth: (S, H, W) true mask.
        found: (S, H, W) predicted mask.
        label: name of the label, for the click.
    """
    candidates = []
    for error, positive in ((ground_truth & ~found, True), (found & ~ground_truth, False)):
        components = connected_components(error)
        sizes = np.bincount(components.ravel())
        sizes[0] = 0
        candidates.append((int(sizes.max()), positive, components == sizes.argmax()))
    size, positive, largest = max(candidates, key=lambda candidate: candidate[0])
    if size == 0:
        return None
    index = int(largest.sum((1, 2)).argmax())
    return Click(index, *interior_point(largest[index]), label, positive)


def interior_point(mask: Mask) -> tuple[int, int]:
    """Find row and column of the pixel of a mask (H, W) that is farthest from its outside."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), mask.shape)
    return int(row), int(column)
