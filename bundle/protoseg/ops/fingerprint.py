"""Fingerprints of weights."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

__all__ = ["tensor_digest", "weights_fingerprint"]


def weights_fingerprint(module: nn.Module) -> str:
    """Compute 16 hexadecimal digits that stand for a module's structure, settings and the values of all its weights.

    Every value is read, which takes a second for the 1.2 GB of ViT-L; `ALPNet.freeze` keeps the result.
    """
    digest = hashlib.blake2b(repr(module).encode(), digest_size=8)
    for name, part in module.named_modules():
        settings = {
            k: v for k, v in sorted(vars(part).items()) if k[0] != "_" and isinstance(v, int | float | str | tuple)
        }
        settings.pop("training", None)
        digest.update(f"{name}{settings}".encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor_digest(tensor))
    return digest.hexdigest()


def tensor_digest(tensor: Tensor) -> bytes:
    """Compute 16 bytes that stand for the shape, type and values of a tensor."""
    array = tensor.detach().cpu().contiguous()
    # SHA-256, because processors have instructions for it: a volume seen before costs little but its digests.
    digest = hashlib.sha256(f"{array.dtype}{tuple(array.shape)}".encode())
    digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()[:16]
