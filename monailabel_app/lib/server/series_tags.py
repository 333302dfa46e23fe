"""Facts about a fetched series from its DICOM tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pydicom

from protoseg.data.support.series_kind import TAGS, series_kind

__all__ = ["SeriesPlace", "kind_of_series", "place_of_series"]

PLACE_TAGS = ("StudyInstanceUID", "FrameOfReferenceUID", "SeriesDescription")


class SeriesPlace(NamedTuple):
    """The place of a series; each field is empty if the tags do not tell it."""

    study: str
    frame: str  # of reference: series with the same one compare place by place
    description: str


def kind_of_series(folder: Path) -> str:
    """Tell the kind of a series, see `series_kind`, by the first file of its folder; empty if unknown."""
    tags = _first_tags(folder, TAGS)
    return series_kind(tags) if tags else ""


def place_of_series(folder: Path) -> SeriesPlace:
    """Tell where a series belongs, by the first file of its folder."""
    tags = _first_tags(folder, PLACE_TAGS)
    return SeriesPlace(*(tags.get(name, "") for name in PLACE_TAGS))


def _first_tags(folder: Path, names: Sequence[str]) -> Mapping[str, str]:
    first = min(folder.glob("*.dcm"), default=None)
    if first is None:
        return {}
    try:
        tags = pydicom.dcmread(first, stop_before_pixels=True, specific_tags=list(names))
        return {name: str(tags.get(name, "")) for name in names}
    except Exception:  # pydicom raises whatever a foreign file makes it stumble over
        return {}
