"""What is made of a network's weights, made once for many batches in a row between which no weight changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["made_once", "settled_weights"]

Made = TypeVar("Made")
_made: ContextVar[dict[Hashable, Any] | None] = ContextVar("made", default=None)


@contextmanager
def settled_weights() -> Iterator[None]:
    """Within it no weight changes, so `made_once` makes each thing once; what it made goes at the end."""
    token = _made.set({})
    try:
        yield
    finally:
        _made.reset(token)


def made_once(key: Hashable, make: Callable[[], Made]) -> Made:
    """What `make` makes, by a key that holds the module of which it is made; anew but within `settled_weights`."""
    known = _made.get()
    if known is None:
        return make()
    if key not in known:
        known[key] = make()
    made: Made = known[key]
    return made
