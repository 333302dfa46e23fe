"""A cache in memory, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Protocol, TypeVar

__all__ = ["LRUCache"]


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Item = TypeVar("Item", bound=_Sized)


class LRUCache:
    """Keep the most recently used arrays or tensors in memory, never more than `max_bytes` together.

    Safe to share between threads. Pickled into another process, it starts there empty.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._items: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Item]) -> Item:
        """Return the item of `key`, made when it is not there; one larger than the bound is not kept."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        item = make()  # outside the lock: slow, and other threads may go on meanwhile
        with self._lock:
            if key not in self._items and item.nbytes <= self.max_bytes:
                self._items[key] = item
                self.nbytes += item.nbytes
                while self.nbytes > self.max_bytes:
                    self.nbytes -= self._items.popitem(last=False)[1].nbytes
        return item

    def __reduce__(self) -> tuple[type[LRUCache], tuple[int]]:
        return LRUCache, (self.max_bytes,)
