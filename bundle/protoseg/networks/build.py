"""Builds the network from an encoder, a matching and settings: the one place that does so for the configs."""

from __future__ import annotations

import torch
from torch import nn

from protoseg.matching.matching import Matching
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.encoder import Encoder
from protoseg.networks.lora import adapt

__all__ = ["build_network"]


def build_network(
    *,
    encoder: Encoder,
    matching: Matching,
    tuning: str = "full",
    slice_adapter: nn.Module | None = None,
    precision: str = "auto",
    device: str | torch.device = "cpu",
) -> ALPNet:
    """Put a network together and move it to a device; `with_weights` loads its weights later.

    Args:
        encoder: image encoder.
        matching: matching of features.
        tuning: part of the encoder that is trained, see `adapt`.
        slice_adapter: module that turns three adjacent slices into the encoder's input, if any.
        precision: number format of the encoder.
        device: device to compute on.
    """
    network = ALPNet(
        encoder=adapt(encoder, tuning=tuning), matching=matching, slice_adapter=slice_adapter, precision=precision
    )
    return network.to(device).to(memory_format=torch.channels_last)
