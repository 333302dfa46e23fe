"""Prompts for SAM from a coarse mask: what to segment, and what not, for one connected component on one slice.

Sources: boxes and points (most confident, centroid, both) and negative points in a ring: ProtoSAM (arXiv 2407.07042,
section 3.3) and its published code. That code casts the mask prompt to bytes, which turns its negative background
into a large positive number; here it stays floating point.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from torch import Tensor

from protoseg.errors import InputError

__all__ = [
    "PointChoice",
    "Prompt",
    "component_box",
    "mask_prompt",
    "negative_points",
    "positive_points",
    "ring_around",
    "spread_points",
]

PointChoice = Literal["none", "confident", "centroid", "both", "spread"]

RING = 10  # pixels around a component, as published
MASK_BACKGROUND = -2.0  # logit: "rather not", which SAM may overrule
NO_POINTS = np.zeros((0, 2))


@dataclass(frozen=True)
class Prompt:
    """One prompt for SAM on a slice. Points are (x, y) in pixels of the slice, (0, 0) its first pixel's center."""

    box: NDArray[Any] | None = None  # (4,): x and y of the first, then of the last pixel inside
    positive: NDArray[Any] = field(default_factory=lambda: NO_POINTS)  # N x 2
    negative: NDArray[Any] = field(default_factory=lambda: NO_POINTS)  # N x 2
    mask: Tensor | None = None  # logits in the low-resolution frame, see `SamFrame.fit_maps`


def component_box(component: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give the box (4,) of a component (H, W) that is not empty: x and y of its first, then of its last pixel."""
    rows, columns = (np.flatnonzero(component.any(axis)) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]])


def positive_points(
    component: NDArray[np.bool_], probability: NDArray[Any], choice: PointChoice, *, count: int = 8
) -> NDArray[np.float64]:
    """Choose points (N, 2) inside a component.

    Args:
        component: (H, W) mask, not empty.
        probability: (H, W) probability of the foreground.
        choice: "confident", the most confident pixel; "centroid", which may lie outside a crescent; "both";
            "spread", `count` points by `spread_points`; "none".
        count: number of points for "spread".

    Raises:
        InputError: an unknown choice.
    """
    centroid = np.argwhere(component).mean(0, keepdims=True)[:, ::-1]
    if choice == "none":
        return NO_POINTS
    if choice == "centroid":
        return centroid
    if choice == "confident":
        return spread_points(component, probability, 1)
    if choice == "both":
        return np.concatenate([spread_points(component, probability, 1), centroid])
    if choice == "spread":
        return spread_points(component, probability, count)
    raise InputError(f"points is '{choice}'; choose one of {', '.join(get_args(PointChoice))}.")


def negative_points(
    component: NDArray[np.bool_], background: NDArray[Any], *, count: int = 1, gate: float = 0.0, width: int = RING
) -> NDArray[np.float64]:
    """Choose points (N, 2) in the ring around a component, where the background is sure enough.

    A negative point on the object itself does more harm than a good one helps; hence the gate.

    Args:
        component: (H, W) mask.
        background: (H, W) probability of the background.
        count: largest number of points; the most confident comes first, the others by `spread_points`.
        gate: lowest probability of a point; 0, as published, keeps all.
        width: width of the ring in pixels.
    """
    return spread_points(ring_around(component, width) & (background >= gate), background, count)


def ring_around(component: NDArray[np.bool_], width: int = RING) -> NDArray[np.bool_]:
    """Mark the pixels (H, W) outside a component and at most `width` rows and columns away from it."""
    return maximum_filter(component.view(np.uint8), 2 * width + 1).view(bool) & ~component


def spread_points(region: NDArray[np.bool_], confidence: NDArray[Any], count: int) -> NDArray[np.float64]:
    """Choose up to `count` points (N, 2) of a region (H, W) that are sure and far apart; none in an empty region.

    Farthest-point sampling weighted by confidence: the first is the most confident pixel; each other has the largest
    sum of its confidence and its distance to the nearest point so far, as a share of the largest such distance.
    """
    points = np.argwhere(region)[:, ::-1].astype(float)
    if not len(points) or count < 1:
        return NO_POINTS
    trust = confidence[region].astype(float)
    chosen = [int(trust.argmax())]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
        if distance.max() == 0:  # every pixel is taken
            break
        score = trust + distance / distance.max()
        chosen.append(int(np.where(distance > 0, score, -np.inf).argmax()))
    return points[chosen]


def mask_prompt(logits: Tensor, component: Tensor) -> Tensor:
    """Make logits (h, w) for SAM's mask input from the coarse logits of a label.

    The logits are z-normalized; values above the mean and inside the component, eroded by a pixel (3 x 3), are kept,
    and all else becomes -2. A component that erosion would remove is not eroded.

    Args:
        logits: (h, w) logits, foreground against background.
        component: (h, w) bool mask.
    """
    normalized = (logits - logits.mean()) / logits.std().clamp(min=1e-6)
    inside = component & (normalized > 0)
    eroded = F.max_pool2d((~inside)[None].float(), 3, stride=1, padding=1)[0] == 0
    return normalized.where(eroded if eroded.any() else inside, MASK_BACKGROUND)
