"""Cues to how well labels were found, without their ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from protoseg.engine.quality import reverse_classification_accuracy
from protoseg.engine.support import SupportSet
from protoseg.matching.matching import Matching, Prototypes
from protoseg.ops.upsampling import BilinearUpsampler, upsampled_argmax

__all__ = ["Cues", "gather_cues", "halves_of", "segment_by_halves"]

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
        matching: matching that made the prediction.
        query_features: (Q, C, h, w) features of the query slices on which labels are largest.
        query_masks: (Q, size, size) predicted labels, 0 = background, k = k-th of `support.labels`.
        halves: (Q, 2, size, size) results of `segment_by_halves`.
        largest: index among these of the slice on which a label is largest, by name of each label found.
        confidence: confidence of each label found, by name.
        support_features: (N, C, h, w) features of the support.
        support: support, with the ground truth.
    """
    reverse = reverse_classification_accuracy(matching, query_features, query_masks, support_features, support)
    cues = {}
    for number, name in enumerate(support.labels, start=1):
        if name in largest:
            first, second = halves[largest[name]] == number
            cues[name] = {"reverse": reverse[name], "halves": _dice(first, second), "confidence": confidence[name]}
    return cues


def halves_of(channels: int) -> tuple[slice, slice]:
    """Divide channels into two halves; with two encoders side by side, each is a half."""
    return slice(0, channels // 2), slice(channels // 2, None)


def segment_by_halves(
    matching: Matching, features: Tensor, halves: Sequence[Prototypes], unlikeness: Tensor, size: int
) -> Tensor:
    """Segment a slice twice, by each half of the channels.

    The errors of two encoders differ, so what both find is seldom wrong.

    Args:
        matching: matching that made the prediction.
        features: (C, h, w) features of the slice.
        halves: prototypes that serve the slice, of each half of `halves_of`.
        unlikeness: unlikeness of the slice, see `Matching.decide`.
        size: edge of the result in pixels.

    Returns:
        (2, size, size) labels, 0 = background, k = k-th label.
    """
    to_pixels = BilinearUpsampler((features.shape[-2], features.shape[-1]), size, size, features.device)
    found = []
    for half, prototypes in zip(halves_of(len(features)), halves):
        evidence = matching.evidence(features[None, None, half], prototypes)
        logits = matching.decide(evidence, unlikeness[None, None].to(features.device))[0, 0]
        found.append(torch.from_numpy(upsampled_argmax(logits.log_softmax(0), to_pixels).label))
    return torch.stack(found)


def _dice(mask: Tensor, other: Tensor) -> float:
    return float(2 * (mask & other).sum() / (mask.sum() + other.sum()).clamp(min=1))
