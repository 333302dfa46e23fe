"""Guided filter: smooths a map while following the edges of an image.

Source: He, Sun and Tang, "Guided image filtering", ECCV 2010, with a guide of one channel. In every window the result
is a linear function of the guide, so it has an edge only where the guide has one.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["guided_filter"]


def guided_filter(guide: Tensor, maps: Tensor, *, radius: tuple[int, int], strength: float) -> Tensor:
    """Smooth maps along the edges of a guide, in a time that does not depend on the radius.

    Args:
        guide: (S, 1, H, W) guide.
        maps: (S, 1 or more, H, W) maps.
        radius: radius of the windows in rows and columns; at the border of the image windows are cut off.
        strength: variance of the guide in a window below which it counts as flat, so that the maps are smoothed;
            epsilon in the paper.

    Returns:
        Filtered maps of the same shape.
    """
    mean_guide, mean_maps = _box_mean(guide, radius), _box_mean(maps, radius)
    variance = _box_mean(guide * guide, radius) - mean_guide * mean_guide
    covariance = _box_mean(guide * maps, radius) - mean_guide * mean_maps
    slope = covariance / (variance + strength)
    offset = mean_maps - slope * mean_guide
    return _box_mean(slope, radius) * guide + _box_mean(offset, radius)


def _box_mean(maps: Tensor, radius: tuple[int, int]) -> Tensor:
    """Mean over windows of 2 * radius + 1 pixels."""
    return _mean_along(_mean_along(maps, -1, radius[1]), -2, radius[0])


def _mean_along(maps: Tensor, axis: int, radius: int) -> Tensor:
    size = maps.shape[axis]
    sums = torch.cat([torch.zeros_like(maps.narrow(axis, 0, 1)), maps.cumsum(axis)], axis)
    places = torch.arange(size, device=maps.device)
    first, last = (places - radius).clamp(min=0), (places + radius + 1).clamp(max=size)
    count = (last - first).reshape(-1, *[1] * (-axis - 1))
    return (sums.index_select(axis, last) - sums.index_select(axis, first)) / count
