"""Scribbles: labels drawn in part, in 3D Slicer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferType
from numpy.typing import NDArray

from lib.answers import Latencies
from lib.context import Context
from lib.engine import Scan
from lib.infers.oneshot_click import UNNAMED, label_of, one_label, with_label
from lib.infers.task import SegmentationTask, image_of, option
from protoseg.data.io.source_grid import SourceGrid
from protoseg.data.io.volumes import read_labels
from protoseg.data.support.library import LibraryState
from protoseg.engine.clicks.scribbles import BACKGROUND_SCRIBBLE, segment_from_scribbles
from protoseg.engine.prediction import Prediction
from protoseg.errors import InputError
from protoseg.labels import LabelSet

__all__ = ["Scribbles"]

SCRIBBLES = {"foreground_scribbles": 3, "background_scribbles": 2}  # default values, which `label_info` may change


class Scribbles(SegmentationTask):
    """Scribbles inside and outside of one label, sent as a label map together with the previous segmentation."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, InferType.SCRIBBLES, "Draw a few lines: the structure is found in all slices")

    def offered(self) -> LabelSet:
        """Give the labels that were submitted."""
        return self.context.library.state.labels

    def labelled(self, request: Mapping[str, Any]) -> LibraryState:
        """Give the library, if it has the selected label."""
        return with_label(_selected(request), self.context.labelled(image_of(request)))

    def segment(
        self, scan: Scan, labelled: LibraryState, request: Mapping[str, Any], latencies: Latencies
    ) -> tuple[Prediction, LabelSet]:
        """Segment the selected label by its scribbles, and keep its part in the region of interest."""
        engine = self.context.engine
        label = label_of(_selected(request), labelled)
        scribbles = scan.grid.slices(_scribbles(request, scan.grid))
        inside = scan.grid.slices(_region(request, scan.grid))
        with latencies.stage("engine"):
            prediction = segment_from_scribbles(
                scan.image,
                scribbles,
                engine.encoder(),
                labels=label,
                scan=image_of(request),
                support=labelled.support,
                settings=self.settings(request),
                refiner=engine.refiner,
                slice_segmenter=engine.slice_segmenter,
            )
        return one_label(Prediction(prediction.label_map * inside, prediction.findings), label)


def _selected(request: Mapping[str, Any]) -> str:
    return str(option(request, "selected_label_name") or UNNAMED)


def _scribbles(request: Mapping[str, Any], grid: SourceGrid) -> NDArray[np.uint8]:
    """Read scribbles on the image's own voxels: 1 inside, `BACKGROUND_SCRIBBLE` outside, 0 where nothing was drawn."""
    path = request.get("label")
    if not isinstance(path, str) or not Path(path).is_file():
        raise InputError("There are no scribbles: send them as the file 'label', a label map on the image's voxels.")
    drawn = read_labels(path)[0].numpy()
    if drawn.shape != grid.shape:
        mine, theirs = (" x ".join(map(str, shape)) for shape in (drawn.shape, grid.shape))
        raise InputError(f"The scribbles have {mine} voxels and the image has {theirs}. Draw them on this image.")
    values = dict(SCRIBBLES)
    for entry in request.get("label_info") or []:
        if isinstance(entry, dict) and entry.get("name") in SCRIBBLES:
            values[entry["name"]] = entry.get("id", SCRIBBLES[entry["name"]])
    scribbles = np.zeros(grid.shape, np.uint8)
    scribbles[drawn == values["foreground_scribbles"]] = 1
    scribbles[drawn == values["background_scribbles"]] = BACKGROUND_SCRIBBLE
    if not (scribbles == 1).any():
        raise InputError("There are no foreground scribbles. Draw a line inside the structure.")
    return scribbles


def _region(request: Mapping[str, Any], grid: SourceGrid) -> NDArray[np.uint8]:
    """Mask with 1 the region of interest, [i from, i to, j from, j to, k from, k to] in voxels of the image file."""
    region = request.get("roi")
    inside = np.zeros(grid.shape, np.uint8)
    if not region:
        return np.ones(grid.shape, np.uint8)
    if not isinstance(region, list) or len(region) != 6 or not all(type(edge) in (int, float) for edge in region):
        raise InputError(f"roi is {region!r}; expected six voxel indices, from and to for each axis.")
    first, last = (np.clip(region[start::2], 0, grid.shape).astype(int) for start in (0, 1))
    inside[tuple(slice(*ends) for ends in zip(first, last))] = 1
    return inside
