"""How much to work on at once."""

import torch

__all__ = ["fitting"]

# Larger intermediate results leave the cache, and the allocator returns them to the system, which clears them anew.
STEP_BYTES = 8 * 2**20  # for two threads; more share more cache
CUDA_STEP_BYTES = 2**30


def fitting(item_bytes: int, device: torch.device) -> int:
    """How many items of a size, at least one, to work on at once."""
    step = CUDA_STEP_BYTES if device.type == "cuda" else STEP_BYTES * max(1, torch.get_num_threads() // 2)
    return max(1, step // item_bytes)
