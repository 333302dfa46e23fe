"""The encoding parts of a network, frozen: a copy that gives inference its features and their fingerprint."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from protoseg.networks.encoder import Encoder
from protoseg.ops.precision import autocast, resolve_precision

__all__ = ["FrozenEncoder"]


class FrozenEncoder(nn.Module):
    """Encodes as the parts of a network did when it was frozen, whatever happens to the network's weights.

    Whatever can be prepared from weights is prepared once: their fingerprint, their layout for the processor, and
    position embeddings at each size that is used. It has no gradients. `ALPNet.freeze` makes it.

    Args:
        encoder: encoder `(B, 3, H, W) -> (B, C, h, w)`; an `Encoder` freezes itself, another module is copied.
        slice_adapter: module that turns three adjacent slices into the encoder's input, if any.
        precision: number format of the encoder.
        fingerprint: digits that stand for both and their weights.
    """

    def __init__(
        self, *, encoder: nn.Module, slice_adapter: nn.Module | None, precision: str, fingerprint: str
    ) -> None:
        super().__init__()
        self.precision = precision
        device = next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
        dtype = resolve_precision(device, precision)
        self.encoder = encoder.frozen(dtype) if isinstance(encoder, Encoder) else _copy(encoder)
        self.slice_adapter = None if slice_adapter is None else _copy(slice_adapter)
        self._fingerprint = fingerprint

    def encoding_fingerprint(self) -> str:
        """Give the digits that stand for everything features depend on, except number format and device."""
        return self._fingerprint

    @torch.no_grad()
    def forward(self, slices: Tensor) -> Tensor:
        """Encode slices (B, 3, H, W), three adjacent ones or one repeated, to features (B, C, h, w), float32."""
        with autocast(slices.device, self.precision):
            if self.slice_adapter is not None:
                slices = self.slice_adapter(slices)
            return self.encoder(slices).float()

    def encode_alike(self, slices: Tensor) -> Tensor:
        """Encode slices so that features are the same, bit for bit, in any batch.

        Convolution kernels for a single image sum in another order than those for several, so none is encoded alone.
        """
        if len(slices) == 1:
            return self(slices.repeat(2, 1, 1, 1))[:1]
        features: Tensor = self(slices)
        return features


def _copy(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).requires_grad_(False).eval()
