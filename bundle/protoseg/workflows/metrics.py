"""How well label maps agree with the truth, scan by scan and label by label."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import torch
from ignite.metrics import Metric
from monai.data import MetaTensor
from monai.handlers import from_engine
from monai.metrics import compute_dice

from protoseg.data.volumes import query_id
from protoseg.engine.inferer import FINDINGS
from protoseg.engine.prediction import findings_from_json

__all__ = ["CaseRow", "LabelDice", "counted_dice", "volume_ml"]


PREDICTION_AND_TRUTH = from_engine(["pred", "label"])


class CaseRow(TypedDict):
    """One label of one scan."""

    scan: str
    label: str
    dice: float  # NaN where the label is absent from the scan and was not predicted either
    volume_ml: float
    reference_ml: float
    confidence: float  # mean probability, see `LabelFinding`
    estimated_dice: float | None  # by reverse segmentation, see `LabelFinding`


class LabelDice(Metric):
    """Mean Dice over scans and labels, of whole volumes: every slice counts, empty ones included.

    A label that is absent and rightly not predicted says nothing and does not count; one that is predicted where it
    is absent counts as 0. An Ignite metric that keeps its rows, for reports.

    Args:
        labels: name -> value of the labels to score.
        output_transform: engine output -> (predictions, truths), two lists of (1, X, Y, Z) label maps.
    """

    rows: list[CaseRow]

    def __init__(
        self,
        labels: Mapping[str, int],
        output_transform: Callable[[Any], Any] = PREDICTION_AND_TRUTH,
    ) -> None:
        self.labels = labels
        super().__init__(output_transform)

    def reset(self) -> None:
        """Forget all scans."""
        self.rows = []

    def update(self, output: tuple[Sequence[MetaTensor], Sequence[MetaTensor]]) -> None:
        """Score one batch of scans."""
        for prediction, truth in zip(*output):
            for name, value in self.labels.items():
                self.rows.append(_score(prediction, truth, name, value))

    def compute(self) -> float:
        """Mean Dice so far; 0 when nothing counts."""
        return statistics.fmean(counted_dice(self.rows) or [0.0])


def counted_dice(rows: Sequence[CaseRow]) -> list[float]:
    """The Dice values that say something, see `LabelDice`."""
    return [row["dice"] for row in rows if not math.isnan(row["dice"])]


def volume_ml(mask: torch.Tensor, affine: torch.Tensor) -> float:
    """Volume in millilitres of a mask on a grid whose affine is in mm."""
    return float(mask.sum()) * abs(float(torch.linalg.det(affine[:3, :3].double()))) / 1000


def _score(prediction: MetaTensor, truth: MetaTensor, name: str, value: int) -> CaseRow:
    predicted, true = prediction == value, truth == value
    finding = findings_from_json(prediction.meta[FINDINGS])[name]
    dice = compute_dice(predicted.float()[None], true.float()[None], ignore_empty=bool(not predicted.any()))
    return {
        "scan": query_id(prediction.meta["filename_or_obj"]),
        "label": name,
        "dice": float(dice),
        "volume_ml": volume_ml(predicted, prediction.affine),
        "reference_ml": volume_ml(true, truth.affine),
        "confidence": finding.confidence,
        "estimated_dice": finding.estimated_dice,
    }
