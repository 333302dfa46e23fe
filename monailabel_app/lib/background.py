"""Background work, done while no client waits for anything else."""

from __future__ import annotations

import atexit
import ctypes
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Event, Lock, Thread

__all__ = ["Background", "Closing", "Traffic"]

TRIM_INTERVAL_S = 20.0

logger = logging.getLogger(__name__)


class Closing(Exception):  # noqa: N818 - no error, but the end of the work
    """The server ends."""


class Traffic:
    """The clients that wait for answers."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting = 0
        self._closing = False
        self._trim, self._trimmed = _trim_function(), time.monotonic()

    @contextmanager
    def client(self) -> Iterator[None]:
        """Hold back the background work while a client waits."""
        with self._changed:
            self._waiting += 1
        try:
            yield
        finally:
            with self._changed:
                self._waiting -= 1
                trim = time.monotonic() - self._trimmed > TRIM_INTERVAL_S
                self._trimmed = time.monotonic() if trim else self._trimmed
                self._changed.notify_all()
            if trim:
                self._trim(0)

    def wait_until_none(self) -> None:
        """Wait until no client waits.

        Raises:
            Closing: the server ends.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closing or not self._waiting)
            if self._closing:
                raise Closing

    def close(self) -> None:
        """End all waiting here."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()


def _trim_function() -> Callable[[int], object]:
    """Find what gives freed memory back: glibc keeps it for each thread, so that a server with many seems to grow."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library
        return lambda _: None


class Background:
    """Does one piece of work in a thread of its own, again whenever it was requested since the last time.

    MONAI Label would start a process for each scoring after each sample, which takes 11 s to import modules that are in
    memory here already.

    Args:
        work: function that does the work; it calls `traffic.wait_until_none` between steps of some seconds.
        traffic: traffic of the server.
    """

    def __init__(self, work: Callable[[], object], traffic: Traffic) -> None:
        self._work = work
        self._traffic = traffic
        self._wanted = Event()
        self._starting = Lock()
        self._thread = Thread(target=self._run, name="background", daemon=True)
        # A thread that computes while Python ends would crash the process.
        atexit.register(self.close)

    def request(self) -> None:
        """Ask for the work to be done, or done once more; after `close` for nothing."""
        with self._starting:
            self._wanted.set()
            if self._thread.ident is None:
                self._thread.start()

    def close(self) -> None:
        """End the work after its present step, for good."""
        self._traffic.close()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join()
        atexit.unregister(self.close)

    def _run(self) -> None:
        try:
            while self._wanted.wait():
                self._wanted.clear()
                self._traffic.wait_until_none()
                try:
                    self._work()
                except Closing:
                    raise
                except Exception:  # what fails now may succeed the next time
                    logger.exception("Work in the background failed")
        except Closing:
            logger.info("Work in the background has ended")
