"""Runs of work in processes of their own, and what they leave."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from campaigns.works import Work, file_digest
from protoseg.errors import InputError
from protoseg.files import UNFINISHED

__all__ = ["REFUSED", "Whole", "defects_after", "in_child", "undisturbed", "watch_files"]

SECONDS = 300.0  # that one run may take
REFUSED = 42  # exit status of a run that ends with an `InputError`
WRITING = os.O_WRONLY | os.O_RDWR
Digests = dict[str, str]


@dataclass
class Whole:
    """Seconds and file events of an undisturbed run, and its output that is the same in every such run."""

    seconds: float
    events: int
    files: Digests


def undisturbed(work: Work, source: Path, place: Path) -> Whole:
    """Run work twice from a folder into another, which is emptied before; RuntimeError where it fails."""
    processes = multiprocessing.get_context("fork")
    events = processes.Value("i", 0)
    found: list[Digests] = []
    for _ in range(2):
        shutil.rmtree(place, ignore_errors=True)
        started = time.monotonic()
        status = in_child(partial(_count_events, work, source, place, events))
        seconds = time.monotonic() - started
        if status:
            raise RuntimeError(f"{work.run.__name__} fails without being disturbed: status {status}")
        found.append(_digests(place))
    same = {name: digest for name, digest in found[0].items() if found[1].get(name) == digest}
    missing = [name for name in work.results if name not in same]
    if missing:
        raise RuntimeError(f"two undisturbed runs differ in {missing}")
    return Whole(seconds, events.value, same)


def defects_after(work: Work, source: Path, place: Path, whole: Whole) -> Counter[str]:
    """Say what a run that was broken off left half-written, and what is not as it should be after the next run."""
    defects: Counter[str] = Counter()
    for name, digest in _digests(place).items():
        if digest.startswith("cannot be read"):
            defects[f"{name} is half-written"] += 1
        elif name in work.results and name not in work.rewritten and whole.files[name] != digest:
            defects[f"{name} is not whole"] += 1
    status = in_child(partial(work.run, source, place))
    if status:
        defects[f"the run after it ends with status {status}"] += 1
        return defects
    after = _digests(place)
    for name, digest in whole.files.items():
        if after.get(name) != digest:
            defects[f"{name} is {'another' if name in after else 'missing'} after the run is resumed"] += 1
    for path in place.rglob("*"):
        if UNFINISHED.fullmatch(path.name) or path.name.startswith("tmp"):
            defects[f"unfinished files stay in {path.parent.relative_to(place)}"] += 1
    return defects


def _digests(folder: Path) -> Digests:
    """Digest the content of the files in a folder, by name; archives by their members."""
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.name.startswith((".", "tmp", "events.")):
            found[str(path.relative_to(folder))] = _digest(path)
    return found


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except Exception as error:  # whatever a reader makes of half a file
        return f"cannot be read: {error}"


def in_child(run: Callable[[], Any], *, kill_after: float | None = None) -> int:
    """Run in a process of its own; gives its exit status, negative where a signal ended it."""
    child = os.fork()  # with everything imported, and no thread of others
    if not child:
        status = 1
        try:
            quiet = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115, to the end of the process
            sys.stdout = sys.stderr = quiet  # Python's own, which pytest replaces by files
            os.dup2(quiet.fileno(), 1)
            os.dup2(quiet.fileno(), 2)
            run()
            status = 0
        except InputError:
            status = REFUSED
        finally:
            os._exit(status)
    deadline = time.monotonic() + (SECONDS if kill_after is None else kill_after)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.005)


def watch_files(place: Path, tell: Callable[[str], None]) -> None:
    """Call with a path of a place whenever this process is about to write, move, make or remove it, to its end."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        if event in ("open", "os.rename", "os.remove", "os.mkdir"):
            for part in arguments[:2]:
                if isinstance(part, str | os.PathLike) and os.fspath(part).startswith(str(place)):
                    tell(os.fspath(part))
                    return

    sys.addaudithook(watch)


def _count_events(work: Work, source: Path, place: Path, events: Any) -> None:
    count = 0

    def tell(_: str) -> None:
        nonlocal count
        count += 1

    watch_files(place, tell)
    work.run(source, place)
    events.value = count
