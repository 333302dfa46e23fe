"""The contract that every image encoder keeps."""

import copy
import re
from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor, nn

from protoseg.errors import InputError

__all__ = ["Encoder"]

_ATTENTION = re.compile(r"attn\.(qkv|[qkv]_proj|proj)$")


class Encoder(nn.Module, ABC):
    """Encode images (B, 3, H, W) to feature maps (B, channels, H / stride, W / stride).

    A subclass sets `channels` and `stride` and implements `encode`.
    While `base_frozen` is set, `train()` leaves the encoder in evaluation mode, so that neither dropout nor
    the running statistics of batch normalization change features that are not being trained.
    """

    channels: int
    stride: int
    base_frozen: bool = False

    def forward(self, image: Tensor) -> Tensor:
        """Encode (B, 3, H, W); raises InputError unless H and W are multiples of the stride."""
        self._check(image)
        return self.encode(image)

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor:
        """Encode (B, 3, H, W), with H and W multiples of the stride."""

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, unless the encoder is frozen."""
        return super().train(mode and not self.base_frozen)

    def frozen(self, dtype: torch.dtype) -> Self:
        """Make a copy for inference, which does not follow later changes of the weights.

        Args:
            dtype: number format of the matrix products, for which weights are prepared in advance.
        """
        return copy.deepcopy(self).requires_grad_(False).eval()

    @property
    def lora_targets(self) -> list[str]:
        """Names of the layers that LoRA adapts.

        The attention projections where there are any (as in arXiv 2106.09685), otherwise every linear layer
        and every ungrouped convolution.
        """
        layers = [
            name
            for name, layer in self.named_modules()
            # Subclasses such as same-padded convolutions compute differently from what peft assumes.
            if type(layer) is nn.Linear or (type(layer) is nn.Conv2d and layer.groups == 1)
        ]
        return [name for name in layers if _ATTENTION.search(name)] or layers

    def _check(self, image: Tensor) -> None:
        if image.ndim != 4 or image.shape[1] != 3:
            raise InputError(f"The encoder got the shape {tuple(image.shape)}; expected (B, 3, H, W).")
        height, width = image.shape[-2:]
        if height % self.stride or width % self.stride or not height or not width:
            nearest = [max(1, round(size / self.stride)) * self.stride for size in (height, width)]
            raise InputError(
                f"The image is {height} x {width} pixels (H x W), but the encoder takes multiples of "
                f"{self.stride}: the nearest size is {nearest[0]} x {nearest[1]}. Set image_size accordingly."
            )
