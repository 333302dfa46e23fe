"""Measure what a scan costs a worker, and a task the scheduler; reckon what a cohort takes on a cluster.

The first scan warms up and does not count; --synthetic makes all scans by itself. Bytes are those that the process asks
the operating system for, whether they come from a disk, a server or memory. Threads are as many as torch takes:
OMP_NUM_THREADS=1 for one core a worker.
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
from benchmarks.report import PAGE, section, table, write_section
from benchmarks.synthetic_scans import CASES, write_case, write_more
from protoseg.data.io.queries import query_list
from protoseg.files import write_json
from protoseg.workflows.cluster import open_cluster, share
from protoseg.workflows.engine_parts import open_plain_config
from protoseg.workflows.scan_segmenter import ScanSegmenter, SharedSegmenter, segment_scan

MEBIBYTE = 2**20
CLUSTERS = PAGE.with_name("clusters.md")
SYNTHETIC = 4  # scans, of which three count
TASKS = "scheduler_tasks_a_second"


class Cost(NamedTuple):
    """The resources used so far."""

    seconds: float
    core_seconds: float
    read: float  # bytes
    written: float


def main(argv: Sequence[str]) -> None:
    """Read the arguments, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark cohort", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("queries", nargs="*", help="at least two scans")
    parser.add_argument("--like", nargs=2, metavar=("IMAGE", "LABELS"), help="a labelled scan")
    parser.add_argument("--synthetic", choices=[*CASES], help="measure four synthetic scans of this kind instead")
    parser.add_argument("--tasks", type=int, default=2000, help="empty ones, to measure the scheduler by; 0 for none")
    parser.add_argument("--scans", type=int, default=100_000, help="of the cohort that is reckoned")
    parser.add_argument("--nodes", type=int, default=200, help="of the cluster that is reckoned")
    parser.add_argument("--cores", type=int, default=32, help="of a node, a worker each")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--report", action="store_true", help="write the table into bundle/docs/clusters.md")
    arguments = parser.parse_args(argv)
    if bool(arguments.synthetic) == bool(arguments.queries and arguments.like):
        parser.error("give scans and --like, or --synthetic")
    with tempfile.TemporaryDirectory() as folder:
        queries, like = arguments.queries, arguments.like
        if arguments.synthetic:
            files = write_case(Path(folder), arguments.synthetic)
            queries = [files.image, *write_more(Path(folder), arguments.synthetic, SYNTHETIC - 1)]
            like = files.support_image, files.support_labels
        figures = _measure_scans([str(query) for query in queries], *map(str, like))
    if arguments.tasks:
        figures[TASKS] = _measure_scheduler(arguments.tasks)
    figures |= reckon(figures, arguments.scans, arguments.nodes, arguments.cores)
    for name, value in figures.items():
        print(f"{name:32}{value:>14.2f}")
    if arguments.json is not None:
        write_json(arguments.json, {name: round(value, 3) for name, value in figures.items()})
    if arguments.report:
        what = CASES[arguments.synthetic].title if arguments.synthetic else "your scans"
        costs = cost_table(figures, what, arguments.scans, arguments.nodes * arguments.cores)
        text = section(" ".join(["scripts/benchmark cohort", *argv]), costs)
        write_section("cohort", text, CLUSTERS)


def cost_table(figures: dict[str, float], what: str, scans: int, cores: int) -> str:
    """Make the table of the costs of a scan for a worker, and of a cohort for a cluster."""
    of = figures
    return table(
        ["of", "formula", what],
        [
            ["a scan, core-seconds", "measured", f"{of['core_seconds_a_scan']:.1f}"],
            [
                "a scan, MiB read and written",
                "measured",
                f"{of['read_mib_a_scan']:.1f}, {of['written_mib_a_scan']:.2f}",
            ],
            ["a worker, GiB of memory", "measured", f"{of['peak_memory_gib']:.2f}"],
            [
                f"{scans} scans, core-hours",
                "scans x core-seconds / 3600",
                f"{of['core_hours_of_the_cohort']:.0f}",
            ],
            [f"minutes on {cores} cores", "scans x core-seconds / cores", f"{of['minutes_on_the_cluster']:.0f}"],
            ["scans a second", "cores / core-seconds", f"{of['scans_a_second']:.0f}"],
            ["MiB/s read from the file server", "x MiB read", f"{of['read_mib_a_second']:.0f}"],
            ["MiB/s written, and files/s", "x MiB written, three files", _written(of)],
            ["GiB sent to the workers at the start", "workers x support", f"{of['sent_to_workers_gib']:.1f}"],
            *([["tasks/s of the scheduler", "measured", f"{of[TASKS]:.0f}"]] if TASKS in of else []),
        ],
    )


def _written(figures: dict[str, float]) -> str:
    return f"{figures['written_mib_a_second']:.0f}, {3 * figures['scans_a_second']:.0f}"


def reckon(figures: dict[str, float], scans: int, nodes: int, cores: int) -> dict[str, float]:
    """Estimate the costs of a cohort on a cluster with a core per worker, if nothing saturates, and what would."""
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
    """Count empty tasks per second, done by two processes of this machine."""
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
