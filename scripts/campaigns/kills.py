"""Work that is killed at any moment: nothing is half-written, and the same command again ends with the same files."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from campaigns.runs import defects_after, in_child, undisturbed, watch_files
from campaigns.works import WORKS, Work

__all__ = ["KillTally", "kill_again_and_again"]


@dataclass
class KillTally:
    """The outcomes of the runs that were killed."""

    tried: int = 0
    killed: int = 0  # the others were done before their moment came
    findings: Counter[str] = field(default_factory=Counter)


def kill_again_and_again(name: str, count: int, seed: int) -> KillTally:
    """Run a piece of work so many times, kill each at a moment that the seed decides, and run it again to the end.

    Every other one is killed as it opens, moves or removes a file, the others after a random part of the time that an
    undisturbed run takes.
    """
    work, tally, random = WORKS[name], KillTally(), np.random.default_rng((seed, len(name)))
    with tempfile.TemporaryDirectory() as folder:
        source, place = Path(folder) / "source", Path(folder) / "place"
        in_child(partial(work.prepare, source))
        whole = undisturbed(work, source, place)
        for number in range(count):
            shutil.rmtree(place, ignore_errors=True)
            tally.tried += 1
            if number % 2:
                last = int(random.integers(1, whole.events + 1))
                status = in_child(partial(_die_at_event, work, source, place, last))
            else:
                after = float(random.uniform(0, whole.seconds))
                status = in_child(partial(work.run, source, place), kill_after=after)
            tally.killed += status == -signal.SIGKILL
            tally.findings += defects_after(work, source, place, whole)
    return tally


def _die_at_event(work: Work, source: Path, place: Path, last: int) -> None:
    left = last

    def tell(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    watch_files(place, tell)
    work.run(source, place)
