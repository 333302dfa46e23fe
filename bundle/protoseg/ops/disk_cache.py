"""A cache of arrays on disk, named by what they were made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from protoseg.files import WriteError, remove_unfinished, replacing

__all__ = ["array_file", "cached_array"]


def array_file(folder: Path, key: str) -> Path:
    """Tell where `cached_array` keeps the array of `key`."""
    return folder / f"{key}.npy"


def cached_array(folder: Path, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array of `key`, memory-mapped read-only from `folder`, made and stored if it is absent.

    A file appears whole or not at all, also when several processes make it; an unreadable one is made again.
    """
    file = array_file(folder, key)
    try:
        return np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):  # absent; or cut short by a full disk or a broken copy
        array = make()
        try:
            with replacing(file) as unfinished:
                np.save(unfinished, array)
        except WriteError:
            if not file.exists():  # another process was faster, and has removed what this one was writing
                raise
        remove_unfinished(folder, {file.name})  # left by killed processes; of no use to slower ones
    return np.load(file, mmap_mode="r")
