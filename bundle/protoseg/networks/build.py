"""From an encoder, a matching and settings to the network: the one place that puts them together for the configs."""

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
    """Put a network together and bring it to a device; its weights come after, by `with_weights`.

    Args:
        encoder: of images.
        matching: of features.
        tuning: what will be trained of the encoder, see `adapt`.
        slice_adapter: three adjacent slices -> the encoder's input, if there is to be one.
        precision: number format of the encoder.
        device: where to compute.
    """
    network = ALPNet(
        encoder=adapt(encoder, tuning=tuning), matching=matching, slice_adapter=slice_adapter, precision=precision
    )
    return network.to(device).to(memory_format=torch.channels_last)
