"""Label maps that are no longer, or never became, the label of their image; kept so that nothing is lost."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib.library.record import study_id
from lib.server.segmentation_objects import legend_of
from protoseg.data.io.volumes import read_labels
from protoseg.errors import InputError
from protoseg.files import remove_unfinished, replacing, write_json
from protoseg.labels import LARGEST_VALUE

__all__ = ["MOST_VERSIONS", "LabelVersion", "LabelVersions", "count_voxels", "names_of", "read_version"]

MOST_VERSIONS = 100  # of an image; then the oldest goes
VERSION = re.compile(r"[0-9a-f]{16}")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelVersion:
    """One label map of an image."""

    version: str
    image: str
    state: str  # current, replaced, undone or refused
    ext: str  # of the file, such as ".nii.gz"
    info: Mapping[str, Any]  # what the datastore knows, or knew
    file: Path
    kept: int = 0  # when it was, in ns since 1970; 0 of the current one
    voxels: Mapping[str, int] | None = None  # by value; None where they were not counted yet

    @property
    def replaces(self) -> str | None:
        """The version before it; empty where there was none, None where nobody knows."""
        return self.info.get("replaces")


class LabelVersions:
    """Former and refused label maps. The datastore's transactions separate writers.

    Args:
        folder: folder of the label maps.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, label: LabelVersion, state: str) -> None:
        """Keep a copy of a label map and of its info."""
        place = self._of_image(label.image) / label.version
        with replacing(place / "label") as unfinished:
            shutil.copy(label.file, unfinished)
        info = json.loads(json.dumps(label.info, default=str))
        # After those before it, also where the clock was set back: the last one is undone first, and kept longest.
        kept = max([time.time_ns(), *(other.kept + 1 for other in self.of(label.image))])
        about = {"image": label.image, "state": state, "ext": label.ext, "info": info, "kept": kept}
        write_json(place / "label.json", {**about, "voxels": count_voxels(label)})
        for old in self.of(label.image)[:-MOST_VERSIONS]:
            shutil.rmtree(old.file.parent, ignore_errors=True)

    def of(self, image: str) -> list[LabelVersion]:
        """List the kept versions of an image, the oldest first."""
        found = (self.find(image, place.name) for place in self._of_image(image).glob("*"))
        return sorted((label for label in found if label), key=lambda label: label.kept)

    def find(self, image: str, version: str) -> LabelVersion | None:
        """Find one version; None if it is not kept."""
        if not VERSION.fullmatch(version):
            return None
        place = self._of_image(image) / version
        try:
            about = json.loads((place / "label.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if about["image"] != image:
            return None
        return LabelVersion(version=version, file=place / "label", **about)

    def forget(self, image: str) -> None:
        """Remove all versions of an image that is removed itself."""
        shutil.rmtree(self._of_image(image), ignore_errors=True)

    def remove_unfinished(self) -> None:
        """Remove files that a killed process left unfinished; nobody may be writing."""
        for place in self.folder.glob("*/*"):
            remove_unfinished(place)

    def _of_image(self, image: str) -> Path:
        return self.folder / study_id(image)


def read_version(label: LabelVersion) -> NDArray[np.uint8]:
    """Read the label map (X, Y, Z) of a version, on the voxels of its image's file.

    Raises:
        InputError: its file cannot be read, or holds a value above 255.
        OSError: it is gone.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"label{label.ext}"  # a name that tells the format
        shutil.copy(label.file, copy)
        drawn = read_labels(copy)[0].numpy()
    if drawn.max() > LARGEST_VALUE:
        raise InputError(
            f"The label {label.version} of {label.image} holds the value {drawn.max()}, expected at most "
            f"{LARGEST_VALUE}. Renumber it."
        )
    return drawn.astype(np.uint8)


def names_of(label: LabelVersion, values: Iterable[str], label_names: Mapping[str, str] | None) -> dict[str, str]:
    """Name values of a version: as it came with them, or as the app's options have them, or "label_<value>"."""
    names = legend_of(label.info) or label_names or {}
    return {value: names.get(value, f"label_{value}") for value in values}


def count_voxels(label: LabelVersion) -> dict[str, int]:
    """Count the voxels of each value that is there, background aside; none if the file cannot be read."""
    if label.voxels is not None:
        return dict(label.voxels)
    try:
        values, counts = np.unique(read_version(label), return_counts=True)
    except (InputError, OSError) as error:
        logger.warning("The voxels of the label %s of %r are not counted: %s", label.version, label.image, error)
        return {}
    return {str(int(value)): int(count) for value, count in zip(values, counts, strict=True) if value}
