"""Differences of the official DINOv2 release from timm: checkpoint layout and position embeddings.

Source: facebookresearch/dinov2 (Oquab et al., arXiv 2304.07193; registers: Darcet et al., arXiv 2309.16588).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "PositionEmbedding",
    "is_official",
    "official_interpolation",
    "official_to_timm",
    "resample_positions",
]

# The official SwiGLU layers (ViT-g) and their names in timm.
_SWIGLU = {".mlp.w12.": ".mlp.fc1.", ".mlp.w3.": ".mlp.fc2."}


def is_official(state: Mapping[str, Tensor]) -> bool:
    """Tell from its keys whether a state dict is in the official DINOv2 layout."""
    return any(name in ("mask_token", "register_tokens") or ".mlp.w12." in name for name in state)


def official_to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn an official DINOv2 state dict into timm's layout, with which timm's model gives the same tokens.

    timm's models with registers add no position to the class token, so its position is folded into the token.
    """
    converted = dict(state)
    converted.pop("mask_token", None)  # used in pre-training only
    if "register_tokens" in converted:
        positions = converted["pos_embed"]  # 1 x (1 + M * M) x C, the class token first
        converted["reg_token"] = converted.pop("register_tokens")
        converted["cls_token"] = converted["cls_token"] + positions[:, :1]
        converted["pos_embed"] = positions[:, 1:]
    for old, new in _SWIGLU.items():
        converted = {name.replace(old, new): tensor for name, tensor in converted.items()}
    return converted


def official_interpolation(name: str) -> tuple[float, bool]:
    """Return (offset, antialias) of the publisher's own position resampling for the timm model `name`."""
    architecture, _, tag = name.partition(".")
    plain_dinov2 = "dinov2" in architecture and "_reg" not in architecture
    return (0.1, False) if plain_dinov2 or tag == "dino" else (0.0, True)


def resample_positions(positions: Tensor, size: tuple[int, int], *, offset: float, antialias: bool) -> Tensor:
    """Resample a grid of position embeddings (1, rows, columns, C) to `size` (rows, columns), bicubically.

    `offset` is the official `interpolate_offset`: 0.1 for the plain models, whose scale factor is
    (size + 0.1) / grid; 0 for the models with registers, which resample to the exact size with `antialias`.
    """
    rows, columns = positions.shape[1:3]
    if (rows, columns) == size:
        return positions
    target: dict[str, Any] = {"size": size}
    if offset:
        target = {"scale_factor": ((size[0] + offset) / rows, (size[1] + offset) / columns)}
    grid = positions.permute(0, 3, 1, 2).float()
    grid = F.interpolate(grid, mode="bicubic", antialias=antialias, **target)
    return grid.permute(0, 2, 3, 1).to(positions.dtype)


@dataclass(frozen=True)
class PositionEmbedding:
    """Position embeddings of all tokens at any grid size.

    Args:
        grid: (rows, columns) of the grid that the embedding was trained on.
        prefix: number of class and register tokens.
        embedded_prefix: number of those that the embedding has positions for; the others get zeros.
        offset: offset of the resampling, see `resample_positions`.
        antialias: True for antialiased resampling, see `resample_positions`.
    """

    grid: tuple[int, int]
    prefix: int
    embedded_prefix: int
    offset: float
    antialias: bool

    def __call__(self, embedding: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the positions (1, prefix + rows * columns, C) for a grid of `size` (rows, columns)."""
        prefix, patches = embedding[:, : self.embedded_prefix], embedding[:, self.embedded_prefix :]
        grid = patches.unflatten(1, self.grid)  # 1 x rows x columns x C
        grid = resample_positions(grid, size, offset=self.offset, antialias=self.antialias)
        without_position = self.prefix - self.embedded_prefix
        return torch.cat([prefix, F.pad(grid.flatten(1, 2), (0, 0, without_position, 0))], dim=1)
