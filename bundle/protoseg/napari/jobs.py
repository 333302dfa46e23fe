"""Work in the background, while the viewer goes on answering."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error

from protoseg.errors import InputError

__all__ = ["Job", "Jobs"]


@dataclass(frozen=True)
class Job:
    """Steps of work that run in a thread of their own, and the callbacks that run in the viewer's."""

    title: str
    """Shown beside the progress bar."""
    steps: Callable[[], Iterator[Any]]
    """Yields a result a step."""
    show: Callable[[Any], None]
    """Is called with each result."""
    count: int = 1
    """Of the steps."""
    refused: Callable[[], None] = lambda: None
    """Is called where the input could not be used, after the user was told."""


class Jobs:
    """Runs jobs one at a time, in their order: the engine is not safe between threads.

    Args:
        changed: function that is called when the first job starts and when the last one ends.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._waiting: deque[Job] = deque()
        self._worker: Any = None  # a reference: napari keeps none

    @property
    def running(self) -> bool:
        """Whether there is work to do."""
        return self._worker is not None

    def add(self, job: Job) -> None:
        """Run a job once those before it have ended. Bad input ends it with a notification."""
        self._waiting.append(job)
        if not self.running:
            self._start()
            self._changed()

    def _start(self) -> None:
        job = self._waiting.popleft()
        complaints: list[str] = []

        def guarded() -> Iterator[Any]:
            try:
                yield from job.steps()
            except InputError as error:  # other errors are napari's to show, with a traceback
                complaints.append(str(error))

        def ended() -> None:
            for complaint in complaints:
                show_error(complaint)
                job.refused()
            self._worker = None
            if self._waiting:
                self._start()
            else:
                self._changed()

        self._worker = create_worker(
            guarded,
            _progress={"total": job.count, "desc": job.title},
            _connect={"yielded": job.show, "finished": ended},
        )
