"""What tells one set of weights from another."""

from __future__ import annotations

import hashlib
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from protoseg.ops.settled_weights import made_once

__all__ = ["tensor_digest", "weights_fingerprint"]

_State = tuple[tuple[int, int, float], ...]
_known: WeakKeyDictionary[nn.Module, tuple[_State, str]] = WeakKeyDictionary()

PROBES = 64  # values of each weight that are looked at to notice a write behind PyTorch's back


def weights_fingerprint(module: nn.Module) -> str:
    """16 hexadecimal digits that stand for the structure and settings of a module and the values of all its weights.

    Reading 1.2 GB of ViT-L takes a second, so the digits are kept until a weight is replaced or written to;
    within `settled_weights` that is not looked for again.
    """
    return made_once((weights_fingerprint, module), lambda: _fingerprint(module))


def _fingerprint(module: nn.Module) -> str:
    state = tuple(_tensor_state(tensor) for tensor in (*module.parameters(), *module.buffers()))
    if module in _known and _known[module][0] == state:
        return _known[module][1]
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
    _known[module] = (state, digest.hexdigest())
    return _known[module][1]


def _tensor_state(tensor: Tensor) -> tuple[int, int, float]:
    """Changes when a tensor is replaced or written to; PyTorch itself does not count writes through `.data`."""
    values = tensor.detach().flatten()
    probe = values[:: max(1, values.numel() // PROBES)].double().sum()
    return tensor.data_ptr(), tensor._version, float(probe)


def tensor_digest(tensor: Tensor) -> bytes:
    """16 bytes that stand for the shape, type and values of a tensor."""
    array = tensor.detach().cpu().contiguous()
    # SHA-256, because processors have instructions for it: a second look at a volume costs little but its digests.
    digest = hashlib.sha256(f"{array.dtype}{tuple(array.shape)}".encode())
    digest.update(array.reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()[:16]
