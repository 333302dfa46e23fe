"""Work shared by any number of processes that may be killed and started again."""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from protoseg.errors import InputError
from protoseg.files import write_errors
from protoseg.moved import renamed_settings

__all__ = ["SharedWork", "check_same_run"]

LOCKS = ".work_list"
WAIT_SECONDS = 1.0


class SharedWork:
    """Draws the items that are not done, each for one process at a time.

    The processes may run on several machines that share the output folder; all they have in common is a file there, of
    which a process locks one byte for each item that it draws. The operating system frees the locks of a process when
    it ends, however it ends, so that another process, or the next run, draws an item whose process was killed. The
    work ends when every item is done or was drawn by this process.

    Args:
        names: of the items, each another.
        output_dir: folder of what is written about them.
        is_done: tells whether an item is done, by its index.
        prepare: called with the index of an item that was drawn, before it is given.
    """

    def __init__(
        self,
        names: Sequence[str],
        output_dir: Path,
        *,
        is_done: Callable[[int], bool],
        prepare: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.names = names
        self.output_dir = output_dir
        self.is_done = is_done
        self.prepare = prepare
        self._last: int | None = None
        self._locks: IO[bytes] | None = None

    def __len__(self) -> int:
        """Number of items, done or not."""
        return len(self.names)

    def __iter__(self) -> Iterator[int]:
        """Give the indices of the items.

        Raises:
            InputError: the file system has no locks.
        """
        with write_errors(self.output_dir / LOCKS):
            self.output_dir.mkdir(parents=True, exist_ok=True)
            self._locks = self._locks or (self.output_dir / LOCKS).open("ab")  # never closed: that would free the locks
        drawn: set[int] = set()
        left = self.not_done(range(len(self)))
        while left:
            before = len(drawn)
            for index in left:
                if self._claim(index):
                    drawn.add(index)
                    self._last = index
                    yield index
            if len(drawn) == before:
                time.sleep(WAIT_SECONDS)  # other processes are at the rest; should one be killed, it is drawn here
            left = [index for index in self.not_done(left) if index not in drawn]

    def not_done(self, indices: Collection[int]) -> list[int]:
        """Tell which of some items are not done."""
        return [index for index in indices if not self.is_done(index)]

    def give_up(self) -> None:
        """Let other processes try the item that was drawn last; this one draws it no more."""
        if self._locks is not None and self._last is not None:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, self._byte(self._last))

    def _claim(self, index: int) -> bool:
        """Lock an item, unless another process has or it was done in the meantime."""
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._byte(index))  # type: ignore[arg-type]
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            raise InputError(
                f"{self.output_dir} is on a file system without locks ({error.strerror}), which processes need to "
                "share their work. Choose an output_dir on another."
            ) from error
        if self.is_done(index):
            return False
        self.prepare(index)
        return True

    def _byte(self, index: int) -> int:
        """Which byte stands for an item, in every process alike; the file is never as long as that."""
        return int.from_bytes(hashlib.sha256(self.names[index].encode()).digest()[:7])


def check_same_run(file: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse results that were made of something else than this run's would be.

    Args:
        file: the results.
        found: what they say that they were made of.
        wanted: what this run's would say.

    Raises:
        InputError: naming what differs.
    """
    found, wanted = renamed_settings(found), renamed_settings(wanted)
    differing = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    if differing:
        told = "; ".join(f"{name} was {found.get(name)!r}, now {wanted.get(name)!r}" for name in differing)
        raise InputError(
            f"{file} is not of this run: {told}. Resume with what it was made of, choose another output_dir, or "
            "delete the old results."
        )
