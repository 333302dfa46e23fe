"""The rows of a suite: one for each label of each pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from protoseg.engine.prediction import LabelFinding
from protoseg.ops.components import count_components
from protoseg.workflows.evaluation.measures import measure_label
from protoseg.workflows.reports.csv_tables import read_table, write_table
from protoseg.workflows.suite.index import ScanPair, ScanSet
from protoseg.workflows.suite.segmenter import SegmentedPair

__all__ = ["CUE", "INTERVAL", "SuiteRow", "finding_columns", "measured_rows", "read_suite_rows", "write_suite_rows"]

SuiteRow = dict[str, Any]
"""One label of one pair; None stands for what is not defined.

"dice" and the other measures are None where the label is absent from the query's ground truth: it is not scored then,
and "volume_ml" is all false. A label that is absent from the support's ground truth has no row: it was not asked for.
"""

TEXTS = ("set", "modality", "region", "dim", "support", "query", "label", "warning")
MEASURES = ("dice", "precision", "recall", "hd95_mm", "surface_dice_3mm")
INTERVAL = ("estimated_dice_low", "estimated_dice_high")
CUE = "cue_"  # prefix of the columns of the estimate's cues


def measured_rows(one: ScanSet, pair: ScanPair, segmented: SegmentedPair) -> list[SuiteRow]:
    """Compare the prediction with the ground truth on the query's whole grid, label by label.

    The volumes, slices, confidence and other numbers of a finding serve to calibrate an estimate of the Dice: none of
    them knows the ground truth.
    """
    surfaces = min(segmented.predicted.shape[1:]) > 1  # a picture has no scale
    found = segmented.found.as_tensor()[0]
    rows = []
    for name in segmented.support_ml:
        value = pair.labels[name]
        predicted, true = segmented.predicted[0] == value, segmented.true[0] == value
        measures: Mapping[str, Any] = measure_label(predicted, true, segmented.predicted.affine, surfaces=surfaces)
        scored = {key: _number(measures[key]) if measures["reference_ml"] else None for key in MEASURES}
        number = segmented.support.labels.position(name) if name in segmented.support.labels else 0
        rows.append(
            {
                "set": one.name,
                **one.facts,
                "support": pair.support_name,
                "query": pair.query.name,
                "label": name,
                **scored,
                "volume_ml": measures["volume_ml"],
                "reference_ml": measures["reference_ml"],
                "support_ml": segmented.support_ml[name],
                "slices": found.shape[-1],
                "found_slices": int((found == value).any(0).any(0).sum()),
                "components": count_components((found == value).numpy()),
                "support_components": segmented.support.components.get(name),
                "support_slices": int((segmented.support.masks == number).flatten(1).any(1).sum()) if number else 0,
                "seconds": segmented.seconds,
                **finding_columns(segmented.findings.get(name)),
            }
        )
    return rows


def write_suite_rows(path: Path, rows: Sequence[SuiteRow]) -> None:
    """Write rows as a CSV file."""
    write_table(path, rows, list(dict.fromkeys(column for row in rows for column in row)))


def read_suite_rows(path: Path) -> list[SuiteRow]:
    """Read the rows that `write_suite_rows` wrote."""
    return read_table(path, TEXTS)


def finding_columns(finding: LabelFinding | None) -> dict[str, Any]:
    """Give the numbers of a finding by the names of its fields, the bounds of its interval by those of `INTERVAL`."""
    finding = finding or LabelFinding(0.0, None, None)  # lost before it reached the engine
    columns: dict[str, Any] = {}
    for field in fields(finding):
        value = getattr(finding, field.name)
        if field.name.endswith("interval"):
            columns |= dict(zip(INTERVAL, value or (None, None)))
        elif field.name == "cues":
            columns |= {f"{CUE}{cue}": _number(number) for cue, number in (value or {}).items()}
        elif field.name != "support_slice" and (value is None or isinstance(value, int | float)):
            columns[field.name] = None if value is None else _number(value)
    return {**columns, "warning": finding.warning}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
