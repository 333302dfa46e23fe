"""Going on when one scan of many cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sized
from typing import TYPE_CHECKING, Any

from protoseg.data.io.prefetch import Batches
from protoseg.errors import InputError
from protoseg.moved import renamed_arguments
from protoseg.workflows.resumable_sampler import ResumableSampler

if TYPE_CHECKING:
    from ignite.engine import Engine

__all__ = ["SkipUnreadable"]

logger = logging.getLogger(__name__)


@renamed_arguments(work_list="sampler")
class SkipUnreadable(Sized):
    """Iterate over the scans of a data loader that can be read; keep what is wrong with the others.

    Also an Ignite handler, of the engine that iterates: without it, the engine would begin again from the first scan
    to make up for those left out.

    Args:
        loader: gives scans, or batches of one; after an error, the next.
        sampler: that the loader draws from; told of the scans that cannot be read.
    """

    def __init__(self, loader: Batches, sampler: ResumableSampler | None = None) -> None:
        self.loader = loader
        self.sampler = sampler
        self.failures: list[InputError] = []

    def __len__(self) -> int:
        """Number of scans, readable or not."""
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
                if self.sampler is not None:
                    self.sampler.give_up()
            else:
                yield batch

    def attach(self, engine: Engine) -> None:
        """End the epoch of `engine` with the last readable scan."""
        from ignite.engine import Engine, Events  # who has an engine has it

        engine.add_event_handler(Events.DATALOADER_STOP_ITERATION, Engine.terminate_epoch)

    def raise_if_failed(self) -> None:
        """Raise what was wrong with the scans that could not be read, if any.

        Raises:
            InputError: a line for each; for a single scan, the error as it was raised.
        """
        if len(self) == 1 and self.failures:
            raise self.failures[0]
        if self.failures:
            lines = "".join(f"\n  {failure}" for failure in self.failures)
            raise InputError(f"{len(self.failures)} of {len(self)} queries could not be read:{lines}")
