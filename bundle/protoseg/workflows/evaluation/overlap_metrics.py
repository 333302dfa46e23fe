"""The overlap of two masks."""

from __future__ import annotations

from typing import TypedDict

from monai.metrics import compute_confusion_matrix_metric, get_confusion_matrix
from torch import Tensor

__all__ = ["OverlapMetrics", "overlap_metrics"]


class OverlapMetrics(TypedDict):
    """Agreement of a predicted mask with the true one, from 0 to 1."""

    dice: float
    iou: float
    precision: float  # share of the prediction that is true
    recall: float  # share of the ground truth that is predicted


def overlap_metrics(predicted: Tensor, true: Tensor) -> OverlapMetrics:
    """Compare two masks (X, Y, Z) or (X, Y), bool, which are not both empty; all measures are 0 if one of them is."""
    counts = get_confusion_matrix(predicted[None, None].float(), true[None, None].float())

    def measure(name: str) -> float:
        # MONAI gives no precision of an empty prediction, and no recall of an empty ground truth.
        return float(compute_confusion_matrix_metric(name, counts).nan_to_num(0.0))

    return {
        "dice": measure("f1 score"),
        "iou": measure("threat score"),
        "precision": measure("precision"),
        "recall": measure("recall"),
    }
