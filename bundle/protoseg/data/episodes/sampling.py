"""The endless stream of episode numbers, divided among processes."""

from collections.abc import Iterator

import torch.distributed
from torch.utils.data import Sampler

__all__ = ["EpisodeSampler"]


class EpisodeSampler(Sampler[int]):
    """Yield episode numbers without end: first + rank, first + rank + world_size, ...

    With B episodes a step over all processes together, step t is made of the episodes [t * B, (t + 1) * B),
    whatever the number of processes. To resume after step t, set `first` to t * B before the next iteration.

    Args:
        first: number of the first episode over all processes.
        rank: rank of this process; by default that of torch.distributed if initialized, else 0.
        world_size: number of processes; by default that of torch.distributed if initialized, else 1.
    """

    def __init__(self, first: int = 0, *, rank: int | None = None, world_size: int | None = None) -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.first = first
        self.rank = rank if rank is not None else torch.distributed.get_rank() if distributed else 0
        self.world_size = (
            world_size if world_size is not None else torch.distributed.get_world_size() if distributed else 1
        )

    def __iter__(self) -> Iterator[int]:
        episode = self.first + self.rank
        while True:
            yield episode
            episode += self.world_size
