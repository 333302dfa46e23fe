"""A cache in memory, bounded in bytes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import suppress
from threading import Lock
from typing import Any, Protocol, TypeVar

import cachetools

__all__ = ["LRUCache"]


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Item = TypeVar("Item", bound=_Sized)


class LRUCache:
    """Keeps the most recently used arrays or tensors in memory, never more than `max_bytes` together.

    Safe to share between threads. A copy pickled into another process starts empty.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._items: cachetools.LRUCache[Hashable, Any] = cachetools.LRUCache(max_bytes, lambda item: item.nbytes)
        self._lock = Lock()

    @property
    def nbytes(self) -> int:
        """Number of bytes kept now."""
        return int(self._items.currsize)

    def get(self, key: Hashable, make: Callable[[], Item]) -> Item:
        """Return the item of `key`, made if it is absent; one larger than the bound is not kept."""
        with self._lock:
            if key in self._items:
                return self._items[key]
        item = make()  # outside the lock: it is slow, and other threads may go on meanwhile
        with self._lock, suppress(ValueError):  # it is larger than the bound
            self._items.setdefault(key, item)
        return item

    def __reduce__(self) -> tuple[type[LRUCache], tuple[int]]:
        return LRUCache, (self.max_bytes,)
