"""The queries of a cohort, shared by any number of processes that may be killed and started again."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from torch.utils.data import Sampler

from protoseg.data.results import RESULT_SUFFIXES, read_report, report_file, result_file
from protoseg.data.volumes import query_id
from protoseg.errors import InputError
from protoseg.files import remove_unfinished, to_path, write_errors

__all__ = ["WorkList"]

logger = logging.getLogger(__name__)

LOCKS = ".work_list"
WAIT_SECONDS = 1.0


class WorkList(Sampler[int]):
    """Draws the queries that are not done, each for one process at a time; done is what has a report.

    The processes may run on several machines that share the output folder; all they have in common is a file there, of
    which a process locks one byte for each query that it draws. The operating system frees the locks of a process when
    it ends, however it ends, so that another process, or the next run, draws a query whose process was killed. The list
    ends when every query is done or was drawn by this process.

    Without `resume` it draws every query, done or not, and locks nothing.

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
        self._last: int | None = None
        self._locks: IO[bytes] | None = None

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
        if self._locks is not None and self._last is not None:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, self._byte(self._last))

    def _shared(self) -> Iterator[int]:
        with write_errors(self.output_dir / LOCKS):
            self.output_dir.mkdir(parents=True, exist_ok=True)
            self._locks = self._locks or (self.output_dir / LOCKS).open("ab")  # never closed: that would free the locks
        drawn: set[int] = set()
        left = self._not_done(range(len(self)))
        logger.info("%d of %d queries are done.", len(self) - len(left), len(self))
        while left:
            before = len(drawn)
            for index in left:
                if self._claim(index):
                    drawn.add(index)
                    self._last = index
                    yield index
            if len(drawn) == before:
                time.sleep(WAIT_SECONDS)  # other processes are at the rest; should one be killed, it is drawn here
            left = [index for index in self._not_done(left) if index not in drawn]

    def _not_done(self, indices: Collection[int]) -> list[int]:
        return [index for index in indices if not self._is_done(index)]

    def _is_done(self, index: int) -> bool:
        file = report_file(self.output_dir, self.names[index])
        report = read_report(file)
        if report is None:
            return False
        found = {"query": report.get("query"), **report.get("settings", {})}
        wanted = {"query": str(self.cases[index]["image"]), **self.settings}
        differing = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
        if differing:
            told = "; ".join(f"{name} was {found.get(name)!r}, now {wanted.get(name)!r}" for name in differing)
            raise InputError(
                f"{file} is not of this run: {told}. Resume with what it was made of, choose another output_dir, or "
                "delete the old results."
            )
        return True

    def _claim(self, index: int) -> bool:
        """Lock a query, unless another process has or it was done in the meantime."""
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._byte(index))  # type: ignore[arg-type]
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise InputError(
                f"{self.output_dir} is on a file system without locks ({error.strerror}), which processes need to "
                "share their work. Choose an output_dir on another, or run one process without --resume."
            ) from error
        if self._is_done(index):
            return False
        files = (result_file(self.output_dir, self.names[index], suffix) for suffix in RESULT_SUFFIXES)
        remove_unfinished(self.output_dir, {file.name for file in files})
        return True

    def _byte(self, index: int) -> int:
        """Which byte stands for a query, in every process alike; the file is never as long as that."""
        return int.from_bytes(hashlib.sha256(self.names[index].encode()).digest()[:7])
