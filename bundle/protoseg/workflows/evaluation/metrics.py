"""The agreement of label maps with the ground truth, scan by scan and label by label."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, cast

import numpy as np
from ignite.metrics import Metric
from monai.data import MetaTensor
from monai.handlers import from_engine
from numpy.typing import NDArray
from torch import Tensor

from protoseg.data.io.volumes import query_id
from protoseg.engine.inferer import FINDINGS
from protoseg.engine.prediction import findings_from_json
from protoseg.workflows.evaluation.bootstrap import mean_over_labels
from protoseg.workflows.evaluation.measures import Measures, measure_label
from protoseg.workflows.processes import gather_in_turn

__all__ = ["CaseRow", "Details", "LabelDice", "as_table"]

PREDICTION_AND_TRUTH = from_engine(["pred", "label"])


class Case(TypedDict):
    """One label of one scan, under one protocol."""

    protocol: str
    scan: str
    label: str


class Details(TypedDict):
    """Further details of a case, besides its measures."""

    slice_dice: float  # mean of the Dice of single slices; NaN but for the legacy protocol
    slices: int | None  # that count; None for all
    confidence: float  # mean probability, see `LabelFinding`; NaN where it was not asked for
    estimated_dice: float | None  # see `LabelFinding`


class CaseRow(Case, Measures, Details):
    """A row of `metrics.csv`."""


class LabelDice(Metric):
    """Mean Dice over scans and labels, of whole volumes: every slice counts, empty ones included.

    An Ignite metric that keeps its rows, with further measures, for reports. `measures` has the
    rule for empty predictions and ground truths.

    Args:
        labels: values of the labels to score, by name.
        surfaces: True to measure surfaces too, which takes seconds for a large organ.
        output_transform: function of the engine's output that gives predictions and ground truths, two lists of (1, X,
            Y, Z) label maps.
    """

    protocol = "leak_free"
    rows: list[CaseRow]

    def __init__(
        self,
        labels: Mapping[str, int],
        surfaces: bool = False,
        output_transform: Callable[[Any], Any] = PREDICTION_AND_TRUTH,
    ) -> None:
        self.labels = labels
        self.surfaces = surfaces
        super().__init__(output_transform)

    def reset(self) -> None:
        """Forget all scans."""
        self.rows = []

    def update(self, output: tuple[Sequence[MetaTensor], Sequence[MetaTensor]]) -> None:
        """Score one batch of scans."""
        for prediction, ground_truth in zip(*output):
            self.rows += [self.score(prediction, ground_truth, name) for name in self.labels]

    def compute(self) -> float:
        """Average, over labels, the mean Dice over scans so far, of all processes; 0 if nothing counts."""
        rows = self.all_rows()
        mean = mean_over_labels(as_table(rows, "dice")) if rows else math.nan
        return 0.0 if math.isnan(mean) else mean

    def all_rows(self) -> list[CaseRow]:
        """Collect the rows of all processes, scan by scan; each of them must call this."""
        count = len(self.labels)
        scans = [self.rows[start : start + count] for start in range(0, len(self.rows), count)]
        return [row for scan in gather_in_turn(scans) for row in scan]

    def score(self, prediction: MetaTensor, ground_truth: MetaTensor, name: str) -> CaseRow:
        """Score one label of one scan."""
        predicted, true = self.masks(prediction, ground_truth, name)
        return {
            "protocol": self.protocol,
            "scan": query_id(prediction.meta["filename_or_obj"]),
            "label": name,
            **measure_label(predicted, true, prediction.affine, surfaces=self.surfaces),
            **self.details(prediction, predicted, true, name),
        }

    def masks(self, prediction: MetaTensor, ground_truth: MetaTensor, name: str) -> tuple[Tensor, Tensor]:
        """Give predicted and true mask (X, Y, Z) of a label, as far as they count."""
        return prediction[0] == self.labels[name], ground_truth[0] == self.labels[name]

    def details(self, prediction: MetaTensor, predicted: Tensor, true: Tensor, name: str) -> Details:
        """Give the details besides the measures of the masks."""
        finding = findings_from_json(prediction.meta[FINDINGS])[name]
        return {
            "slice_dice": math.nan,
            "slices": None,
            "confidence": finding.confidence,
            "estimated_dice": finding.estimated_dice,
        }


def as_table(rows: Sequence[CaseRow], measure: str) -> NDArray[np.float64]:
    """Put a measure of the rows of one protocol in a table (scans, labels); NaN where there is no row."""
    scans = {name: place for place, name in enumerate(dict.fromkeys(row["scan"] for row in rows))}
    labels = {name: place for place, name in enumerate(dict.fromkeys(row["label"] for row in rows))}
    table = np.full((len(scans), len(labels)), math.nan)
    for row in rows:
        table[scans[row["scan"]], labels[row["label"]]] = cast(dict[str, Any], row)[measure]
    return table
