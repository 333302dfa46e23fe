"""How good a segmentation is, without its truth: reverse segmentation.

The prediction becomes the support and the support the query. What segments the support's slices well was probably
segmented well. Source of the idea: reverse classification accuracy (Valindria et al., IEEE TMI 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor

from protoseg.engine.support import SupportSet
from protoseg.maths.matching import Matching
from protoseg.maths.slices import unfit_slices

__all__ = ["reverse_dice"]


def reverse_dice(
    matching: Matching,
    query_features: Tensor,
    query_masks: Tensor,
    support_features: Tensor,
    support: SupportSet,
) -> dict[str, float]:
    """Dice of every label on the support slices, segmented from query slices under their prediction.

    Args:
        matching: that made the prediction.
        query_features: (Q, C, h, w), of the query slices that show the labels best.
        query_masks: (Q, size, size), predicted labels, 0 = background, k = k-th of `support.labels`.
        support_features: (N, C, h, w).
        support: the truth.

    Returns:
        A value by label name; 0 for a label that was predicted nowhere on these slices.
    """
    count = len(support.labels)
    one_hot = torch.nn.functional.one_hot(query_masks.long(), 1 + count)[..., 1:].permute(3, 0, 1, 2).float()
    prototypes = matching.build(query_features[None], one_hot[None].to(query_features.device))
    size = support.masks.shape[-1]
    truth = support.masks.to(query_features.device)
    overlap = torch.zeros(count, 2)  # intersection, and sum of both areas
    for features, drawn in zip(support_features, truth):
        logits = matching.match(features[None, None], prototypes)[0]
        predicted = unfit_slices(logits, size, size).argmax(1)[0]
        for label in range(count):
            mine, true = predicted == 1 + label, drawn == 1 + label
            if true.any():  # a slice without the label says nothing about how well it is found
                overlap[label] += torch.tensor([(mine & true).sum(), mine.sum() + true.sum()]).float()
    dice = 2 * overlap[:, 0] / overlap[:, 1].clamp(min=1)
    return dict(zip(support.labels, dice.tolist()))
