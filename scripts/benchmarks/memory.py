"""The memory of a measurement."""

import resource

import torch


def peak_memory_gib(device: torch.device) -> float:
    """Give the peak so far in GiB: of the GPU's allocator on CUDA, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
