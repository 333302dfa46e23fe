"""Who did what, when, on which study and with which weights: JSON lines in one file."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

from lib.times import utc_now

__all__ = ["AuditLog"]

logger = logging.getLogger(__name__)

MOST_BYTES = 8 * 2**20  # size of a file at which the next one begins
KEPT_FILES = 8  # files kept beside the present one; older ones are removed
LONGEST_TEXT = 256  # characters of a value


class AuditLog:
    """Appends entries, each by one write, so that those of several threads or processes never mix.

    An entry that cannot be written is dropped with a warning: a full disk is no reason to refuse a patient.

    Args:
        file: path of audit.jsonl; older entries are in audit.1.jsonl and so on.
        weights: function that tells the fingerprint of the weights in use.
    """

    def __init__(self, file: Path, weights: Callable[[], str]) -> None:
        self.file = file
        self._weights = weights
        self._lock = Lock()
        self._failed = False

    def write(self, who: str, what: str, study: str, status: int, **details: str) -> None:
        """Append an entry.

        Args:
            who: name of the user.
            what: action, such as "infer".
            study: study that the action is about; empty if none.
            status: HTTP status of the answer; 400 and above if it was refused.
            **details: further details, such as the model.
        """
        try:
            texts = {"who": who, "what": what, "study": study, "weights": self._weights(), **details}
            short = {name: text[:LONGEST_TEXT] for name, text in texts.items()}
            line = json.dumps({"when": utc_now(), **short, "status": status}) + "\n"  # ASCII, with line ends escaped
            with self._lock:
                self._append(line.encode("ascii"))
            self._failed = False
        except Exception as error:  # whatever its error, the request is served
            if not self._failed:
                logger.warning("What happens is not written to the audit log %s now: %s", self.file, error)
            self._failed = True

    def _append(self, line: bytes) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":  # a line cut off by a full disk or a kill
                    line = b"\n" + line
            if file.write(line) < len(line):
                raise OSError("the disk is full")
        if size + len(line) >= MOST_BYTES:
            self._rotate()

    def _rotate(self) -> None:
        try:
            with FileLock(self.file.with_suffix(".lock"), timeout=0):
                if self.file.stat().st_size < MOST_BYTES:  # another process was faster
                    return
                for number in reversed(range(1, KEPT_FILES)):
                    older = self._numbered(number)
                    if older.exists():
                        older.replace(self._numbered(number + 1))
                self.file.replace(self._numbered(1))
        except Timeout:  # another process is doing it
            pass

    def _numbered(self, number: int) -> Path:
        return self.file.with_suffix(f".{number}.jsonl")
