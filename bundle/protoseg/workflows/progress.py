"""Progress bars of the workflows."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine
from ignite.handlers.tqdm_logger import ProgressBar

__all__ = ["EpisodeProgress", "ScanProgress"]


class EpisodeProgress(ProgressBar):
    """Iterations of a training epoch, with the loss."""

    def __init__(self) -> None:
        super().__init__(desc="Training", persist=True)

    def attach(self, engine: Engine, *args: Any, **kwargs: Any) -> None:
        """Show the loss of `engine` after every iteration."""
        super().attach(engine, output_transform=lambda output: {"loss": float(output["loss"])})


class ScanProgress(ProgressBar):
    """Scans of an evaluation or an inference run.

    Args:
        description: what is being done.
    """

    def __init__(self, description: str = "Evaluating") -> None:
        super().__init__(desc=description, persist=True)
