"""Private names of PyTorch that pay off, each with a public way to the same result where a release lacks them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["PackedOperators", "cpu_multiplies_bfloat16", "lerp_all", "packed_operators"]


class PackedOperators(NamedTuple):
    """Products with weights in the processor's order, which PyTorch has for code made by torch.compile."""

    reorder: Callable[..., Tensor]  # weight (out, in), rows that inputs will have -> weight in the processor's order
    multiply: Callable[..., Tensor]  # inputs, such a weight, bias, activation, its arguments, its algorithm -> outputs


def packed_operators() -> PackedOperators | None:
    """Find the operators on bfloat16 weights in the processor's order; None where only `F.linear` is left.

    They are tried on a small product, because a release may change their arguments.
    """
    operators: Any = torch.ops.mkldnn
    try:
        if not operators._is_mkldnn_bf16_supported():
            return None
        found = PackedOperators(operators._reorder_linear_weight, operators._linear_pointwise)
        ones = torch.ones(16, 16, dtype=torch.bfloat16)
        tried = found.multiply(ones, found.reorder(ones, 16), None, "none", [], "none")
    except (AttributeError, RuntimeError, TypeError):
        return None
    return found if bool((tried == 16).all()) else None


def cpu_multiplies_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 itself (AMX or AVX512-BF16); False where PyTorch does not say."""
    queries = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(query() for query in queries if query is not None)


def lerp_all(averages: Sequence[Tensor], values: Sequence[Tensor], share: float) -> None:
    """Move averages towards values by a share of the way, in place, in one call where PyTorch has one."""
    together = getattr(torch, "_foreach_lerp_", None)
    if together is not None:
        together(averages, values, share)
        return
    for average, value in zip(averages, values):
        average.lerp_(value, share)
