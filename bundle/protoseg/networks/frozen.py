"""What encodes in a network, frozen: a copy from which inference gets features, and their name."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from protoseg.networks.encoder import Encoder
from protoseg.ops.precision import autocast, resolve_precision

__all__ = ["FrozenEncoder"]


class FrozenEncoder(nn.Module):
    """Encodes as the parts of a network did when it was frozen, whatever becomes of the network's weights.

    What can be made of weights in advance is made once: their fingerprint, the processor's order of them, and position
    embeddings at the sizes that are asked for. It has no gradients. See `ALPNet.freeze`, which makes it.

    Args:
        encoder: `(B, 3, H, W) -> (B, C, h, w)`; an `Encoder` freezes itself, of another module this takes a copy.
        slice_adapter: three adjacent slices -> the encoder's input, if there is one.
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
        """Digits that stand for all that features depend on, number format and device aside."""
        return self._fingerprint

    @torch.no_grad()
    def forward(self, slices: Tensor) -> Tensor:
        """Features (B, C, h, w), float32, of slices (B, 3, H, W): three adjacent slices, or one slice repeated."""
        with autocast(slices.device, self.precision):
            if self.slice_adapter is not None:
                slices = self.slice_adapter(slices)
            return self.encoder(slices).float()

    def encode_alike(self, slices: Tensor) -> Tensor:
        """Encode slices so that features are the same bit for bit whatever the batch.

        Convolution kernels for a single image sum in another order than those for several, so none is encoded alone.
        """
        if len(slices) == 1:
            return self(slices.repeat(2, 1, 1, 1))[:1]
        features: Tensor = self(slices)
        return features


def _copy(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).requires_grad_(False).eval()
