"""The processor to work on."""

from __future__ import annotations

import torch

from protoseg.errors import InputError

__all__ = ["best_device"]


def best_device(name: str = "auto") -> torch.device:
    """Choose a device by a name such as "cpu" or "cuda:1"; "auto" is the quickest that is available.

    Raises:
        InputError: the name is that of no device, or of one that is not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    kind = name.split(":")[0]
    if not available.get(kind):
        there = ", ".join(kind for kind, is_there in available.items() if is_there)
        raise InputError(f"The device '{name}' is not there; choose 'auto' or one of {there}.")
    return torch.device(name)
