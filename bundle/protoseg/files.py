"""Paths as users give them, and files written so that a reader never sees half of one."""

from __future__ import annotations

import errno
import json
import os
import re
import uuid
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from protoseg.errors import InputError

__all__ = [
    "PathLike",
    "WriteError",
    "check_output_dir",
    "is_there",
    "literal_path",
    "remove_unfinished",
    "replacing",
    "to_path",
    "unfinished_path",
    "write_errors",
    "write_json",
]

PathLike = str | os.PathLike  # as users give paths

# Messages of torch, safetensors and ITK, in exceptions of their own, when the operating system does not let them write.
REFUSED = ("unexpected pos", "PytorchStreamWriter failed", "I/O error", "IoError", "Error writing", "No space left")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # errors that reading a file never raises
LONGEST_NAME = 255  # bytes, on all common file systems
UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.(.+)")  # the names that `unfinished_path` gives


class WriteError(OSError, InputError):
    """A file that cannot be written; `errno` is that of the operating system, if it gave one."""


def to_path(path: str | os.PathLike[str] | int, name: str) -> Path:
    """Make a path of an argument; a name that looks like a whole number arrives from the command line as a number.

    Args:
        path: argument as it was given.
        name: name of the argument, for messages.

    Raises:
        InputError: it is no text and no whole number, or empty.
    """
    if isinstance(path, bool) or not isinstance(path, str | os.PathLike | int):
        raise InputError(f"{name} is read as {path!r}, expected a path. Put ./ before a name that looks like a number.")
    if not str(path):
        raise InputError(f"{name} is empty, expected a path.")
    return Path(str(path))


def literal_path(path: str | os.PathLike[str]) -> str:
    """Spell a path so that a config takes it as it is: what begins with $, @ or % would be evaluated."""
    text = os.fspath(path)
    return f"./{text}" if text[:1] in ("$", "@", "%") else text


def is_there(path: Path) -> bool:
    """Tell whether a path exists; one that the file system refuses, such as a name that is too long, does not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def check_output_dir(path: str | os.PathLike[str] | int) -> None:
    """Refuse a folder for results that cannot be written, before the work begins; nothing is created.

    Raises:
        InputError: it, or a folder that would hold it, is a file or may not be written, or its name is too long.
    """
    folder = to_path(path, "output_dir").absolute()
    with write_errors(folder):
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir():
        raise WriteError(_reason(folder, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))))
    if not os.access(there, os.W_OK | os.X_OK):
        raise WriteError(_reason(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES))))


def unfinished_path(path: Path) -> Path:
    """Give a hidden path beside `path`, with the same suffixes, that nobody else writes to."""
    own = f".{uuid.uuid4().hex}."
    room = LONGEST_NAME - len(own)
    return path.with_name(own + os.fsencode(path.name)[-room:].decode(errors="ignore"))


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a path beside `path`, with the same suffixes, to write to; it replaces `path` when the block ends.

    When the block raises, or the process dies, `path` is what it was before. Missing folders are made.

    Raises:
        WriteError: the operating system refuses.
    """
    path = Path(path)
    unfinished = unfinished_path(path)
    try:
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield unfinished
            os.replace(unfinished, path)  # noqa: PTH105 - the one that is documented as atomic
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Say in one sentence why `path` could not be written; errors of reading other files pass unchanged."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        places = {str(place) for place in (path, *path.parents)}
        elsewhere = isinstance(error.filename, str) and not {error.filename, str(Path(error.filename).parent)} & places
        if elsewhere and error.errno not in NO_ROOM:
            raise
        failure = WriteError(_reason(path, error))
        failure.errno = error.errno
        raise failure from error
    except Exception as error:
        refusal = _wrapped_refusal(error)
        if refusal is not None:
            failure = WriteError(_reason(path, refusal))
            failure.errno = refusal.errno
            raise failure from error
        if isinstance(error, InputError) or not any(words in str(error) for words in REFUSED):
            raise
        raise WriteError(
            f"{path} cannot be written: the disk is full, or another limit is reached. Free some space, or choose "
            "another folder."
        ) from error


def _wrapped_refusal(error: BaseException | None) -> OSError | None:
    """Find the system's refusal to write in whatever MONAI wrapped it; None for another error."""
    while error is not None and not isinstance(error, InputError):
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return error
        error = error.__cause__
    return None


def _reason(path: Path, error: OSError) -> str:
    file = next((parent for parent in (path, *path.parents) if is_there(parent) and not parent.is_dir()), None)
    if isinstance(error, NotADirectoryError | FileExistsError) and file is not None:
        return f"{path} cannot be written: {file} is a file, expected a folder. Choose another folder."
    if isinstance(error, IsADirectoryError) and path.is_dir():
        return f"{path} cannot be written: it is a folder, expected a file. Move it, or choose another folder."
    advice = "Free some space, or choose another folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        advice = "Choose a folder that you may write to."
    elif error.errno == errno.ENAMETOOLONG:
        advice = "Choose a shorter name."
    return f"{path} cannot be written: {error.strerror or error}. {advice}"


def remove_unfinished(folder: Path, names: Container[str] | None = None) -> None:
    """Remove files that killed processes left in a folder under names of `unfinished_path`.

    Nobody may be writing there: no file at all or, where names are given, no file of these names.
    """
    for path in folder.glob(".*"):
        unfinished = UNFINISHED.fullmatch(path.name)
        if unfinished and (names is None or unfinished[1] in names):
            path.unlink(missing_ok=True)


def write_json(path: str | Path, content: Any) -> None:
    """Write indented JSON atomically; raises ValueError for NaN, which JSON does not have."""
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
