"""Memory, descriptors, threads, files and answering times of a server over time, and whether they stay as they are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import numpy as np
import psutil
import requests
from scipy.stats import theilslopes

__all__ = ["RULE", "Trend", "Vitals", "trend_of"]

EVERY = 0.5  # seconds between two looks
MOST_LOOKS = 1000  # points of a fitted line at most
MOST_GROWTH = 0.02
RULE = (
    "Flat: a line through the second half of the time (Theil-Sen) rises by less than 2 % of its middle, or of what is "
    "counted by less than 3."
)


@dataclass(frozen=True)
class Trend:
    """A series at its start (median of its first tenth), in the middle of its second half, and at its maximum."""

    start: float
    middle: float
    most: float
    per_hour: float  # slope of the second half
    flat: bool


def trend_of(times: Sequence[float], values: Sequence[float], least: float) -> Trend:
    """Fit a line to the second half of a series.

    Args:
        times: times in seconds.
        values: values at these times.
        least: largest growth that counts as none.
    """
    begin = (times[0] + times[-1]) / 2
    late = [(when, value) for when, value in zip(times, values) if when >= begin]
    late = late[:: -(-len(late) // MOST_LOOKS)]
    slope = float(theilslopes([value for _, value in late], [when for when, _ in late]).slope)
    middle = float(np.median([value for _, value in late]))
    growth = slope * (times[-1] - begin)
    start = float(np.median(values[: max(1, len(values) // 10)]))
    return Trend(start, middle, max(values), 3600 * slope, bool(growth < max(MOST_GROWTH * middle, least)))


@dataclass
class Vitals:
    """Measurements of a server: the time of each, and the values by name."""

    times: list[float] = field(default_factory=list)
    seen: dict[str, list[float]] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)  # seconds that /info/ took
    failures: list[str] = field(default_factory=list)

    def watch(self, address: str, server: psutil.Process, folders: dict[str, Path], end: Event) -> None:
        """Measure repeatedly until the end.

        Args:
            address: address of the server.
            server: process of the server.
            folders: folders in which files are counted, by name.
            end: event that is set at the end.
        """
        looks: dict[str, Callable[[], float]] = {
            "memory of the server, MiB": lambda: server.memory_info().rss / 2**20,
            "memory of its children, MiB": lambda: sum(map(_memory, server.children(recursive=True))) / 2**20,
            "file descriptors": server.num_fds,
            "threads": server.num_threads,
            **{name: lambda folder=folder: _files(folder) for name, folder in folders.items()},  # type: ignore[misc]
        }
        while not end.wait(EVERY):
            begin = time.perf_counter()
            try:  # by a connection of its own: the server closes those that were idle, at any moment
                requests.get(f"{address}/info/", timeout=60).raise_for_status()
            except requests.RequestException as error:
                self.failures.append(f"/info/: {type(error).__name__}")
            self.waits.append(time.perf_counter() - begin)
            try:
                found = {name: look() for name, look in looks.items()}
            except psutil.Error:
                self.failures.append("the server is gone")
                return
            self.times.append(time.monotonic())
            for name, value in found.items():
                self.seen.setdefault(name, []).append(value)

    def trends(self) -> dict[str, Trend]:
        """Fit a line to each series."""
        return {
            name: trend_of(self.times, values, least=1.0 if name.endswith("MiB") else 3.0)
            for name, values in self.seen.items()
        }

    def wait(self, percent: float) -> float:
        """Give a percentile of the milliseconds that /info/ took."""
        return 1000 * float(np.percentile(self.waits, percent))


def _memory(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(process.memory_info().rss)
    return 0.0


def _files(folder: Path) -> float:
    """Count files, except former versions of labels: there are up to 100 of each image."""
    return float(sum(len(names) for place, _, names in os.walk(folder) if "versions" not in Path(place).parts))
