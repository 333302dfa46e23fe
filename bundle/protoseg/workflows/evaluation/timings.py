"""The time that the engine takes for a scan."""

from __future__ import annotations

from time import perf_counter

from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

__all__ = ["ScanTimes"]


class ScanTimes:
    """Keeps the seconds that each scan took from its image to its label map: no reading, no scoring.

    An Ignite handler.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def attach(self, engine: Engine) -> None:
        """Time the iterations of `engine`."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._begin)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._end)

    def _begin(self, _: Engine) -> None:
        self._start = perf_counter()

    def _end(self, _: Engine) -> None:
        self.seconds.append(perf_counter() - self._start)
