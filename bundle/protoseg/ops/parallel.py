"""Work on many scans, shared by processes, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from threading import Thread
from typing import TypeVar

import torch
from tqdm import tqdm

__all__ = ["map_in_processes"]

SLOW_IMPORTS = ("torch", "monai")  # modules that take seconds, imported once for all if this process has them

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    description: str,
    unit: str = "scan",
) -> list[Result]:
    """Apply a function to every item and return the results in order.

    The first exception ends the work: items begun are finished, the rest are not begun. The processes end with
    this one, also when it is killed.

    Args:
        function: function of an item; it and its results must pickle if processes share the work.
        items: items, each one step of the progress bar.
        workers: number of processes to share the work; below 2 everything is done in this one.
        description: text of the progress bar.
        unit: word for an item in the progress bar.
    """
    workers = min(workers, len(items))
    with tqdm(desc=description, unit=unit, total=len(items), disable=not items) as bar:
        if workers < 2:
            return _collect(map(function, items), bar)
        with _pool(workers) as pool:
            return _collect(pool.map(function, items), bar)


def _collect(results: Iterable[Result], bar: tqdm) -> list[Result]:
    collected = []
    for result in results:
        collected.append(result)
        bar.update()
    return collected


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    threads = max(1, (os.cpu_count() or 1) // workers)
    with ProcessPoolExecutor(workers, _context(), _begin, (threads,)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _context() -> BaseContext:
    """Choose how to start processes: fork may deadlock once torch has started threads, a new interpreter never does.

    Where there is such a server, it forks them from an interpreter without threads, which has imported for all of them
    what takes seconds.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([name for name in SLOW_IMPORTS if name in sys.modules])
    return context


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process with its parent: a killed parent cannot stop its workers, which would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
