"""A run of a suite: pair after pair is segmented, measured and kept, then all of them are reported."""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from protoseg.data.io.results import read_report
from protoseg.errors import InputError
from protoseg.files import WriteError, remove_unfinished, replacing, write_json
from protoseg.workflows.cluster import share
from protoseg.workflows.same_run import check_same_run
from protoseg.workflows.suite.comparison import read_run
from protoseg.workflows.suite.index import ScanPair, ScanSet, read_index
from protoseg.workflows.suite.pictures import save_pictures
from protoseg.workflows.suite.report import SuiteReport, write_report
from protoseg.workflows.suite.rows import measured_rows
from protoseg.workflows.suite.segmenter import PairSegmenter
from protoseg.workflows.versions import library_versions

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["run_suite"]


def run_suite(
    index: str | Path,
    output_dir: str | Path,
    *,
    against: str | Path | None = None,
    only: Sequence[str] = (),
    limit: int | None = None,
    overlays: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    client: Client | None = None,
) -> None:
    """Segment and measure every pair of an index by the bundle's inference config, and report.

    Results are kept pair by pair, so that a run that was stopped can be resumed. A pair that cannot be segmented is
    reported and left out.

    Args:
        index: path of the index, see `read_index`.
        output_dir: folder of the files, see `write_report`.
        against: folder of an earlier run to compare with.
        only: names of sets, see `read_index`.
        limit: largest number of pairs of each set, see `read_index`.
        overlays: config files, see `PairSegmenter`.
        overrides: values of config entries, see `PairSegmenter`.
        client: client of a cluster whose processes share the pairs; by default this process does all.

    Raises:
        InputError: the index or a setting cannot be used, or the folder holds results of other settings; at the end,
            a line for each pair that could not be segmented.
    """
    earlier = None if against is None else read_run(Path(against))  # now: a wrong folder must not show after hours
    pairs = [(one, pair) for one in read_index(index, only=only, limit=limit) for pair in one.pairs]
    segmenter = PairSegmenter(overlays, overrides)
    run = _SharedRun(Path(output_dir), overlays, overrides or {}, segmenter.settings())
    vars(run)["segmenter"] = segmenter  # this process has it already
    failures = _segment_all(run, pairs, client)
    done = [json.loads(run.file(pair).read_text(encoding="utf-8")) for _, pair in pairs if run.file(pair).is_file()]
    report = SuiteReport(
        rows=[row for content in done for row in content["rows"]],
        run=_describe(index, run, done),
        pairs=[pair for _, pair in pairs],
        failures=[str(failure) for failure in failures.values()],
    )
    write_report(report, Path(output_dir), earlier)
    if failures:
        lines = "".join(f"\n  {line}" for line in failures.values())
        raise InputError(f"{len(failures)} of {len(pairs)} pairs could not be segmented:{lines}")


@dataclass(frozen=True)
class _SharedRun:
    """The data that processes need to segment pairs, each with a network of its own, made once."""

    output_dir: Path
    overlays: Sequence[str]
    overrides: Mapping[str, Any]
    settings: Mapping[str, Any]

    @cached_property
    def segmenter(self) -> PairSegmenter:
        """Segmenter of this process."""
        return PairSegmenter(self.overlays, self.overrides)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "segmenter"}

    def file(self, pair: ScanPair) -> Path:
        """Give the file of the rows of a pair, which is written last."""
        return self.output_dir / "pairs" / pair.file.with_name(f"{pair.file.name}.json")

    def is_done(self, pair: ScanPair) -> bool:
        """Tell whether a pair has rows, and check that they have these settings."""
        content = read_report(self.file(pair))
        if content is None:
            return False
        found = {"pair": content.get("pair"), **content.get("settings", {})}
        check_same_run(self.file(pair), found, {"pair": _identity(pair), **self.settings})
        return True

    def remove_unfinished(self, pair: ScanPair) -> None:
        """Remove files that a killed process left unfinished about a pair."""
        remove_unfinished(self.file(pair).parent, {self.file(pair).name})
        folder = self.output_dir / "cases" / pair.file.parent
        remove_unfinished(folder, {f"{pair.file.name}_{value}.jpg" for value in pair.labels.values()})

    def failure(self, pair: ScanPair, error: Exception) -> str:
        """Describe the error of a pair in a line; for an unforeseen one, a file has more."""
        if isinstance(error, InputError):
            return f"{pair}: {error}"
        file = self.output_dir / "failures" / pair.file.with_name(f"{pair.file.name}.txt")
        with replacing(file) as unfinished:
            unfinished.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        first = (str(error).splitlines() or [""])[0]
        return f"{pair}: {type(error).__name__}: {first} (more in {file})"


def _segment_all(
    run: _SharedRun, pairs: Sequence[tuple[ScanSet, ScanPair]], client: Client | None
) -> dict[str, str | InputError]:
    """Segment the pairs that are not done; give the error of each that could not be, by its file."""
    left = {str(pair.file): (one, pair) for one, pair in pairs if not run.is_done(pair)}
    outcomes: Iterable[tuple[str, str | InputError | None]]
    outcomes = share(client, _measure, left, run) if client else ((name, _measure(run, left[name])) for name in left)
    failures: dict[str, str | InputError] = {}
    with (
        logging_redirect_tqdm(),
        tqdm(desc="Suite", unit="pair", total=len(pairs), initial=len(pairs) - len(left)) as bar,
    ):
        for name, failure in outcomes:
            if failure is not None:
                failures[name] = failure
                tqdm.write(f"Left out: {failure}", file=sys.stderr)
            bar.update()
    return {name: failures[name] for name in left if name in failures}


def _measure(run: _SharedRun, item: tuple[ScanSet, ScanPair]) -> str | None:
    """Segment and measure a pair, unless it is done, and keep the result; return a line about its error, if any."""
    one, pair = item
    segmenter = run.segmenter
    run.remove_unfinished(pair)
    if run.is_done(pair):  # done by a process that died before it could report
        return None
    try:
        segmented = segmenter.segment(pair)
        rows = measured_rows(one, pair, segmented)
        save_pictures(run.output_dir, pair, segmented)
        kept = {"pair": _identity(pair), "settings": run.settings, "threads": torch.get_num_threads()}
        write_json(run.file(pair), {**kept, "rows": rows})
    except WriteError:
        raise
    except Exception as error:  # one pair of many: whatever its error, the others go on
        return run.failure(pair, error)
    return None


def _identity(pair: ScanPair) -> dict[str, Any]:
    return {
        "supports": [[scan.name, str(scan.label.name), scan.read_as] for scan in pair.supports],
        "query": [pair.query.name, str(pair.query.label.name), pair.query.read_as],
        "labels": dict(pair.labels),
    }


def _describe(index: str | Path, run: _SharedRun, done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    threads = sorted({content.get("threads", torch.get_num_threads()) for content in done})
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "index": str(index),
        "overlays": list(run.overlays),
        "overrides": dict(run.overrides),
        # Sums in another order, as with another number of threads, differ in the last digit.
        "settings": {**run.settings, "threads": threads[0] if len(threads) == 1 else threads},
        "versions": library_versions(),
    }
