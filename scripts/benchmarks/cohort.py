"""Measure what a scan costs a worker, and a task the scheduler; reckon what a cohort takes on a cluster.

The first scan warms up and does not count. Bytes are those that the process asks the operating system for, whether
they come from a disk, a server or memory. Threads are as many as torch takes: OMP_NUM_THREADS=1 for one core a worker.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cloudpickle
import torch

from benchmarks.memory import peak_memory_gib
from protoseg.data.io.queries import query_list
from protoseg.files import write_json
from protoseg.workflows.cluster import open_cluster, share
from protoseg.workflows.engine_parts import open_plain_config
from protoseg.workflows.scan_segmenter import ScanSegmenter, SharedSegmenter, segment_scan

MEBIBYTE = 2**20


class Cost(NamedTuple):
    """What was used up to now."""

    seconds: float
    core_seconds: float
    read: float  # bytes
    written: float


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark cohort", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("queries", nargs="+", help="at least two scans")
    parser.add_argument("--like", nargs=2, required=True, metavar=("IMAGE", "LABELS"), help="a labelled scan")
    parser.add_argument("--tasks", type=int, default=2000, help="empty ones, to measure the scheduler by; 0 for none")
    parser.add_argument("--scans", type=int, default=100_000, help="of the cohort that is reckoned")
    parser.add_argument("--nodes", type=int, default=200, help="of the cluster that is reckoned")
    parser.add_argument("--cores", type=int, default=32, help="of a node, a worker each")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args(argv)
    figures = _measure_scans(arguments.queries, *arguments.like)
    if arguments.tasks:
        figures["scheduler_tasks_a_second"] = _measure_scheduler(arguments.tasks)
    figures |= reckon(figures, arguments.scans, arguments.nodes, arguments.cores)
    for name, value in figures.items():
        print(f"{name:32}{value:>14.2f}")
    if arguments.json is not None:
        write_json(arguments.json, {name: round(value, 3) for name, value in figures.items()})


def reckon(figures: dict[str, float], scans: int, nodes: int, cores: int) -> dict[str, float]:
    """Reckon what a cohort takes on a cluster whose workers have a core each, if nothing saturates, and what would."""
    rate = nodes * cores / figures["core_seconds_a_scan"]  # scans a second
    return {
        "core_hours_of_the_cohort": scans * figures["core_seconds_a_scan"] / 3600,
        "minutes_on_the_cluster": scans / rate / 60,
        "scans_a_second": rate,
        "read_mib_a_second": rate * figures["read_mib_a_scan"],
        "written_mib_a_second": rate * figures["written_mib_a_scan"],
        "tib_read": scans * figures["read_mib_a_scan"] / MEBIBYTE,
        "sent_to_workers_gib": nodes * cores * figures["shared_mib_a_worker"] / 1024,
    }


def _measure_scans(queries: Sequence[str], image: str, labels: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        inputs = {"support_image": image, "support_label": labels, "query": list(queries), "output_dir": folder}
        options = {**inputs, "device": "cpu", "inferer#progress": False}
        segmenter = ScanSegmenter(open_plain_config(("inference.yaml",), **options))
        shared = SharedSegmenter.of(segmenter)
        vars(shared)["segmenter"] = segmenter
        costs = [_cost()]
        for case in query_list(list(queries), segmenter.support):
            failure = segment_scan(shared, case["image"])
            if failure is not None:
                raise failure
            costs.append(_cost())
    scans = [Cost(*(after - before for before, after in zip(*pair))) for pair in pairwise(costs[1:])]
    median = Cost(*(statistics.median(values) for values in zip(*scans)))
    return {
        "threads": torch.get_num_threads(),
        "scans_measured": len(scans),
        "seconds_a_scan": median.seconds,
        "core_seconds_a_scan": median.core_seconds,
        "read_mib_a_scan": median.read / MEBIBYTE,
        "written_mib_a_scan": median.written / MEBIBYTE,
        "shared_mib_a_worker": len(cloudpickle.dumps(shared)) / MEBIBYTE,
        "peak_memory_gib": peak_memory_gib(torch.device("cpu")),
    }


def _measure_scheduler(tasks: int) -> float:
    """Tasks that do nothing, a second, by two processes of this machine."""
    items = {str(number): number for number in range(tasks)}
    with open_cluster(2) as client:
        assert client is not None
        list(share(client, _nothing, {"first": 0, "second": 1}, None))
        begin = time.perf_counter()
        list(share(client, _nothing, items, None))
        return tasks / (time.perf_counter() - begin)


def _nothing(_: None, number: int) -> int:
    return number


def _cost() -> Cost:
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    bytes_of = {name: float(value) for name, value in (line.split(": ") for line in lines)}
    return Cost(time.perf_counter(), time.process_time(), bytes_of["rchar"], bytes_of["wchar"])
