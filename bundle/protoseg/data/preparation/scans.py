"""A data set before it is prepared: the places of its files, and how to read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from protoseg.data.io.pictures import read_picture
from protoseg.data.preprocessing.modality import ModalityChoice
from protoseg.errors import InputError
from protoseg.ops.volume import Volume

__all__ = ["Case", "DataSet", "LabelledScan", "SourceScan", "check_names", "gray_picture", "natural_order"]

Case = dict[str, Any]
"""An entry of a `dataset.json`: id, files, and what else is known of a prepared scan."""


@dataclass(frozen=True)
class SourceScan:
    """The files of one scan; `id` names it in the prepared data set.

    `section` is where the source lists it, such as "test"; `names` are the label values of this very file, by name, if
    they differ from those of the data set.
    """

    id: str
    image: Path
    label: Path | None = None
    section: str | None = None
    names: Mapping[str, int] | None = None


class LabelledScan(NamedTuple):
    """An image (C, X, Y, Z) and its label map (1, X, Y, Z) on the same grid, None if nothing was labelled."""

    image: Volume
    labels: Volume | None


@dataclass(frozen=True)
class DataSet:
    """A data set as it is distributed, and how it is prepared.

    Args:
        name: name in the list and in messages.
        source: folder or file that it was found in, which is never written to.
        modality: modality of all scans, or "auto" to tell it from each scan.
        labels: value of each label by name.
        scans: all scans to prepare, in the published order.
        read: function that reads one scan from its files, with the label values of `labels`; it must pickle.
        arrange: function that makes the sections of the list from the scans and, in the same order, their cases.
        geometry: transform to the published intensities and geometry; None keeps both.
        settings: settings of the geometry, as JSON; a folder prepared with others is not continued.
    """

    name: str
    source: Path
    modality: ModalityChoice
    labels: Mapping[str, int]
    scans: Sequence[SourceScan]
    read: Callable[[SourceScan], LabelledScan]
    arrange: Callable[[Sequence[SourceScan], Sequence[Case]], dict[str, Any]]
    geometry: Callable[[LabelledScan], LabelledScan] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def natural_order(names: Iterable[Path]) -> list[Path]:
    """Sort paths by name with numbers by value: 2.png before 10.png."""

    def key(path: Path) -> list[tuple[int, str]]:
        parts = re.findall(r"\d+|\D+", path.name)
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return sorted(names, key=key)


def check_names(scans: Sequence[SourceScan], source: Path) -> None:
    """Refuse a data set with a scan whose name cannot be that of a file, or with two scans of one name.

    Raises:
        InputError: a name is refused.
    """
    first: dict[str, SourceScan] = {}
    for scan in scans:
        if Path(scan.id).name != scan.id or scan.id.startswith("."):
            raise InputError(f"{source}: the id {scan.id!r} of {scan.image} is no file name. Give another id.")
        same = first.setdefault(scan.id.lower(), scan)  # not all file systems distinguish "A" from "a"
        if same is not scan:
            raise InputError(
                f"{source}: {same.image} and {scan.image} would both be scan {scan.id!r}, expected one scan a name. "
                "Take one of them away, or rename it."
            )


def gray_picture(path: Path) -> np.ndarray:
    """Read the gray values of a picture: float32 (W, H), the mean of the channels where it is in color.

    For masks as data sets distribute them, some as JPEG, whose values are only near the true ones.

    Raises:
        InputError: the file is damaged, or no picture.
    """
    try:
        return read_picture(path).mean(axis=0)[..., 0]
    except InputError:
        raise
    except Exception as error:  # a decoder raises whatever a damaged file makes it stumble over
        raise InputError(f"{path} cannot be read: it is damaged or no picture. Get a fresh copy.") from error
