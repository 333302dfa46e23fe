"""Chooses the one of several masks that was clicked on.

A structure looks alike inside and unlike its surroundings, and is seldom cut off by the frame. The one weight is the
ratio of the two of a linear regression of the Dice of six masks for each of 280 clicks on the slices of fifteen sets;
docs/clicks.md tells what it gives on sets that it did not know.

A click that corrects is in the middle of what is wrong, as of the structure that a mask is to hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

__all__ = ["most_central", "most_fitting"]

Mask = NDArray[np.bool_]

FRAME_WEIGHT = 5.0  # separation that a mask loses if all of its border is the frame's
RING = 0.2  # width of the surroundings, in square roots of the mask's area
NARROWEST_RING = 2.0  # in the unit of the spacing
BORDER = 1.0  # in the unit of the spacing, left out between a mask and its surroundings
LEAST_DEVIATION = 1e-3  # variance of likeness below which differences mean nothing
LEAST_AREA = 0.1  # of the first mask: a click is in the middle of anything that is small enough
OFF_CENTER = 0.05  # share of a mask's depth by which a click in its middle may be nearer to the border


def most_fitting(masks: Sequence[Mask], likeness: NDArray[np.floating], spacing: tuple[float, float]) -> Mask:
    """Choose among masks (H, W) of a slice the one that differs most from its surroundings.

    Args:
        masks: masks, at least one.
        likeness: (H, W) likeness of each pixel's features to the clicked ones.
        spacing: spacing of rows and columns, in any unit.
    """
    return masks[int(np.argmax([_score(mask, likeness, spacing) for mask in masks]))]


def most_central(masks: Sequence[Mask], point: tuple[int, int], spacing: tuple[float, float]) -> Mask:
    """Choose among masks (H, W) of a slice the first that has a point in its middle, or else nearest to it.

    Args:
        masks: masks that hold the point, at least one.
        point: row and column of the point.
        spacing: spacing of rows and columns, in any unit.
    """
    least = LEAST_AREA * np.count_nonzero(masks[0])
    masks = [mask for mask in masks if np.count_nonzero(mask) >= least]
    depths = [distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1] for mask in masks]
    central = [depth[point] / depth.max() for depth in depths]
    return masks[next(number for number, one in enumerate(central) if one >= max(central) - OFF_CENTER)]


def _score(mask: Mask, likeness: NDArray[np.floating], spacing: tuple[float, float]) -> float:
    if not mask.any() or mask.all():
        return -np.inf
    width = max(NARROWEST_RING, RING * float(np.sqrt(mask.sum() * spacing[0] * spacing[1])))
    away = distance_transform_edt(~mask, sampling=spacing)
    ring = (away > BORDER) & (away <= BORDER + width)
    inside, outside = likeness[mask], likeness[ring if ring.any() else ~mask]
    deviation = np.sqrt((inside.var() + outside.var()) / 2 + LEAST_DEVIATION)
    return float((inside.mean() - outside.mean()) / deviation) - FRAME_WEIGHT * _share_of_frame(mask)


def _share_of_frame(mask: Mask) -> float:
    """Compute the share of a mask's border pixels (4-connected) on the frame."""
    padded = np.pad(mask, 1)
    enclosed = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    border = mask & ~enclosed
    frame = np.ones_like(mask)
    frame[1:-1, 1:-1] = False
    return float((border & frame).sum() / border.sum())
