"""MONAI's form of drawing label maps over their images, see `overlay`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from protoseg.files import to_path
from protoseg.moved import renamed_arguments
from protoseg.workflows.reports.overlay import as_slices, draw_overlay, label_color, save_overlay

__all__ = ["SaveOverlayd", "as_slices", "draw_overlay", "label_color"]


@renamed_arguments(truth_key="ground_truth_key")
class SaveOverlayd(MapTransform):
    """Draw a label map over its image, and the ground truth if it is known, as `<query>_seg.png`.

    Args:
        keys: keys of label maps (1, X, Y, Z), slices along Z.
        labels: value of each label by name.
        output_dir: folder of the pictures.
        image_key: key of the image (C, X, Y, Z) on the same grid.
        ground_truth_key: key of the true label map on the same grid, if there is one.
        columns: number of slices to show.
    """

    def __init__(
        self,
        keys: KeysCollection,
        labels: Mapping[str, int],
        output_dir: str | Path,
        image_key: str = "image",
        ground_truth_key: str = "label",
        columns: int = 5,
    ) -> None:
        super().__init__(keys)
        self.labels = labels
        self.output_dir = to_path(output_dir, "output_dir")
        self.image_key = image_key
        self.ground_truth_key = ground_truth_key
        self.columns = columns

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw the label map of each key."""
        for key in self.key_iterator(dict(data)):
            ground_truth = data.get(self.ground_truth_key)
            save_overlay(
                self.output_dir,
                str(data[key].meta["filename_or_obj"]),
                as_slices(data[self.image_key]),
                as_slices(data[key]),
                self.labels,
                ground_truth=None if ground_truth is None else as_slices(ground_truth),
                aspect=float(data[key].pixdim[1] / data[key].pixdim[0]),
                columns=self.columns,
            )
        return dict(data)
