"""How a whole scan looks, to compare it with others."""

from __future__ import annotations

import torch
from torch import Tensor

from protoseg.engine.feature_cache import FeatureCache
from protoseg.matching.coreset import slice_descriptors
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.slices import axial_slices

__all__ = ["scan_descriptors"]

BATCH = 8  # slices encoded together


@torch.no_grad()
def scan_descriptors(volume: Tensor, network: ALPNet, cache: FeatureCache, *, size: int, slices: int = 16) -> Tensor:
    """Descriptors (up to `slices`, D) of slices at equal distances, see `slice_descriptors`.

    Args:
        volume: (C, X, Y, Z), normalised, slices along Z.
        network: encodes.
        cache: of its features.
        size: edge of the network's input in pixels.
        slices: how many to look at.
    """
    images = axial_slices(volume)
    count = min(slices, len(images))
    chosen = [round(index) for index in torch.linspace(0, len(images) - 1, count).tolist()]
    adjacent = network.slice_adapter is not None
    batches = [chosen[start : start + BATCH] for start in range(0, count, BATCH)]
    features = [cache.encode_slices(network, images, batch, size=size, adjacent=adjacent) for batch in batches]
    return slice_descriptors(torch.cat(features)).cpu()
