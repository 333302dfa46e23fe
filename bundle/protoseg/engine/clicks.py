"""Points that a user sets on slices."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Click"]


class Click(NamedTuple):
    """One point on an axial slice: here is the label, or here it is not."""

    slice_index: int  # counted from the feet
    row: int  # pixels of the slice, y
    column: int  # pixels of the slice, x
    positive: bool = True
    label: int = 1  # position of the label among the support's, from 1
