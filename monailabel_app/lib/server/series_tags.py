"""Kinds of the DICOM series that the server has fetched."""

from __future__ import annotations

from pathlib import Path

import pydicom

from protoseg.data.support.series_kind import TAGS, series_kind

__all__ = ["kind_of_series"]


def kind_of_series(folder: Path) -> str:
    """Tell the kind of a series, see `series_kind`, by the first file of its folder; empty where that tells nothing."""
    first = min(folder.glob("*.dcm"), default=None)
    if first is None:
        return ""
    try:
        tags = pydicom.dcmread(first, stop_before_pixels=True, specific_tags=list(TAGS))
        return series_kind({name: str(tags.get(name, "")) for name in TAGS})
    except Exception:  # pydicom raises whatever a foreign file makes it stumble over
        return ""
