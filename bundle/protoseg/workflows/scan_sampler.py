"""Scans shared out among processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

import ignite.distributed as idist
from ignite.engine import Engine, Events
from torch.utils.data import Sampler

__all__ = ["ScanSampler"]


class ScanSampler(Sampler[int]):
    """Gives the first scan to the first process, the second to the second, and so on in turn: each scan to one.

    Unlike PyTorch's `DistributedSampler` it repeats no scan to make the shares equal. It is an Ignite handler as well,
    of the engine that iterates: the epoch of a process with a smaller share ends early.

    Args:
        scans: scans to share.
    """

    def __init__(self, scans: Sized) -> None:
        self.scans = scans

    def __len__(self) -> int:
        """Count the scans of the largest share."""
        return math.ceil(len(self.scans) / idist.get_world_size())

    def __iter__(self) -> Iterator[int]:
        """Give the indices of this process's scans."""
        return iter(range(idist.get_rank(), len(self.scans), idist.get_world_size()))

    def attach(self, engine: Engine) -> None:
        """End the epoch of `engine` with the last scan of this process."""
        engine.add_event_handler(Events.DATALOADER_STOP_ITERATION, Engine.terminate_epoch)
