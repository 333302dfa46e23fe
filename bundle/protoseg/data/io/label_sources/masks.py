"""One label map of many masks that may overlap."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import NamedTuple

import numpy as np

__all__ = ["NamedLabels", "NamedMask", "combine_masks", "unique_names"]

logger = logging.getLogger(__name__)

MOST_PAIRS = 5  # in a message


class NamedMask(NamedTuple):
    """The mask (X, Y, Z) of a structure, its name, and its value in the label map to be made."""

    name: str
    value: int
    mask: np.ndarray


class NamedLabels(NamedTuple):
    """A label map (1, X, Y, Z), its affine to RAS+ mm, and name -> value of the structures in it, if it has names."""

    voxels: np.ndarray
    affine: np.ndarray
    names: dict[str, int] | None = None
    kind: str = "volume"
    details: Mapping[str, str] = {}  # further metadata of the file


def combine_masks(masks: Iterable[NamedMask], path: str | PathLike[str]) -> np.ndarray:
    """Make one label map (X, Y, Z) of masks; where some overlap, the smallest counts, with a warning.

    So a tumor stays visible within its organ, and an organ within the body. At most one mask is in memory at a time.

    Args:
        masks: masks, at least one.
        path: path that they come from, for messages.
    """
    label_map = np.zeros((), np.int16)
    sizes: dict[int, int] = {}
    names: dict[int, str] = {}
    overlaps: Counter[tuple[int, int]] = Counter()  # smaller and larger one
    for name, value, mask in masks:
        if label_map.ndim == 0:
            label_map = np.zeros(mask.shape, np.int16)
        names[value], sizes[value] = name, int(mask.sum())
        taken = np.where(mask, label_map, 0)
        for other in np.unique(taken[taken > 0]).tolist():
            shared = taken == other
            new_is_smaller = sizes[value] < sizes[other]
            overlaps[(value, other) if new_is_smaller else (other, value)] += int(shared.sum())
            if new_is_smaller:
                label_map[shared] = value
        label_map[mask & (taken == 0)] = value
    if overlaps:
        pairs = [
            f"{names[small]} over {names[large]} ({count} voxels)"
            for (small, large), count in overlaps.most_common(MOST_PAIRS)
        ]
        more = f" and {len(overlaps) - MOST_PAIRS} more pairs" if len(overlaps) > MOST_PAIRS else ""
        logger.warning(
            "%s: structures overlap, and a voxel counts for the smallest of them: %s%s.", path, ", ".join(pairs), more
        )
    return label_map


def unique_names(names: Iterable[str]) -> list[str]:
    """Number names that occur again: "lesion", "lesion 2"."""
    given: list[str] = []
    for name in names:
        number, numbered = 1, name
        while numbered in given:
            number += 1
            numbered = f"{name} {number}"
        given.append(numbered)
    return given
