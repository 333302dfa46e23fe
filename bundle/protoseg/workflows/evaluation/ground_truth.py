"""The ground truth that predictions are scored against."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from protoseg.data.io.grids import LabelGrid, align_labels
from protoseg.data.io.volumes import read_labels
from protoseg.data.preprocessing.meta_tensors import meta_tensor
from protoseg.ops.volume import Volume

__all__ = ["ReloadGroundTruthd"]


class ReloadGroundTruthd(MapTransform):
    """Read true label maps again, whole: cropping a scan to the body may have cut them.

    Args:
        keys: keys of label maps that were read from files.
        prediction_key: key of the prediction, on the grid of the scan's file; the ground truth gets the same grid.
        label_grid: alignment of the labels, see `align_labels`.
    """

    def __init__(self, keys: KeysCollection, prediction_key: str = "pred", label_grid: LabelGrid = "affine") -> None:
        super().__init__(keys)
        self.prediction_key = prediction_key
        self.label_grid = label_grid

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the file of each key's label map."""
        prediction = Volume.of(data[self.prediction_key])
        files = {key: data[key].meta["filename_or_obj"] for key in self.key_iterator(dict(data))}
        ground_truth = {
            key: meta_tensor(align_labels(read_labels(file, prediction), prediction, self.label_grid))
            for key, file in files.items()
        }
        return {**data, **ground_truth}
