"""The number format of the encoder: chosen once, in one place."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from protoseg.errors import InputError
from protoseg.ops.private_torch import cpu_multiplies_bfloat16

__all__ = ["autocast", "resolve_precision"]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_precision(device: torch.device, precision: str) -> torch.dtype:
    """Give the dtype that a precision means on a device.

    "auto" is bfloat16 where the hardware multiplies it natively (CPU with AMX or AVX512-BF16, CUDA from Ampere on)
    and float32 elsewhere. bfloat16 has the range of float32, so training needs no loss scaling.

    Raises:
        InputError: an unknown name.
    """
    if precision == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32
    if precision not in PRECISIONS:
        raise InputError(f"precision is '{precision}'; choose one of auto, {', '.join(PRECISIONS)}.")
    return PRECISIONS[precision]


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Switch to mixed precision on a device; the context changes nothing for float32."""
    dtype = resolve_precision(device, precision)
    # Each weight is used once within it: caching the casts would keep a second copy of the network.
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32, cache_enabled=False)


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return cpu_multiplies_bfloat16()
    return False
