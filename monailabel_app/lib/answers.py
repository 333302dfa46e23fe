"""Answers to clients: a label map on the image's own voxels, and the findings about each label."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lib.engine import Scan
from lib.server.anatomy_codes import segment_color, segment_type
from lib.server.segmentation_objects import MODEL_NAME
from protoseg.data.io.label_files import write_labels
from protoseg.engine.prediction import Prediction, describe_label
from protoseg.ops.volume import Volume, volume_ml

__all__ = ["Latencies", "describe", "write_answer"]


class Latencies:
    """The seconds taken by the stages of a request."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = round(time.perf_counter() - start, 4)

    def total(self) -> dict[str, float]:
        """Give all stages, and the whole until now."""
        return {**self.seconds, "total": round(time.perf_counter() - self._start, 4)}


def describe(
    prediction: Prediction, label_map: NDArray[np.uint8], scan: Scan, values: Mapping[str, int]
) -> dict[str, Any]:
    """Describe the label map for a client.

    Args:
        prediction: prediction of the engine.
        label_map: label map on the image's own voxels.
        scan: scan that was segmented.
        values: value of each label asked for, by name.
    """
    affine = torch.as_tensor(scan.grid.affine)
    voxels = np.bincount(label_map.ravel(), minlength=256)
    voxel_ml = volume_ml(torch.ones(1), affine)
    labels = {}
    for name, value in values.items():
        volume = round(float(voxels[value]) * voxel_ml, 2)
        labels[name] = describe_label(prediction.findings[name], value, volume)
    present = {name: value for name, value in values.items() if voxels[value]}
    return {
        # Slicer names labels by position among the values in the label map: only these may be listed.
        "label_names": present,
        "label_info": [_label_info(name, value) for name, value in present.items()],
        "labels": labels,
        "warnings": [f"{name}: {entry['warning']}" for name, entry in labels.items() if entry["warning"]],
    }


def _label_info(name: str, value: int) -> dict[str, Any]:
    return {
        "name": name,
        "idx": value,
        "model_name": MODEL_NAME,
        "color": segment_color(name, value),
        "segmentAttribute": segment_type(name),
    }


def write_answer(label_map: NDArray[np.uint8], source: Volume, suffix: str) -> Path:
    """Write a label map to a temporary file in the format of a suffix, uncompressed if the format allows.

    Args:
        label_map: label map on the image's own voxels.
        source: image as it was read.
        suffix: suffix of the format, see `write_labels`.
    """
    with tempfile.NamedTemporaryFile(suffix=suffix, delete=False) as file:
        path = Path(file.name)
    write_labels(path, label_map, source, compress=False)
    return path
