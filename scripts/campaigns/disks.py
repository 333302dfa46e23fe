"""Disks that are full and file systems that are read-only, at one writing step after another of each piece of work."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from campaigns.runs import REFUSED, defects_after, in_child, undisturbed, watch_files
from campaigns.works import WORKS, Work

__all__ = ["DiskTally", "fill_disks"]

LIMITS = (0, 3_000)  # bytes that a file may have, which stands for a disk that is full by then
ERRORS = (errno.ENOSPC, errno.EROFS)


@dataclass
class DiskTally:
    """The outcomes of runs that could not write."""

    tried: int = 0
    refused: int = 0  # with one sentence; the others did without the file
    findings: Counter[str] = field(default_factory=Counter)


def fill_disks(name: str, most: int) -> DiskTally:
    """Do a piece of work while the operating system refuses to write, and then once more.

    It refuses at one step, another one in each run: at most so many, evenly spread; and whatever makes a file larger
    than a limit.
    """
    work, tally = WORKS[name], DiskTally()
    with tempfile.TemporaryDirectory() as folder:
        source, place = Path(folder) / "source", Path(folder) / "place"
        in_child(partial(work.prepare, source))
        whole = undisturbed(work, source, place)
        count = min(most, whole.events)
        broken: dict[str, Callable[[], None]] = {}
        for index in range(count):
            step = 1 + index * whole.events // count
            number = ERRORS[index % len(ERRORS)]
            broken[f"{errno.errorcode[number]} at step {step}"] = partial(_refuse, work, source, place, step, number)
        for limit in LIMITS:
            broken[f"files of {limit} bytes at most"] = partial(_limit, work, source, place, limit)
        for what, run in broken.items():
            shutil.rmtree(place, ignore_errors=True)
            tally.tried += 1
            status = in_child(run)
            tally.refused += status == REFUSED
            if status not in (REFUSED, 0):
                tally.findings[f"status {status}, not one sentence: {what}"] += 1
            tally.findings += defects_after(work, source, place, whole)
    return tally


def _refuse(work: Work, source: Path, place: Path, step: int, number: int) -> None:
    left = step

    def tell(path: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(number, os.strerror(number), path)

    watch_files(place, tell)
    work.run(source, place)


def _limit(work: Work, source: Path, place: Path, limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    work.run(source, place)
