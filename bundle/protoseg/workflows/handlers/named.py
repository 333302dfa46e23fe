"""Handlers that a config has under names of their own."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["named"]

Handler = TypeVar("Handler")


def named(handler: Handler) -> Handler:
    """Give back a handler: MONAI reads the `_target_` of each in a list, so there none may be a mere reference."""
    return handler
