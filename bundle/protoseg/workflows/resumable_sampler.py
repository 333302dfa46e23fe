"""The queries of a cohort, shared by any number of processes that may be killed and started again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Sampler

from protoseg.data.io.results import RESULT_SUFFIXES, read_report, report_file, result_file
from protoseg.data.io.volumes import query_id
from protoseg.files import remove_unfinished, to_path
from protoseg.workflows.shared_work import SharedWork, check_same_run

__all__ = ["ResumableSampler"]

logger = logging.getLogger(__name__)


class ResumableSampler(Sampler[int]):
    """Draws the queries that are not done, each for one process at a time; done is what has a report.

    How processes share them, see `SharedWork`. Without `resume` it draws every query, done or not, and locks nothing.

    Args:
        cases: [{"image": path}, ...].
        output_dir: folder of the reports.
        settings: that the reports of this run will have.
        resume: leave out what is done, and share the others.
    """

    def __init__(
        self,
        cases: Sequence[Mapping[str, Any]],
        output_dir: str | Path,
        *,
        settings: Mapping[str, Any],
        resume: bool = False,
    ) -> None:
        self.cases = cases
        self.names = [query_id(case["image"]) for case in cases]
        self.output_dir = to_path(output_dir, "output_dir")
        self.settings = settings
        self.resume = resume
        self._work = SharedWork(self.names, self.output_dir, is_done=self._is_done, prepare=self._remove_unfinished)

    def __len__(self) -> int:
        """Number of queries, done or not."""
        return len(self.cases)

    def __iter__(self) -> Iterator[int]:
        """Give the indices of the queries.

        Raises:
            InputError: a report is of another query or other settings, or the file system has no locks.
        """
        return self._shared() if self.resume else iter(range(len(self)))

    def give_up(self) -> None:
        """Let other processes try the query that was drawn last; this one draws it no more."""
        self._work.give_up()

    def _shared(self) -> Iterator[int]:
        done = len(self) - len(self._work.not_done(range(len(self))))
        logger.info("%d of %d queries are done.", done, len(self))
        yield from self._work

    def _is_done(self, index: int) -> bool:
        file = report_file(self.output_dir, self.names[index])
        report = read_report(file)
        if report is None:
            return False
        found = {"query": report.get("query"), **report.get("settings", {})}
        check_same_run(file, found, {"query": str(self.cases[index]["image"]), **self.settings})
        return True

    def _remove_unfinished(self, index: int) -> None:
        files = (result_file(self.output_dir, self.names[index], suffix) for suffix in RESULT_SUFFIXES)
        remove_unfinished(self.output_dir, {file.name for file in files})
