"""Shallow features beside those of an encoder: place, brightness at several scales, and texture of every cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoseg.errors import InputError
from protoseg.matching.matching import unit
from protoseg.networks.encoders import Encoder
from protoseg.networks.fpn import coordinates

__all__ = ["SHALLOW_CHANNELS", "WithShallowFeatures", "shallow_features"]

RADII = (1 / 32, 1 / 16, 1 / 8)  # of the neighbourhoods, in shares of the image
SHALLOW_CHANNELS = 3 * (1 + len(RADII)) + 3 + 3 + 2
GRADIENT_WEIGHT = 2.0  # neighbouring pixels differ less than those of a cell do
SMALLEST = 1e-4  # of what a root is drawn from, as its slope at 0 has no end


class WithShallowFeatures(Encoder):
    """An encoder whose features are lengthened by shallow ones, which are not trained.

    The cosine of two cells is the weighted mean of the encoder's, which counts 1, and the shallow one's, which counts
    `weight`. The state dict is that of the encoder alone, so that the same checkpoints fit.

    Args:
        encoder: any.
        weight: above 0.

    Raises:
        InputError: the weight is not above 0.
    """

    def __init__(self, encoder: Encoder, *, weight: float = 0.25) -> None:
        super().__init__()
        if not weight > 0:
            raise InputError(f"weight of the shallow features is {weight}; it must be above 0. Leave them out instead.")
        self.encoder = encoder
        self.weight = weight
        self.channels = encoder.channels + SHALLOW_CHANNELS
        self.stride = encoder.stride
        self.register_state_dict_post_hook(_name_as_encoder)
        self.register_load_state_dict_pre_hook(_name_as_part)

    def encode(self, image: Tensor) -> Tensor:
        """Encode (B, 3, H, W) to vectors of unit length (B, channels, H / stride, W / stride)."""
        deep = unit(self.encoder.encode(image).float(), dim=1)
        shallow = unit(shallow_features(image.float(), (deep.shape[-2], deep.shape[-1])), dim=1)
        return torch.cat([deep, self.weight**0.5 * shallow], dim=1) / (1 + self.weight) ** 0.5


def shallow_features(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Shallow features (B, 20, h, w) of the h x w cells of images (B, 3, H, W).

    Mean of each channel over the cell and over three neighbourhoods of it, its standard deviation and mean gradient in
    the cell, and x and y from -1 to 1. H and W are multiples of h and w.
    """
    mean = F.adaptive_avg_pool2d(image, size)
    variance = F.adaptive_avg_pool2d(image.square(), size) - mean.square()
    gradient = F.adaptive_avg_pool2d(_gradient(image), size)
    around = [_smooth(mean, max(1, round(radius * max(size)))) for radius in RADII]
    per_channel = [mean, *around, variance.clamp(min=SMALLEST**2).sqrt(), GRADIENT_WEIGHT * gradient]
    return torch.cat([torch.cat(per_channel, dim=1) / image.shape[1] ** 0.5, coordinates(mean)], dim=1)


def _gradient(image: Tensor) -> Tensor:
    """Length of the differences with the next row and column, 0 at the last ones."""
    down = F.pad(image.diff(dim=2), (0, 0, 0, 1))
    across = F.pad(image.diff(dim=3), (0, 1))
    return (down.square() + across.square()).clamp(min=SMALLEST**2).sqrt()


def _smooth(maps: Tensor, radius: int) -> Tensor:
    """Mean over squares, twice, which comes near a Gaussian; squares end at the border."""
    for _ in range(2):
        maps = F.avg_pool2d(maps, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
    return maps


def _name_as_encoder(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Mapping[str, Any]) -> None:
    own = f"{prefix}encoder."
    for name in [name for name in state if name.startswith(own)]:
        state[prefix + name.removeprefix(own)] = state.pop(name)


def _name_as_part(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        state[f"{prefix}encoder.{name.removeprefix(prefix)}"] = state.pop(name)
