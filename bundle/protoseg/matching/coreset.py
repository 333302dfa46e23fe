"""Coresets of slices: descriptors of whole slices, and the choice of a few that cover the rest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from protoseg.matching.matching import unit

__all__ = ["k_center_greedy", "most_similar", "rank", "slice_descriptors", "uncovered"]

DESCRIPTOR_GRID = 4  # coarse enough to compare the slices of two people
# Slices that serve one, and those that do so for the sake of one label; see docs/engine_defaults.md.
SIMILAR, SIMILAR_OF_LABEL = 16, 5


def slice_descriptors(features: Tensor) -> Tensor:
    """Compute unit-length descriptors (N, 16 C) of whole slices from features (N, C, h, w): averages of 4 x 4
    fields."""
    pooled = F.adaptive_avg_pool2d(unit(features, dim=1), DESCRIPTOR_GRID)
    return unit(pooled.flatten(1))


def uncovered(descriptors: Tensor, covering: Tensor) -> Tensor:
    """Compute the distance (N,) of each descriptor to the nearest covering one; infinite if there is none.

    Args:
        descriptors: (N, D) descriptors of unit length.
        covering: (M, D) covering descriptors of unit length.
    """
    if not len(covering):
        return torch.full((len(descriptors),), torch.inf)
    return 1 - (descriptors @ covering.T).amax(1)


def k_center_greedy(descriptors: Tensor, *, start: int, limit: int) -> list[int]:
    """Choose up to `limit` indices that cover all descriptors: each next one is the farthest from those before it.

    The largest distance of any descriptor to its nearest chosen one is at most twice the best possible. Descriptors
    that equal a chosen one are not chosen. Source: Gonzalez, Theoretical Computer Science 1985 (k-center).

    Args:
        descriptors: (N, D) descriptors of unit length.
        start: index of the first one chosen.
        limit: largest number of indices, at least 1.
    """
    chosen = [start]
    distance = uncovered(descriptors, descriptors[chosen])
    while len(chosen) < limit and distance.max() > 1e-6:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, uncovered(descriptors, descriptors[chosen[-1:]]))
    return chosen


def most_similar(similarity: Tensor, present: Tensor) -> Tensor:
    """Choose the slices that serve one: those most like it, and for every label some of those that show it.

    Args:
        similarity: (N,) cosines of the slices to it.
        present: (L, N), True where a label is drawn on a slice.

    Returns:
        Indices of slices, ascending.
    """
    by_label = similarity.expand(len(present), -1).masked_fill(~present, -torch.inf)
    likest = by_label.topk(min(SIMILAR_OF_LABEL, len(similarity)))
    showing = likest.indices[likest.values.isfinite()]
    return torch.cat([showing, similarity.topk(min(SIMILAR, len(similarity))).indices]).unique()


def rank(*orders: Sequence[int]) -> list[int]:
    """Take in turn from several orders, each item once."""
    longest = max(map(len, orders), default=0)
    taken = (order[turn] for turn in range(longest) for order in orders if turn < len(order))
    return list(dict.fromkeys(taken))
