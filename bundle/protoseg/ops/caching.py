"""Two caches: arrays on disk, named by what they were made from, and in memory, bounded in bytes."""

import hashlib
import os
import types
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from cachetools import LRUCache

from protoseg.files import replacing

__all__ = ["ScanCache", "array_file", "cached_array", "fingerprint", "source_state"]


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Item = TypeVar("Item", bound=_Sized)


class ScanCache:
    """Keep the most recently used arrays or tensors in memory, never more than `max_bytes` together.

    Safe to share between threads. Pickled into another process, it starts there empty.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._items: LRUCache[Hashable, Any] = LRUCache(max_bytes, getsizeof=lambda item: item.nbytes)
        self._lock = Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept now."""
        return int(self._items.currsize)

    def get(self, key: Hashable, make: Callable[[], Item]) -> Item:
        """Return the item of `key`, made when it is not there; one larger than the bound is not kept."""
        with self._lock:
            if key in self._items:
                return self._items[key]
        item = make()  # outside the lock: slow, and other threads may go on meanwhile
        with self._lock, suppress(ValueError):  # it is larger than the bound
            self._items.setdefault(key, item)
        return item

    def __reduce__(self) -> tuple[type["ScanCache"], tuple[int]]:
        return ScanCache, (self.max_bytes,)


def array_file(folder: Path, key: str) -> Path:
    """Where `cached_array` keeps the array of `key`."""
    return folder / f"{key}.npy"


def cached_array(folder: Path, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array of `key`, memory-mapped read-only from `folder`, made and stored when it is not there.

    A file appears whole or not at all, also when several processes make it; an unreadable one is made again.
    """
    file = array_file(folder, key)
    try:
        return np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError):  # absent; or cut short by a full disk or a broken copy
        array = make()
        with replacing(file) as unfinished:
            np.save(unfinished, array)
    return np.load(file, mmap_mode="r")


def source_state(path: str | os.PathLike[str]) -> list[tuple[str, int, int]]:
    """Absolute path, size in bytes and time of change in ns of a file, or of every file of a folder.

    Not the bytes themselves: to hash a data set of many gigabytes at every start would cost more than it
    saves, and a file that was replaced has another size or time.
    """
    root = Path(path).resolve()
    files = sorted(file for file in root.rglob("*") if file.is_file()) if root.is_dir() else [root]
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()]


def fingerprint(*parts: Any) -> str:
    """16 hexadecimal digits that stand for values, arrays, functions, or objects such as transforms.

    Equal parameters give equal digits in every process; the state of random generators does not count. An
    object that changed by being used may give others: something is made again then, nothing stale is read.
    """
    return hashlib.blake2b(repr(_describe(parts, ())).encode(), digest_size=8).hexdigest()


def _describe(value: Any, parents: tuple[int, ...]) -> Any:
    """Spell out a value in literals, without addresses in memory and in an order that does not vary."""
    if id(value) in parents:
        return "cycle"
    inside = (*parents, id(value))
    match value:
        case None | bool() | int() | float() | str() | bytes():
            return value
        case Enum() | Path() | np.dtype() | torch.dtype() | torch.device():
            return str(value)
        case Mapping():
            return sorted(((str(key), _describe(item, inside)) for key, item in value.items()), key=lambda p: p[0])
        case list() | tuple():
            return [_describe(item, inside) for item in value]
        case set() | frozenset():
            return sorted(repr(_describe(item, inside)) for item in value)
        case np.ndarray() | torch.Tensor():
            array = np.ascontiguousarray(value)
            return [str(array.dtype), array.shape, hashlib.blake2b(array.tobytes()).hexdigest()]
        case partial():
            return _describe([value.func, value.args, value.keywords], inside)
        case types.MethodType():
            return _describe([value.__func__, value.__self__], inside)
        case types.FunctionType():
            code = value.__code__
            closure = [cell.cell_contents for cell in value.__closure__ or ()]
            constants = [item for item in code.co_consts if not isinstance(item, types.CodeType)]
            return [value.__qualname__, code.co_code, code.co_names, _describe([constants, closure], inside)]
        case type() | types.BuiltinFunctionType() | types.ModuleType():
            return [getattr(value, "__module__", ""), getattr(value, "__qualname__", value.__name__)]
        case np.random.RandomState() | np.random.Generator():
            return "generator"
    kind = type(value)
    return [kind.__module__, kind.__qualname__, _describe(getattr(value, "__dict__", {}), inside)]
