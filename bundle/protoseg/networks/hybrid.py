"""A small encoder of both kinds: convolutions for what is near, attention for what is far."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from protoseg.networks.encoders import Encoder
from protoseg.networks.fpn import ResidualBlock, UpBlock, coordinates

__all__ = ["HybridEncoder"]


class HybridEncoder(Encoder):
    """Encode (B, 3, H, W) to (B, channels, H / 8, W / 8) with about 6.1 million parameters.

    Four widths stand for strides 2, 4, 8 and 16. Transformer blocks take the place of the pyramid's stride 32, so that
    every cell sees the whole slice. They need no position embedding: two coordinate channels are added to the input.
    Source of the design: convolutional stems, Xiao et al., arXiv 2106.14881.

    Args:
        channels: of the features.
        widths: channels at strides 2, 4, 8 and 16.
        depth: transformer blocks.
        heads: of their attention; divides the last width.
    """

    stride = 8

    def __init__(
        self, *, channels: int = 128, widths: Sequence[int] = (24, 48, 96, 256), depth: int = 6, heads: int = 4
    ) -> None:
        super().__init__()
        self.channels = channels
        stem, quarter, eighth, sixteenth = widths
        self.stem = nn.Conv2d(5, stem, kernel_size=4, stride=2, padding=1)
        self.down4 = ResidualBlock(stem, quarter, stride=2)
        self.down8 = ResidualBlock(quarter, eighth, stride=2)
        self.down16 = ResidualBlock(eighth, sixteenth, stride=2)
        self.blocks = nn.Sequential(*(Block(sixteenth, heads, qkv_bias=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(sixteenth)
        self.top = nn.Conv2d(sixteenth, channels, kernel_size=1)
        self.up8 = UpBlock(eighth, channels)
        self.out = nn.Conv2d(channels, channels, kernel_size=1)

    def encode(self, image: Tensor) -> Tensor:
        """Encode (B, 3, H, W) to (B, channels, H / 8, W / 8)."""
        x = torch.cat([image, coordinates(image)], dim=1)
        eighth = self.down8(self.down4(F.gelu(self.stem(x))))
        sixteenth = self.down16(eighth)
        tokens = self.norm(self.blocks(sixteenth.flatten(2).transpose(1, 2)))  # B x (h w) x C
        coarse = self.top(tokens.transpose(1, 2).unflatten(2, sixteenth.shape[-2:]))
        return self.out(self.up8(coarse, eighth))
