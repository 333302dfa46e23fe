"""A run of a suite: pair after pair is segmented, measured and kept, then all of them are reported."""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from protoseg.data.io.results import read_report
from protoseg.errors import InputError
from protoseg.files import remove_unfinished, replacing, write_json
from protoseg.workflows.same_run import check_same_run
from protoseg.workflows.shared_work import SharedWork
from protoseg.workflows.suite.comparison import read_run
from protoseg.workflows.suite.index import ScanPair, ScanSet, read_index
from protoseg.workflows.suite.pictures import save_pictures
from protoseg.workflows.suite.report import SuiteReport, write_report
from protoseg.workflows.suite.rows import measured_rows
from protoseg.workflows.suite.segmenter import PairSegmenter
from protoseg.workflows.versions import library_versions

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
) -> None:
    """Segment and measure every pair of an index by the bundle's inference config, and report.

    What is done is kept pair by pair: a run that was stopped goes on, and processes of the same command share it. A
    pair that cannot be segmented is told about and left out.

    Args:
        index: see `read_index`.
        output_dir: folder of the files, see `write_report`.
        against: folder of an earlier run to compare with.
        only: see `read_index`.
        limit: see `read_index`.
        overlays: see `PairSegmenter`.
        overrides: see `PairSegmenter`.

    Raises:
        InputError: the index or a setting cannot be used, or the folder holds results of other settings; at the end,
            a line for each pair that could not be segmented.
    """
    earlier = None if against is None else read_run(Path(against))  # now: a wrong folder should not show after hours
    sets = read_index(index, only=only, limit=limit)
    run = _Run([(one, pair) for one in sets for pair in one.pairs], Path(output_dir), overlays, overrides or {})
    run.segment()
    done = [json.loads(run.file(pair).read_text(encoding="utf-8")) for _, pair in run.pairs if run.file(pair).is_file()]
    description = _describe(index, run.segmenter.settings(), overlays, overrides or {})
    report = SuiteReport(
        rows=[row for content in done for row in content["rows"]],
        run=description,
        pairs=[pair for _, pair in run.pairs],
        failures=list(run.failures.values()),
    )
    write_report(report, Path(output_dir), earlier)
    if run.failures:
        lines = "".join(f"\n  {line}" for line in run.failures.values())
        raise InputError(f"{len(run.failures)} of {len(run.pairs)} pairs could not be segmented:{lines}")


class _Run:
    """Pairs to segment, and what is known of them."""

    def __init__(
        self,
        pairs: Sequence[tuple[ScanSet, ScanPair]],
        output_dir: Path,
        overlays: Sequence[str],
        overrides: Mapping[str, Any],
    ) -> None:
        self.pairs = pairs
        self.output_dir = output_dir
        self.segmenter = PairSegmenter(overlays, overrides)
        self.settings = self.segmenter.settings()
        self.failures: dict[int, str] = {}  # a line for each pair, by its place

    def file(self, pair: ScanPair) -> Path:
        """Where the rows of a pair are kept: what is written last about it."""
        return self.output_dir / "pairs" / pair.file.with_name(f"{pair.file.name}.json")

    def segment(self) -> None:
        """Segment the pairs that are not done."""
        names = [str(pair.file) for _, pair in self.pairs]
        work = SharedWork(names, self.output_dir, is_done=self._is_done, prepare=self._prepare)
        done = len(work) - len(work.not_done(range(len(work))))
        with logging_redirect_tqdm(), tqdm(desc="Suite", unit="pair", total=len(work), initial=done) as bar:
            for index in work:
                one, pair = self.pairs[index]
                bar.set_postfix_str(one.name)
                try:
                    self._measure(one, pair)
                except Exception as error:  # one pair of many; whatever is wrong with it, the others go on
                    self.failures[index] = self._failure(pair, error)
                    tqdm.write(f"Left out: {self.failures[index]}", file=sys.stderr)
                    work.give_up()
                bar.update()

    def _measure(self, one: ScanSet, pair: ScanPair) -> None:
        segmented = self.segmenter.segment(pair)
        rows = measured_rows(one, pair, segmented)
        save_pictures(self.output_dir, pair, segmented)
        write_json(self.file(pair), {"pair": _identity(pair), "settings": self.settings, "rows": rows})

    def _is_done(self, index: int) -> bool:
        _, pair = self.pairs[index]
        content = read_report(self.file(pair))
        if content is None:
            return False
        found = {"pair": content.get("pair"), **content.get("settings", {})}
        check_same_run(self.file(pair), found, {"pair": _identity(pair), **self.settings})
        return True

    def _prepare(self, index: int) -> None:
        """Remove what a killed process was writing about a pair."""
        _, pair = self.pairs[index]
        remove_unfinished(self.file(pair).parent, {self.file(pair).name})
        folder = self.output_dir / "cases" / pair.file.parent
        remove_unfinished(folder, {f"{pair.file.name}_{value}.jpg" for value in pair.labels.values()})

    def _failure(self, pair: ScanPair, error: Exception) -> str:
        """What is wrong with a pair, in a line; of an error that nobody foresaw, a file tells more."""
        if isinstance(error, InputError):
            return f"{pair}: {error}"
        file = self.output_dir / "failures" / pair.file.with_name(f"{pair.file.name}.txt")
        with replacing(file) as unfinished:
            unfinished.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        first = (str(error).splitlines() or [""])[0]
        return f"{pair}: {type(error).__name__}: {first} (more in {file})"


def _identity(pair: ScanPair) -> dict[str, Any]:
    return {
        "supports": [[scan.name, str(scan.label.name), scan.read_as] for scan in pair.supports],
        "query": [pair.query.name, str(pair.query.label.name), pair.query.read_as],
        "labels": dict(pair.labels),
    }


def _describe(
    index: str | Path, settings: Mapping[str, Any], overlays: Sequence[str], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "index": str(index),
        "overlays": list(overlays),
        "overrides": dict(overrides),
        "settings": {**settings, "threads": torch.get_num_threads()},  # sums in another order differ in the last digit
        "versions": library_versions(),
    }
