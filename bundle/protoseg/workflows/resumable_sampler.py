"""The queries of a cohort: those left to do, when a run is resumed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import distributed
from torch.utils.data import Sampler

from protoseg.data.io.results import (
    LABEL_MAP,
    RESULT_SUFFIXES,
    check_replaceable,
    read_report,
    report_file,
    result_file,
)
from protoseg.data.io.volumes import query_id
from protoseg.files import is_there, remove_unfinished, to_path
from protoseg.ops.hashing import source_state
from protoseg.workflows.same_run import check_same_run

__all__ = ["ResumableSampler"]

logger = logging.getLogger(__name__)


class ResumableSampler(Sampler[int]):
    """Draws queries, or those that are not done; done is what has a report, a label map, and did not change since.

    Of processes that `torchrun` started, the first draws the first query, the second the second, and so on in turn.

    Args:
        cases: [{"image": path}, ...] of the queries.
        output_dir: folder of the reports.
        settings: settings that the reports of this run will have.
        resume: True to leave out queries that are done.
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

    def __len__(self) -> int:
        """Count the queries, done or not."""
        return len(self.cases)

    def __iter__(self) -> Iterator[int]:
        """Give the indices of the queries.

        Raises:
            InputError: a report belongs to another query or to other settings, or results would replace files that no
                run wrote.
        """
        together = distributed.is_available() and distributed.is_initialized()
        first, step = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
        share = range(first, len(self), step)
        left = [index for index in share if not (self.resume and self._is_done(index))]
        for index in left:
            for suffix in RESULT_SUFFIXES:
                check_replaceable(result_file(self.output_dir, self.names[index], suffix))
        if self.resume:
            logger.info("%d of %d queries are done.", len(share) - len(left), len(share))
            self.remove_unfinished({self.names[index] for index in left})
        return iter(left)

    def remove_unfinished(self, names: Collection[str]) -> None:
        """Remove files that killed processes left unfinished about the queries of these names."""
        files = {result_file(self.output_dir, name, suffix).name for name in names for suffix in RESULT_SUFFIXES}
        remove_unfinished(self.output_dir, files)

    def _is_done(self, index: int) -> bool:
        file, image = report_file(self.output_dir, self.names[index]), str(self.cases[index]["image"])
        report = read_report(file)
        if report is None:
            return False
        found = {"query": report.get("query"), **report.get("settings", {})}
        check_same_run(file, found, {"query": image, **self.settings})
        changed = max((changed for _, _, changed in source_state(image)), default=0)
        label_map = result_file(self.output_dir, self.names[index], LABEL_MAP)
        return is_there(label_map) and changed <= file.stat().st_mtime_ns
