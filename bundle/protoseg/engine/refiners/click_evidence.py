"""Evidence of clicks for the pixels around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["PixelClick", "with_clicks"]

Image = NDArray[np.float32]
PixelClick = tuple[int, int, bool]  # row, column, positive

REACH = 10.0  # mm; width of the influence of a click in space
ALIKE = 0.5  # standard deviations of the slice; width of its influence in intensity
PATCH = 1  # pixels around a click whose mean is its intensity
UNSURE = 1e-3  # only clicked pixels have a probability closer to 0 or 1 than this


def with_clicks(
    image: Image, probability: Image, clicks: Sequence[PixelClick], *, spacing: tuple[float, float]
) -> Image:
    """Combine a label's probability with clicks: 1 or 0 on them, and close to it nearby where the image is alike.

    The fusion of MIDeepSeg (Wang et al., Medical Image Analysis 2021), with separate distance and likeness in place of
    its geodesic distance.

    Args:
        image: (C, H, W) image.
        probability: (H, W) probability of the label.
        clicks: clicks on the label, positive, and beside it, negative, in the order in which they were set; the last on
            a pixel counts.
        spacing: spacing of rows and columns in mm.

    Returns:
        (H, W) probability.
    """
    inside, outside = (
        _influence(image, [click for click in clicks if click[2] is positive], spacing) for positive in (True, False)
    )
    nearer_inside = inside > outside
    weight = np.where(nearer_inside, inside, outside)
    fused = ((1 - weight) * probability + weight * nearer_inside).clip(UNSURE, 1 - UNSURE).astype(np.float32)
    for row, column, positive in clicks:
        fused[row, column] = positive
    return fused


def _influence(image: Image, clicks: Sequence[PixelClick], spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Weigh the clicks for each pixel (H, W): 1 on them, less with distance and difference of intensity."""
    influence = np.zeros(image.shape[1:])
    rows, columns = np.ogrid[: image.shape[1], : image.shape[2]]
    deviation = max(float(image.std()), 1e-6)
    for row, column, _ in clicks:
        patch = image[:, max(row - PATCH, 0) : row + PATCH + 1, max(column - PATCH, 0) : column + PATCH + 1]
        difference = np.abs(image - patch.mean((1, 2))[:, None, None]).mean(0) / (ALIKE * deviation)
        distance = np.hypot((rows - row) * spacing[0], (columns - column) * spacing[1]) / REACH
        np.maximum(influence, np.exp(-(difference**2 + distance**2) / 2), out=influence)
    return influence
