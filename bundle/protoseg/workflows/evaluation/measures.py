"""The measures of one label of one scan.

Rule for empty masks. If a label is absent and was not predicted there is nothing to measure: every measure is
NaN and the scan does not count for the label. If only one of prediction and ground truth is empty, every overlap is
0 and every distance is the diagonal of the scan, which no distance can exceed: a miss costs as much as possible.
"""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np
from monai.data.utils import affine_to_spacing
from scipy.ndimage import find_objects
from torch import Tensor

from protoseg.ops.volume import volume_ml
from protoseg.workflows.evaluation.overlap_metrics import OverlapMetrics, overlap_metrics
from protoseg.workflows.evaluation.surface_metrics import SurfaceMetrics, surface_metrics

__all__ = ["Measures", "measure_label", "volume_ml"]


class VolumeMetrics(TypedDict):
    """Agreement of a predicted volume with the true one; errors are above 0 where the prediction is too large."""

    volume_ml: float
    reference_ml: float
    volume_error_ml: float
    volume_error_percent: float  # of the reference; NaN where that is empty


class Measures(OverlapMetrics, SurfaceMetrics, VolumeMetrics):
    """Overlap, surfaces and volume; NaN stands for what is not defined or was not measured."""


NO_OVERLAPS: OverlapMetrics = {"dice": math.nan, "iou": math.nan, "precision": math.nan, "recall": math.nan}
NO_SURFACES: SurfaceMetrics = {
    "hd95_mm": math.nan,
    "surface_distance_mm": math.nan,
    "surface_dice_1mm": math.nan,
    "surface_dice_3mm": math.nan,
}


def measure_label(predicted: Tensor, true: Tensor, affine: Tensor, *, surfaces: bool = True) -> Measures:
    """Compare two masks.

    Args:
        predicted: (X, Y, Z) bool mask.
        true: (X, Y, Z) bool mask of the ground truth.
        affine: voxel index to mm; spacings may differ between axes.
        surfaces: True to measure surfaces too, which takes seconds for a large organ.
    """
    volume, reference = volume_ml(predicted, affine), volume_ml(true, affine)
    volumes: VolumeMetrics = {
        "volume_ml": volume,
        "reference_ml": reference,
        "volume_error_ml": volume - reference,
        "volume_error_percent": 100 * (volume - reference) / reference if reference else math.nan,
    }
    if not volume and not reference:
        return {**NO_OVERLAPS, **NO_SURFACES, **volumes, "volume_error_ml": math.nan}
    spacing = affine_to_spacing(affine).tolist()
    diagonal = math.dist([0.0] * 3, np.multiply(predicted.shape, spacing))
    inside: list[slice | int] = list(find_objects((predicted | true).cpu().numpy().astype(np.uint8))[0])
    for axis in (axis for axis, size in enumerate(predicted.shape) if size == 1):
        inside[axis] = 0  # a picture: its surface is the outline
    spacing = [length for length, place in zip(spacing, inside) if place != 0]
    predicted, true = predicted[tuple(inside)], true[tuple(inside)]
    return {
        **overlap_metrics(predicted, true),
        **(surface_metrics(predicted, true, spacing, diagonal=diagonal) if surfaces else NO_SURFACES),
        **volumes,
    }
