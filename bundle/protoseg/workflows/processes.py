"""One of several processes that `torchrun` started: it joins the others, and works on its share."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from datetime import timedelta
from itertools import zip_longest
from threading import Thread
from typing import TypeVar, cast

import ignite.distributed as idist
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from protoseg.errors import InputError

__all__ = [
    "batch_share",
    "data_parallel",
    "gather_in_turn",
    "is_first",
    "join_processes",
    "local_device",
    "mean_over_processes",
]

Item = TypeVar("Item")

# One process may have much longer scans than another. Dead processes are noticed by torchrun, not by waiting.
PATIENCE = timedelta(days=1)
WATCH_SECONDS = 1.0
NOTHING = object()


def local_device() -> torch.device:
    """Give the device of this process: the GPU of its number on this machine, or the CPU if there is no GPU.

    Raises:
        InputError: there are fewer GPUs than processes.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number, count = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if number >= count:
        raise InputError(
            f"torchrun started more than {count} processes on this machine, which has {count} GPU(s). Give "
            f"--nproc_per_node={count}."
        )
    return torch.device("cuda", number)


def join_processes(device: torch.device | str) -> None:
    """Join the other processes of `torchrun`, by nccl on GPUs or gloo on the CPU; without it do nothing.

    From then on only the first process logs more than warnings, and each ends when `torchrun` is gone.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    store, rank, world_size = next(distributed.rendezvous("env://"))
    # The store outlives a restart, and keeps the addresses of the earlier processes.
    store = distributed.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=world_size, timeout=PATIENCE
    )
    idist.sync()
    if not is_first():
        logging.disable(logging.INFO)


def _end_with_parent(parent: int) -> None:
    """End with a killed torchrun, whose processes would write beside those of the next run."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def is_first() -> bool:
    """Tell whether this process writes the common files; True for a single one."""
    return idist.get_rank() == 0


def data_parallel(network: nn.Module, device: torch.device | str) -> nn.Module:
    """Wrap a network to train it on the episodes of all processes; a single process gets it as it is.

    The parameters stay those of the network, under whose own names checkpoints are written. On GPUs its batch
    normalization becomes one over all processes; on the CPU, PyTorch has none.
    """
    if idist.get_world_size() == 1:
        return network
    if torch.device(device).type == "cpu":
        return DistributedDataParallel(network)
    return DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(network), device_ids=[device])


def batch_share(batch_size: int) -> int:
    """Give the number of episodes of an iteration for each process.

    Raises:
        InputError: they cannot be shared evenly.
    """
    processes = idist.get_world_size()
    if batch_size % processes:
        raise InputError(
            f"batch_size is {batch_size} episodes an iteration, which {processes} processes cannot share evenly. "
            f"Choose a multiple of {processes}."
        )
    return batch_size // processes


def mean_over_processes(value: Tensor) -> Tensor:
    """Average a value over processes, without gradient."""
    return cast(Tensor, idist.all_reduce(value.detach().clone())) / idist.get_world_size()


def gather_in_turn(items: Sequence[Item]) -> list[Item]:
    """Gather the items of all processes, one of each in turn; all of them must call this, and all get the result.

    Items of scans that `ScanSampler` shared out are in the order of the scans.
    """
    shares = cast(list[list[Item]], idist.all_gather(list(items)))
    return [item for turn in zip_longest(*shares, fillvalue=NOTHING) for item in turn if item is not NOTHING]  # type: ignore[misc]
