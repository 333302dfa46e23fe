"""What tells how well labels were found, without their ground truth."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from protoseg.engine.quality import reverse_classification_accuracy
from protoseg.engine.support import SupportSet
from protoseg.matching.matching import Matching, Prototypes
from protoseg.ops.upsampling import BilinearUpsampler, upsampled_argmax

__all__ = ["Cues", "gather_cues", "segment_by_halves"]

Cues = dict[str, float]
"""By name: "reverse", see `reverse_classification_accuracy`; "halves", the Dice of what either half of the features'
channels finds alone, on the slice where the label is largest; "confidence", the mean probability of its voxels."""


def gather_cues(
    matching: Matching,
    query_features: Tensor,
    query_masks: Tensor,
    halves: Tensor,
    largest: Mapping[str, int],
    confidence: Mapping[str, float],
    support_features: Tensor,
    support: SupportSet,
) -> dict[str, Cues]:
    """Gather cues by name of the labels that were found.

    Args:
        matching: that made the prediction.
        query_features: (Q, C, h, w), of the query slices on which labels are largest.
        query_masks: (Q, size, size), predicted labels, 0 = background, k = k-th of `support.labels`.
        halves: (Q, 2, size, size), of `segment_by_halves`.
        largest: by name of a label that was found, the place among these of the slice on which it is largest.
        confidence: by name of a label that was found.
        support_features: (N, C, h, w).
        support: the ground truth.
    """
    reverse = reverse_classification_accuracy(matching, query_features, query_masks, support_features, support)
    cues = {}
    for number, name in enumerate(support.labels, start=1):
        if name in largest:
            first, second = halves[largest[name]] == number
            cues[name] = {"reverse": reverse[name], "halves": _dice(first, second), "confidence": confidence[name]}
    return cues


def segment_by_halves(
    matching: Matching, features: Tensor, prototypes: Prototypes, unlikeness: Tensor, size: int
) -> Tensor:
    """Segment a slice twice, by one half of the channels and by the other.

    Where several encoders lie side by side, a half is one of them. What both find is seldom wrong: they err apart.

    Args:
        matching: that made the prediction.
        features: (C, h, w).
        prototypes: that served the slice.
        unlikeness: of the slice, see `Matching.decide`.
        size: side of the result in pixels.

    Returns:
        (2, size, size), 0 = background, k = k-th label.
    """
    to_pixels = BilinearUpsampler((features.shape[-2], features.shape[-1]), size, size, features.device)
    middle = len(features) // 2
    found = []
    for half in (slice(0, middle), slice(middle, None)):
        evidence = matching.evidence(features[None, None, half], prototypes.of_channels(half))
        logits = matching.decide(evidence, unlikeness[None, None].to(features.device))[0, 0]
        found.append(torch.from_numpy(upsampled_argmax(logits.log_softmax(0), to_pixels).label))
    return torch.stack(found)


def _dice(mask: Tensor, other: Tensor) -> float:
    return float(2 * (mask & other).sum() / (mask.sum() + other.sum()).clamp(min=1))
