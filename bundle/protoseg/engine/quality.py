"""Estimates how good a segmentation is without its ground truth, by reverse segmentation.

The prediction becomes the support and the support the query. A prediction that segments the support's slices well is
probably good. Source of the idea: reverse classification accuracy (Valindria et al., IEEE TMI 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor

from protoseg.engine.support import SupportSet
from protoseg.matching.matching import Matching
from protoseg.ops.upsampling import BilinearUpsampler, upsampled_argmax

__all__ = ["reverse_classification_accuracy"]


def reverse_classification_accuracy(
    matching: Matching,
    query_features: Tensor,
    query_masks: Tensor,
    support_features: Tensor,
    support: SupportSet,
) -> dict[str, float]:
    """Compute the Dice of every label on the support slices, segmented from the query slices under their prediction.

    Args:
        matching: matching that made the prediction.
        query_features: (Q, C, h, w) features of the query slices that show the labels best.
        query_masks: (Q, size, size) predicted labels, 0 = background, k = k-th of `support.labels`.
        support_features: (N, C, h, w) features of the support.
        support: support, with the ground truth.

    Returns:
        Dice by label name; 0 for a label that was predicted nowhere on these slices.
    """
    count = len(support.labels)
    classes = torch.arange(1, 1 + count, device=query_masks.device)
    one_hot = (query_masks == classes[:, None, None, None]).float()  # L x Q x size x size
    prototypes = matching.reduce(matching.build(query_features[None], one_hot[None].to(query_features.device)))
    size = support.masks.shape[-1]
    patches = (support_features.shape[-2], support_features.shape[-1])
    to_pixels = BilinearUpsampler(patches, size, size)
    overlap = torch.zeros(1 + count, 2)  # by label: intersection, and sum of both areas
    for features, drawn in zip(support_features, support.masks):
        logits = matching.match(features[None, None], prototypes)[0, 0].cpu()  # whole, not window by window
        predicted = torch.from_numpy(upsampled_argmax(logits.log_softmax(0), to_pixels).label)
        # Number of pixels by true label (rows) and predicted label (columns).
        pairs = torch.bincount((drawn.long() * (1 + count) + predicted).flatten(), minlength=(1 + count) ** 2)
        pairs = pairs.reshape(1 + count, 1 + count)
        drawn_here = pairs.sum(1) > 0  # a slice without the label says nothing about how well it is found
        overlap += drawn_here[:, None] * torch.stack([pairs.diagonal(), pairs.sum(0) + pairs.sum(1)], dim=1)
    dice = 2 * overlap[1:, 0] / overlap[1:, 1].clamp(min=1)
    return dict(zip(support.labels, dice.tolist()))
