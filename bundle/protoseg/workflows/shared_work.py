"""Work shared by any number of processes that may be killed and started again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from protoseg.errors import InputError
from protoseg.files import write_errors

__all__ = ["SharedWork"]

LOCKS = ".locks"  # folder in that of the results
WAIT_SECONDS = 1.0


class SharedWork:
    """Draws the items that are not done, each for one process at a time.

    The processes may run on several machines that share the output folder; all they have in common is a folder of
    locks there, of which a process holds one for each item that it draws. The operating system frees the locks of a
    process when it ends, however it ends, so that another process, or the next run, draws an item whose process was
    killed. The work ends when every item is done or was drawn by this process.

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
        self._held: dict[int, FileLock] = {}  # until the process ends, or gives an item up

    def __len__(self) -> int:
        """Number of items, done or not."""
        return len(self.names)

    def __iter__(self) -> Iterator[int]:
        """Give the indices of the items.

        Raises:
            InputError: the file system has no locks.
        """
        with write_errors(self.output_dir / LOCKS):
            (self.output_dir / LOCKS).mkdir(parents=True, exist_ok=True)
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
        if self._last is not None:
            self._held.pop(self._last).release()
            self._last = None

    def _claim(self, index: int) -> bool:
        """Lock an item, unless another process has or it was done in the meantime."""
        # One a process, whoever asks, and whichever of its threads.
        lock = FileLock(self._lock_file(index), thread_local=False, is_singleton=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"{self.output_dir} is on a file system without locks ({reason}), which processes need to share their "
                "work. Choose an output_dir on another."
            ) from error
        if self.is_done(index):
            lock.release()
            return False
        self._held[index] = lock
        self.prepare(index)
        return True

    def _lock_file(self, index: int) -> Path:
        """The file that stands for an item, in every process alike, whatever characters its name has."""
        return self.output_dir / LOCKS / f"{hashlib.sha256(self.names[index].encode()).hexdigest()[:16]}.lock"
