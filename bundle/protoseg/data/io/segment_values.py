"""The value of a label in a segment of a DICOM SEG.

DICOM numbers segments 1, 2, 3, ... and has no place for a label's value, which is kept in a private element, so that
what is read is what was written.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

__all__ = ["keep_label_value", "label_value", "label_values"]

GROUP, CREATOR, ELEMENT = 0x0063, "PROTOSEG", 0x01


def keep_label_value(segment: Dataset, value: int) -> None:
    """Put a label's value into the item of its segment."""
    segment.private_block(GROUP, CREATOR, create=True).add_new(ELEMENT, "US", value)


def label_value(segment: Dataset) -> int:
    """Give the value that was kept with a segment; the segment's number if another program wrote it."""
    try:
        return int(segment.private_block(GROUP, CREATOR)[ELEMENT].value)
    except KeyError:
        return int(segment.SegmentNumber)


def label_values(segments: Sequence[Dataset]) -> list[int]:
    """Give each segment a value of its own: the one kept with it, or its number if two kept values are the same."""
    values = [label_value(segment) for segment in segments]
    return values if len(set(values)) == len(values) else [int(segment.SegmentNumber) for segment in segments]
