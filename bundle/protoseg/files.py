"""Writing files so that a reader never sees half of one, and telling whether two paths are of one file."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["remove_unfinished", "replacing", "same_file", "unfinished_path", "write_json"]

UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.(.+)")  # the names that `unfinished_path` gives


def same_file(path: str | Path | None, other: str | Path | None) -> bool:
    """Whether two paths lead to one file that exists; no path leads nowhere."""
    if path is None or other is None or not Path(path).exists() or not Path(other).exists():
        return False
    return Path(path).samefile(other)


def unfinished_path(path: Path) -> Path:
    """Give a hidden path beside `path`, with the same suffixes, that nobody else writes to."""
    return path.with_name(f".{uuid.uuid4().hex}.{path.name}")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a path beside `path`, with the same suffixes, to write to; it replaces `path` when the block ends.

    When the block raises, or the process dies, `path` is what it was before. Missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = unfinished_path(path)
    try:
        yield unfinished
        os.replace(unfinished, path)  # noqa: PTH105 - the one that is documented as atomic
    finally:
        unfinished.unlink(missing_ok=True)


def remove_unfinished(folder: Path, names: Container[str] | None = None) -> None:
    """Remove what killed processes were writing into a folder under names that `unfinished_path` gave.

    Nobody may be writing there: any file or, where names are given, a file of one of these names.
    """
    for path in folder.glob(".*"):
        unfinished = UNFINISHED.fullmatch(path.name)
        if unfinished and (names is None or unfinished[1] in names):
            path.unlink()


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON, indented, atomically; ValueError for NaN, which JSON does not have."""
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
