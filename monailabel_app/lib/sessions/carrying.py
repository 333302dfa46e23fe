"""Labels that are carried from one series of a study to another, by their frame of reference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from monailabel.interfaces.datastore import DefaultLabelTag
from numpy.typing import NDArray

from lib.server.folder_datastore import FolderDatastore
from lib.server.label_versions import LabelVersion
from protoseg.data.io.volumes import read_image, write_label_map
from protoseg.errors import InputError

__all__ = ["Carrying"]

FINAL = DefaultLabelTag.FINAL.value


@dataclass(frozen=True)
class Carrying:
    """Carries labels between series that say that they were taken in one frame of reference.

    Args:
        datastore: datastore of the studies.
    """

    datastore: FolderDatastore

    def sources(self, image: str) -> list[tuple[str, LabelVersion]]:
        """List the other labelled series of an image's study in the same frame of reference, and their labels."""
        place = self.datastore.series_place(image)
        if not place.study:
            return []
        others = (other for other in sorted(self.datastore.get_labeled_images()) if other != image)
        alike = [other for other in others if self.datastore.series_place(other)[:2] == place[:2] and place.frame]
        found = ((other, self.datastore.label_version(other)) for other in alike)
        return [(other, label) for other, label in found if label is not None]

    def label_map(self, image: str, source: str) -> tuple[NDArray[np.uint8], LabelVersion]:
        """Resample the label of another series on the voxels (X, Y, Z) of an image, by nearest neighbor; give both.

        Raises:
            InputError: the two series share no frame of reference, the other has no label, or it is outside the image.
        """
        self._check(image, source)
        label = self.datastore.label_version(source)
        if label is None:
            raise InputError(f"{source} has no label to carry.")
        grid = SimpleITK.ReadImage(self.datastore.get_image_uri(image))
        drawn = SimpleITK.ReadImage(str(label.file), SimpleITK.sitkUInt8)
        carried = SimpleITK.Resample(drawn, grid, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0)
        voxels = SimpleITK.GetArrayFromImage(carried).T
        if not voxels.any():
            raise InputError(f"Nothing of the label of {source} is inside {image}.")
        return voxels, label

    def store(self, image: str, source: str, user: str) -> None:
        """Carry the label of another series to an image; the present label is kept as a version.

        Raises:
            InputError: as `label_map`.
        """
        voxels, label = self.label_map(image, source)
        info: Mapping[str, Any] = {"label_info": label.info.get("label_info"), "user": user, "carried_from": source}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "label.nii.gz"
            write_label_map(file, voxels, read_image(self.datastore.get_image_uri(image)))
            self.datastore.save_label(image, str(file), FINAL, dict(info))

    def _check(self, image: str, source: str) -> None:
        mine, theirs = self.datastore.series_place(image), self.datastore.series_place(source)
        if not mine.frame or mine.frame != theirs.frame:
            raise InputError(
                f"The label of {source} cannot be carried to {image}: the two series do not have the same frame of "
                "reference."
            )
        if mine.study != theirs.study:
            raise InputError(f"The label of {source} cannot be carried to {image}: they are of different studies.")
