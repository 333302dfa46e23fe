"""Goes on when one scan of many cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any

from protoseg.data.io.prefetch import Batches
from protoseg.errors import InputError

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["SkipUnreadable", "raise_failures"]

logger = logging.getLogger(__name__)


class SkipUnreadable(Sized):
    """Iterate over the scans of a data loader that can be read; keep the errors of the others.

    Also a handler of the Ignite engine that iterates: without it, the engine would begin again from the first scan
    to make up for those left out.

    Args:
        loader: loader of scans, or of batches of one; after an error it gives the next.
    """

    def __init__(self, loader: Batches) -> None:
        self.loader = loader
        self.failures: list[InputError] = []

    def __len__(self) -> int:
        """Count the scans, readable or not."""
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        """Give the batches."""
        self.failures = []
        batches = iter(self.loader)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except InputError as failure:
                logger.warning("Left out: %s", failure)
                self.failures.append(failure)
            else:
                yield batch

    def attach(self, engine: Engine) -> None:
        """End the epoch of `engine` with the last readable scan."""
        from ignite.engine import Engine, Events  # installed, as there is an engine

        engine.add_event_handler(Events.DATALOADER_STOP_ITERATION, Engine.terminate_epoch)

    def raise_if_failed(self) -> None:
        """Raise the errors of the scans that could not be read, see `raise_failures`."""
        raise_failures(self.failures, len(self))


def raise_failures(failures: Sequence[InputError], count: int) -> None:
    """Raise the errors of some of `count` queries, if any.

    Raises:
        InputError: a line for each; for a single query, the error as it was raised.
    """
    if count == 1 and failures:
        raise failures[0]
    if failures:
        lines = "".join(f"\n  {failure}" for failure in failures)
        raise InputError(f"{len(failures)} of {count} queries could not be segmented:{lines}")
