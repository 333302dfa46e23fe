"""Summarizes the rows of an evaluation as the figures of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from protoseg.workflows.evaluation.bootstrap import mean_interval, mean_over_labels
from protoseg.workflows.evaluation.metrics import CaseRow, as_table
from protoseg.workflows.evaluation.protocols import KNOWLEDGE

__all__ = ["MEASURES", "summarise"]

MEASURES = {  # column -> heading; errors count by their size, whether too much or too little
    "dice": "Dice",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "hd95_mm": "HD95 (mm)",
    "surface_distance_mm": "surface distance (mm)",
    "surface_dice_1mm": "surface Dice 1 mm",
    "surface_dice_3mm": "surface Dice 3 mm",
    "volume_error_ml": "volume error (ml)",
    "volume_error_percent": "volume error (%)",
}


def summarise(rows: Sequence[CaseRow], *, seed: int = 0) -> dict[str, Any]:
    """Compute means with 95 % confidence intervals of the rows of one protocol, over all labels and by label.

    Args:
        rows: rows of every label of every scan.
        seed: seed of the bootstrap.

    Returns:
        Figures as JSON; None stands for undefined ones.
    """
    labels = list(dict.fromkeys(row["label"] for row in rows))
    by_label = {name: [row for row in rows if row["label"] == name] for name in labels}
    return {
        "knows": KNOWLEDGE[rows[0]["protocol"]],
        "scans": len(by_label[labels[0]]),
        "mean_slice_dice": _number(_mean_of_slices(by_label.values())),
        "means": {measure: _figure(rows, measure, seed) for measure in MEASURES},
        "labels": {
            name: {
                "scans": int(np.isfinite(as_table(mine, "dice")).sum()),
                **{measure: _figure(mine, measure, seed) for measure in MEASURES},
            }
            for name, mine in by_label.items()
        },
    }


def _figure(rows: Sequence[CaseRow], measure: str, seed: int) -> dict[str, Any]:
    table = abs(as_table(rows, measure))
    interval = mean_interval(table, seed=seed)
    return {
        "mean": _number(mean_over_labels(table)),
        "interval": None if interval is None else [_number(bound) for bound in interval],
    }


def _mean_of_slices(by_label: Iterable[Sequence[CaseRow]]) -> float:
    """Average the Dice of all organ slices of all scans, label by label, then over labels (ProtoSAM)."""
    means = []
    for rows in by_label:
        counted = [(row["slice_dice"], row["slices"]) for row in rows if row["slices"]]
        if counted:
            dice, slices = zip(*counted)
            means.append(float(np.average(dice, weights=slices)))
    return float(np.mean(means)) if means else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
