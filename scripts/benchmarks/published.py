"""The published procedure of ALPNet: support and query encoded together for every slice and every label."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.slices import network_input, unfit_slices

__all__ = ["published_procedure"]


def published_procedure(
    encoder: nn.Module, slices: Tensor, indices: Iterable[int], support: Tensor, masks: Tensor
) -> None:
    """Segment some slices of a volume (S, 1, H, W), in float32, one slice and label a call; the masks are let go.

    Args:
        encoder: encoder of images.
        slices: (S, 1, H, W) slices of the whole volume.
        indices: indices of the slices to segment.
        support: (N, 3, size, size) slices of the support.
        masks: (L, N, size, size) masks, 0 or 1; each label has the slice on which it is largest.
    """
    matching = AdaptivePrototypes().eval()
    network = ALPNet(encoder=encoder, matching=matching, precision="float32").eval()
    device = masks.device
    for index in indices:
        query = network_input(slices, [index], size=support.shape[-1], adjacent=False)
        for label in range(len(masks)):
            shot = int(masks[label].flatten(1).sum(1).argmax())
            features = network.encode(torch.cat([support[[shot]], query]).to(device))
            prototypes = matching.build(features[None, :1], masks[None, [label]][:, :, [shot]])
            logits = matching.match(features[None, 1:], prototypes)[0]
            unfit_slices(logits, slices.shape[-2], slices.shape[-1]).argmax(1).cpu()
