"""Work that processes share, on this machine or on many, by Dask: it repeats what a lost process was working on."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, chdir, contextmanager, suppress
from functools import partial
from multiprocessing import get_all_start_methods
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from protoseg import __version__
from protoseg.errors import InputError

if TYPE_CHECKING:
    from distributed import Client, Future, KilledWorker, LocalCluster

__all__ = ["open_cluster", "share"]

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

DASHBOARD = "127.0.0.1:8787"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # of a process, for its products
# Modules that take a process seconds to import.
ENGINE = ("distributed", "protoseg.workflows.scan_segmenter", "protoseg.workflows.reports.overlay")
CONNECT = "10s"  # patience with a scheduler
UNBOUNDED = "1 PB"  # size of the data sent with tasks above which Dask warns
# A network is not safe between threads, of which a worker started elsewhere may have several; and the working
# folder belongs to the whole process.
_ONE_AT_A_TIME = Lock()


class _SchedulerGoneError(Exception):
    """The scheduler does not answer any more."""


@contextmanager
def open_cluster(workers: int = 1, scheduler: str | None = None, *, dashboard: bool = False) -> Iterator[Client | None]:
    """Start processes on this machine, or connect to a running cluster; None if this process works alone.

    Args:
        workers: number of processes to start, with one thread each for tasks; they share the threads that torch has
            here.
        scheduler: address of a running scheduler, such as tcp://10.0.0.1:8786, whose workers are used.
        dashboard: True to show the processes of this machine at 127.0.0.1:8787.

    Raises:
        InputError: the arguments contradict each other, Dask is not installed, or there is no scheduler.
    """
    started = workers > 1 and scheduler is None
    if workers > 1 and scheduler is not None:
        raise InputError(f"--workers {workers} starts processes here, --scheduler uses those of a cluster. Give one.")
    if dashboard and not started:
        raise InputError("--dashboard is of the processes that --workers starts; a cluster's scheduler has its own.")
    if not started and scheduler is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("Dask is not installed. Install it: pip install 'protoseg[cluster]'.") from error
    with ExitStack() as opened:
        dask_logger = logging.getLogger("distributed")
        dask_logger.setLevel(logging.WARNING)
        place = scheduler if scheduler is not None else opened.enter_context(_local_cluster(workers, dashboard))
        try:
            client = opened.enter_context(Client(place, set_as_default=False, timeout=CONNECT))
        except (OSError, ValueError) as error:
            raise InputError(
                f"--scheduler {scheduler}: no scheduler of Dask answers there ({error}). Start one (dask scheduler), "
                "and give the address that it prints."
            ) from error
        if not client.nthreads():
            logger.warning("The scheduler at %s has no workers yet; waiting for some.", scheduler)
        client.forward_logging("protoseg", logging.WARNING)
        opened.callback(_stop_forwarding, client)
        opened.callback(dask_logger.setLevel, logging.ERROR)  # first of all: closing is told at length
        yield client


def share(
    client: Client, function: Callable[[Shared, Item], Result], items: Mapping[str, Item], shared: Shared
) -> Iterator[tuple[str, Result | InputError]]:
    """Apply a function to items in the processes of a cluster; give results as they come, by the items' names.

    A process works on one item at a time, in the working folder of this one. The shared object is sent to each process
    once and stays there. The item of a process that died is taken over by another. Those whose processes died again and
    again are tried once more, one by one; an item whose processes die even then, as when memory is too small, gives an
    `InputError`. Any other exception ends the work.

    Args:
        client: client of the cluster, see `open_cluster`.
        function: function of the shared object and an item.
        items: items by name.
        shared: object that all items need.

    Raises:
        InputError: the scheduler is gone, or a worker cannot work here.
    """
    import cloudpickle
    from dask import config
    from distributed import KilledWorker

    run = f"protoseg-{uuid.uuid4().hex}"
    packed = cloudpickle.dumps((function, shared))  # unpacked only by workers: a scheduler may lack torch
    with config.set({"distributed.admin.large-graph-warning-threshold": UNBOUNDED}):
        # By a task and not by `scatter`: the scheduler can have it made again when all its holders are lost.
        held = client.submit(cloudpickle.loads, packed, key=run, pure=False)
    work = partial(_work, folder=str(Path.cwd()), version=__version__)

    def results(names: Sequence[str], *mark: str) -> Iterator[tuple[str, Result | KilledWorker]]:
        keys = [(run, name, *mark) for name in names]
        return _results(client, client.map(work, [items[name] for name in names], key=keys, held=held, pure=False))

    left, suspects = len(items), []
    try:
        for name, result in results(list(items)):
            if isinstance(result, KilledWorker):
                suspects.append(name)
            else:
                left -= 1
                yield name, result
        # Dask blames a death on every item that the process had been given, also on those that only waited there.
        for name in suspects:
            [(_, result)] = results([name], "alone")
            left -= 1
            if isinstance(result, KilledWorker):
                told = f"{name}: the processes that were at it died, one after the other. Is memory short?"
                yield name, InputError(told)
            else:
                yield name, result
    except _SchedulerGoneError as lost:
        raise InputError(
            f"The scheduler of Dask is gone; {left} of {len(items)} are not done or not known to be. Start it again, "
            "and give the same command with --resume."
        ) from lost


def _results(client: Client, works: list[Future[Result]]) -> Iterator[tuple[str, Result | KilledWorker]]:
    """Give results as they come, by the names that follow the run's in their keys; one whose processes died, as such.

    Raises:
        _SchedulerGoneError: the scheduler is gone.
    """
    from distributed import KilledWorker, as_completed

    done = as_completed(works, loop=client.loop)
    del works  # a future without a reference is released everywhere
    for future in done:
        try:
            error = future.exception()
            result: Any = error if isinstance(error, KilledWorker) else None if error else future.result()
        # Dask has a RuntimeError, too, when it gives up a connection that is being made.
        except (OSError, CancelledError, RuntimeError) as lost:
            raise _SchedulerGoneError from lost
        if error is not None and result is None:
            raise error
        yield future.key[1], result


def _stop_forwarding(client: Client) -> None:
    if client.status == "running":  # otherwise it would wait for a scheduler that is gone
        with suppress(OSError, RuntimeError):  # the scheduler may be gone without the client knowing
            client.unforward_logging("protoseg")


@contextmanager
def _local_cluster(workers: int, dashboard: bool) -> Iterator[LocalCluster]:
    import torch
    from dask import config
    from distributed import LocalCluster
    from distributed.utils import get_mp_context

    threads = str(max(1, torch.get_num_threads() // workers))
    settings: dict[str, Any] = {}
    if not dashboard:  # silences the rest of the web server
        settings |= {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    if "forkserver" in get_all_start_methods():
        settings["distributed.worker.multiprocessing-method"] = "forkserver"
    with config.set(settings):
        if "distributed.worker.multiprocessing-method" in settings:  # all processes share what it imports
            get_mp_context().set_forkserver_preload(list(ENGINE))
        with _environment(dict.fromkeys(THREADS, threads)):
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                memory_limit=0,  # as for a single process: left to the operating system
                dashboard_address=DASHBOARD if dashboard else "127.0.0.1:0",
                scheduler_kwargs={"dashboard": dashboard},
            )
        with cluster:
            yield cluster


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for starting processes: torch reads some only when it is imported."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _work(item: Item, *, held: tuple[Callable[[Shared, Item], Result], Shared], folder: str, version: str) -> Result:
    """Do one item in a worker's process."""
    here = socket.gethostname()
    if version != __version__:
        raise InputError(f"A worker on {here} has protoseg {__version__}, expected {version}. Install the same there.")
    with _ONE_AT_A_TIME, ExitStack() as within:
        try:
            within.enter_context(chdir(folder))
        except OSError as error:
            raise InputError(
                f"A worker on {here} cannot enter {folder} ({error.strerror}). All machines need the same files under "
                "the same paths: start in a folder that they share."
            ) from error
        function, shared = held
        return function(shared, item)
