"""Points that a user sets on slices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from protoseg.errors import InputError

__all__ = ["Click", "check_clicks"]


class Click(NamedTuple):
    """One point on an axial slice: here is the label, or here it is not."""

    slice_index: int  # counted from the feet
    row: int  # pixels of the slice, y
    column: int  # pixels of the slice, x
    label: str  # its name
    positive: bool = True


def check_clicks(clicks: Sequence[Click], shape: Sequence[int], labels: Collection[str]) -> None:
    """Refuse clicks outside a volume of `shape` slices, rows and columns, or for none of the labels.

    Raises:
        InputError: naming the first such click.
    """
    for number, click in enumerate(clicks, start=1):
        if not all(0 <= place < size for place, size in zip(click[:3], shape)):
            raise InputError(
                f"Click {number} is on slice {click.slice_index}, row {click.row}, column {click.column}, which is "
                f"outside the volume of {shape[0]} slices of {shape[1]} rows and {shape[2]} columns."
            )
        if click.label not in labels:
            raise InputError(f"Click {number} is on the label '{click.label}'; the labels are {', '.join(labels)}.")
