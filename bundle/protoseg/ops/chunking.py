"""Sizes of the steps in which large tensors are worked on."""

import math

import torch
from torch import Tensor

__all__ = ["fitting", "in_chunks"]

# Larger intermediate results leave the cache, and their memory goes back to the system, which clears it anew.
STEP_BYTES = 9 * 2**20  # for two threads; more threads share more cache. SAM's tokens just fit in three steps
CUDA_STEP_BYTES = 2**30


def fitting(item_bytes: int, device: torch.device) -> int:
    """Tell how many items of a given size, at least one, to work on at once."""
    step = CUDA_STEP_BYTES if device.type == "cuda" else STEP_BYTES * max(1, torch.get_num_threads() // 2)
    return max(1, step // item_bytes)


def in_chunks(items: Tensor, item_bytes: int) -> tuple[Tensor, ...]:
    """Divide items (N, ...) into views, as few as fit and of similar length: a lone row takes as long as many.

    The first is as long as any.
    """
    return items.tensor_split(max(1, math.ceil(len(items) / fitting(item_bytes, items.device))))
