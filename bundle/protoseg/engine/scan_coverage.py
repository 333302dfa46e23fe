"""Describes how a whole scan looks, to compare it with others."""

from __future__ import annotations

import torch
from torch import Tensor

from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.matching.coreset import slice_descriptors
from protoseg.ops.slices import axial_slices

__all__ = ["scan_descriptors"]


@torch.no_grad()
def scan_descriptors(volume: Tensor, encoder: SliceEncoder, *, slices: int = 16) -> Tensor:
    """Compute descriptors (up to `slices`, D) of slices at equal distances, see `slice_descriptors`.

    Args:
        volume: (C, X, Y, Z) normalized volume, slices along Z.
        encoder: encoder of slices.
        slices: largest number of slices.
    """
    images = axial_slices(volume)
    count = min(slices, len(images))
    chosen = [round(index) for index in torch.linspace(0, len(images) - 1, count).tolist()]
    return slice_descriptors(encoder.encode_slices(images, chosen)).cpu()
