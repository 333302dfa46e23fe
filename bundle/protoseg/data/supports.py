"""Supports read from files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from protoseg.data.grids import parse_label_names
from protoseg.engine.support import SliceSelection, SupportSet, support_from_scan

__all__ = ["load_support"]


def load_support(
    image: str | Path,
    label: str | Path,
    *,
    transform: Callable[[dict[str, Any]], Mapping[Any, Any]],
    image_size: int,
    label_names: Mapping[str, int] | str | None = None,
    slices: SliceSelection | Sequence[int] = "largest",
    adjacent_slices: bool = False,
) -> SupportSet:
    """Read one labelled scan and build a support from it.

    Args:
        image: a volume, picture or DICOM folder.
        label: its label map, a file.
        transform: {"image": path, "label": path} -> tensors of `support_from_scan`.
        image_size: edge of the network's input in pixels.
        label_names: name -> value, as a dictionary or JSON text; None takes every value, named label_<value>.
        slices: see `choose_slices`.
        adjacent_slices: the network's three channels are a slice and its neighbours.

    Raises:
        InputError: of reading, of the label names, or of the slice selection.
    """
    data = transform({"image": str(image), "label": str(label)})
    labels = parse_label_names(label_names, data["label"], str(label))
    return support_from_scan(
        data["image"],
        data["label"],
        labels,
        image_size=image_size,
        slices=slices,
        adjacent_slices=adjacent_slices,
        scan=str(image),
    )
