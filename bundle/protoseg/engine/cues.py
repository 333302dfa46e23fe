"""What tells how well labels were found, without their ground truth."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from protoseg.engine.quality import reverse_classification_accuracy
from protoseg.engine.support import SupportSet
from protoseg.matching.matching import Matching

__all__ = ["Cues", "gather_cues"]

Cues = dict[str, float]
"""By name: "reverse", see `reverse_classification_accuracy`; "place" and "shape", the largest Dice of the label, where
it is largest, with its masks on the slices of the support, as they lie and moved onto each other."""


def gather_cues(
    matching: Matching,
    query_features: Tensor,
    query_masks: Tensor,
    places: Mapping[str, int],
    support_features: Tensor,
    support: SupportSet,
) -> dict[str, Cues]:
    """Gather cues by label name; a label that was found is on at least one slice of the support.

    Args:
        matching: that made the prediction.
        query_features: (Q, C, h, w), of the query slices on which labels are largest.
        query_masks: (Q, size, size), predicted labels, 0 = background, k = k-th of `support.labels`.
        places: by name of a label that was found, the place of its slice among these.
        support_features: (N, C, h, w).
        support: the ground truth.
    """
    reverse = reverse_classification_accuracy(matching, query_features, query_masks, support_features, support)
    cues = {}
    for number, name in enumerate(support.labels, start=1):
        if name in places:
            drawn = support.masks == number
            overlaps = _overlaps(query_masks[places[name]] == number, drawn[drawn.flatten(1).any(1)])
            cues[name] = {"reverse": reverse[name], **overlaps}
    return cues


def _overlaps(mask: Tensor, drawn: Tensor) -> Cues:
    """Compare a mask (H, W) with some others (N, H, W)."""
    center = _center(mask)
    moved = [torch.roll(mask, tuple((_center(one) - center).round().int().tolist()), (0, 1)) for one in drawn]
    return {
        "place": max(_dice(mask, one) for one in drawn),
        "shape": max(_dice(there, one) for there, one in zip(moved, drawn)),
    }


def _center(mask: Tensor) -> Tensor:
    return mask.nonzero().float().mean(0).nan_to_num()  # a tiny label may have no pixel at the network's size


def _dice(mask: Tensor, other: Tensor) -> float:
    return float(2 * (mask & other).sum() / (mask.sum() + other.sum()).clamp(min=1))
