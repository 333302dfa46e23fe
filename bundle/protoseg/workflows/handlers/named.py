"""Handlers that have ids of their own in a config."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["named"]

Handler = TypeVar("Handler")


def named(handler: Handler) -> Handler:
    """Return a handler as it is: MONAI reads the `_target_` of each in a list, so none may be a mere reference."""
    return handler
