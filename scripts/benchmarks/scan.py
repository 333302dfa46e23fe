"""Measure scans end to end with everything on, by stage: from the file of a scan to the file of its labels.

Scans are of synthetic people, the support is three slices a label of another person. Each line is a process of its own,
with weights and features of the support loaded. "bare" is the encoder over the same slices and nothing else, "peak" the
most memory that the process ever held. Figures are medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.report import section, table, write_section
from benchmarks.stages import REST
from benchmarks.synthetic_scans import CASES, Files, label_names, write_case
from protoseg.files import write_json

# No frontal slice shows all 13. The last one is 1.5 GB; with 13 labels the graph cut alone would take minutes.
USUAL = [f"{case}:{count}" for case in ("ct100", "ct300", "mr37") for count in (4, 13)] + ["picture:4", "ct700:4"]
ROOT = Path(__file__).resolve().parents[2]
SHOWN = {  # columns of the table, and the stages in them
    "read, prepare": ("reading", "preparing"),
    "encode": ("input", "encoding"),
    "match": ("matching",),
    "graph cut": ("graph cut",),
    "estimate": ("estimate",),
    "write": ("writing",),
    "rest": (REST,),
}


def main(argv: Sequence[str]) -> int:
    """Read the arguments, measure, print a table."""
    parser = argparse.ArgumentParser(
        prog="scripts/benchmark scan", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    kinds = f"kinds ({', '.join(CASES)}) and, after a colon, how many labels are segmented, up to 13"
    parser.add_argument("--scans", nargs="+", type=_line, default=[_line(text) for text in USUAL], help=kinds)
    parser.add_argument("--rounds", type=int, default=1, help="of measurements, the median of which counts")
    parser.add_argument("--against", metavar="COMMIT", help="measure its code, too, turn by turn: ratio old / new")
    parser.add_argument("--report", action="store_true", help="write the table into bundle/docs/speed.md")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        codes = {"new": ROOT}
        if chosen.against:
            codes["old"] = stack.enter_context(_checked_out(chosen.against))
        figures = {}
        files: dict[str, Files] = {}
        for case, count in tqdm(chosen.scans, unit="line", disable=None):
            if case not in files:
                files[case] = written(Path(folder) / case, case)
            figures[f"{CASES[case].title}, {count} labels"] = measure(files[case], count, codes, chosen.rounds)
    text = section(" ".join(["scripts/benchmark scan", *argv]), _table(figures))
    print(text)
    if chosen.json is not None:
        write_json(chosen.json, figures)
    if chosen.report:
        write_section("scan --against" if chosen.against else "scan", text)
    return 0


def _line(text: str) -> tuple[str, int]:
    """Read kind and labels of a line, such as ct100:13."""
    case, _, count = text.partition(":")
    if case not in CASES or not count.isdecimal() or not 1 <= int(count) <= 13:
        raise argparse.ArgumentTypeError(f"{text!r} is no scan; expected such as ct100:13")
    return case, int(count)


def measure(files: Files, labels: int, codes: dict[str, Path], rounds: int) -> dict[str, float]:
    """Measure the figures of one line, by name."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(_worker(code, files, labels)) for name, code in codes.items()}
        taken: list[dict[str, float]] = []
        for number in range(rounds):
            scans = {name: _ask(worker, "scan") for name, worker in workers.items()}
            if not number:  # before the bare encoder takes its part
                peaks = {name: scan["peak_memory_gib"] for name, scan in scans.items()}
            new = scans["new"]
            figures = {title: sum(new["stages"].get(name, 0.0) for name in names) for title, names in SHOWN.items()}
            figures |= {
                "seconds": new["seconds"],
                "over_bare": new["seconds"] / _ask(workers["new"], "bare")["seconds"],
            }
            if "old" in scans:
                figures["old_over_new"] = scans["old"]["seconds"] / new["seconds"]
            taken.append(figures)
    medians = {name: statistics.median(figures[name] for figures in taken) for name in taken[0]}
    return medians | {f"peak_memory_gib_{name}": peak for name, peak in peaks.items()}


def _table(figures: dict[str, dict[str, float]]) -> str:
    compared = any("old_over_new" in values for values in figures.values())
    head = ["scan", "seconds", *SHOWN, "/ bare", "peak, GiB", *(["old / new", "old peak, GiB"] if compared else [])]
    names = ["seconds", *SHOWN, "over_bare", "peak_memory_gib_new", "old_over_new", "peak_memory_gib_old"]
    return table(
        head,
        [[title, *(f"{values[name]:.2f}" for name in names if name in values)] for title, values in figures.items()],
    )


def written(folder: Path, case: str) -> Files:
    """Write a scan in another process: so that its memory does not count for the processes that this one starts."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(write_case, folder, case).result()


@contextmanager
def _worker(code: Path, files: Files, labels: int) -> Iterator[subprocess.Popen[str]]:
    """Start a worker that has the code of a checkout."""
    arguments = {**{name: str(path) for name, path in files._asdict().items()}, "labels": label_names(labels)}
    path = os.pathsep.join([str(code / "bundle"), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.scan_worker", json.dumps(arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _ask(worker: subprocess.Popen[str], work: str) -> dict[str, Any]:
    """Let a worker do a task, and give its answer."""
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(f"{work}\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise RuntimeError("The process that segments ended; its error stands above.")
    result: dict[str, Any] = json.loads(answer)
    return result


@contextmanager
def _checked_out(commit: str) -> Iterator[Path]:
    """Check a commit out, for a while."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "old"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)
