"""Times as the app tells them: UTC, to the second, in ISO 8601."""

from __future__ import annotations

import time

__all__ = ["utc", "utc_now"]


def utc(seconds: float) -> str:
    """Format a time given in seconds since 1970."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def utc_now() -> str:
    """Format the present time."""
    return utc(time.time())
