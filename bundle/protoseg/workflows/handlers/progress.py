"""Progress bars of the workflows."""

from __future__ import annotations

from ignite.engine import Engine, Events
from monai.handlers import from_engine
from tqdm import tqdm

from protoseg.workflows.processes import is_first

__all__ = ["EpisodeProgress", "ScanProgress"]


class ScanProgress:
    """A bar over the iterations of each epoch: the scans of an evaluation or of an inference run.

    An Ignite handler. Unlike Ignite's own bar it starts at what is already done. Of several
    processes the first shows one.

    Args:
        description: text before the bar.
        unit: word for an iteration.
    """

    def __init__(self, description: str = "Evaluating", unit: str = "scan") -> None:
        self.description = description
        self.unit = unit
        self._bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        """Follow the iterations of `engine`."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._close)

    def describe(self, engine: Engine) -> str:
        """Give the text before the bar."""
        return self.description

    def _open(self, engine: Engine) -> None:
        total = engine.state.epoch_length
        # A resumed run starts within an epoch.
        done = engine.state.iteration % total if total else 0
        self._bar = tqdm(total=total, initial=done, desc=self.describe(engine), unit=self.unit, disable=not is_first())

    def _advance(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.set_postfix(self.numbers(engine), refresh=False)
            self._bar.update()

    def numbers(self, engine: Engine) -> dict[str, float]:
        """Give the numbers after the bar."""
        return {}

    def _close(self, _: Engine) -> None:
        if self._bar is not None:
            self._bar.close()


class EpisodeProgress(ScanProgress):
    """A bar over the iterations of each training epoch, with the epoch and the loss."""

    def __init__(self) -> None:
        super().__init__("Training", unit="step")

    def describe(self, engine: Engine) -> str:
        """Give the text before the bar."""
        return f"{self.description} {engine.state.epoch}/{engine.state.max_epochs}"

    def numbers(self, engine: Engine) -> dict[str, float]:
        """Give the numbers after the bar."""
        return {"loss": from_engine("loss", first=True)(engine.state.output)}
