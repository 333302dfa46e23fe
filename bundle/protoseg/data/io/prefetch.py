"""Reading the next scan while the present one is segmented."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

__all__ = ["Batches", "Prefetch"]


class Batches(Sized, Iterable[Any], Protocol):
    """A data loader, or an equivalent."""


class Prefetch(Sized):
    """Iterate over a data loader one batch ahead, in a thread.

    Decompression, resampling and the encoder's products run outside Python's lock, so the two overlap; and unlike a
    worker process a thread passes on volumes without copying and errors as raised.

    Args:
        loader: loader of the batches, whose order is kept.
    """

    def __init__(self, loader: Batches) -> None:
        self.loader = loader

    def __len__(self) -> int:
        """Count the batches."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Give the batches."""
        batches, end = iter(self.loader), object()
        with ThreadPoolExecutor(max_workers=1) as reader:
            coming = reader.submit(next, batches, end)
            while (batch := coming.result()) is not end:
                coming = reader.submit(next, batches, end)
                yield batch
