"""Results as files: tables of metrics, and what the engine says about each scan."""

from __future__ import annotations

import csv
import logging
import math
import statistics
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.config import KeysCollection
from monai.transforms import MapTransform

from protoseg.data.volumes import query_id
from protoseg.engine.inferer import FINDINGS
from protoseg.engine.prediction import findings_from_json
from protoseg.files import replacing, write_json
from protoseg.workflows.estimates import draw_estimates
from protoseg.workflows.metrics import CaseRow, LabelDice, counted_dice, volume_ml

__all__ = ["MetricsReport", "SaveReportd"]

logger = logging.getLogger(__name__)


class MetricsReport:
    """Writes what an evaluation found when it ends. An Ignite handler.

    `metrics.csv` has a row per scan and label, `metrics.json` a summary, and `estimates.png` shows how well the Dice
    that the engine estimates without the truth agrees with the true one.

    Args:
        metric: that was attached to the evaluator.
        output_dir: folder of the files.
    """

    def __init__(self, *, metric: LabelDice, output_dir: str | Path) -> None:
        self.metric = metric
        self.output_dir = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Write when `engine` completes."""
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _write(self, _: Engine) -> None:
        rows = self.metric.rows
        with (
            replacing(self.output_dir / "metrics.csv") as unfinished,
            unfinished.open("w", newline="") as file,
        ):
            writer = csv.DictWriter(file, fieldnames=list(CaseRow.__annotations__))
            writer.writeheader()
            writer.writerows(
                {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
                for row in rows
            )
        labels = {name: _summary([row for row in rows if row["label"] == name]) for name in self.metric.labels}
        mean = self.metric.compute()
        summary = {"mean_dice": round(mean, 4), "estimate_correlation": self._compare_estimates(), "labels": labels}
        write_json(self.output_dir / "metrics.json", summary)
        for name, figures in labels.items():
            print(f"{name:>16}  {figures['mean_dice']}  in {figures['scans']} scans")
        print(f"{'mean Dice':>16}  {mean:.4f}  written to {self.output_dir / 'metrics.csv'}")

    def _compare_estimates(self) -> float | None:
        """Draw estimated against true Dice; their Pearson correlation, or None where there is none."""
        rows = [row for row in self.metric.rows if row["estimated_dice"] is not None and not math.isnan(row["dice"])]
        if not rows:
            return None
        estimated, true = [row["estimated_dice"] or 0.0 for row in rows], [row["dice"] for row in rows]
        with replacing(self.output_dir / "estimates.png") as unfinished:
            draw_estimates(estimated, true, [row["label"] for row in rows]).savefig(unfinished, format="png")
        if len(set(estimated)) < 2 or len(set(true)) < 2:
            return None
        return round(statistics.correlation(estimated, true), 3)


class SaveReportd(MapTransform):
    """Write what the engine says about a label map as `<query>_seg.json`, label by label.

    Volume in ml, confidence, estimated Dice, the support slice that served, and a warning where one is due.

    Args:
        keys: label maps (1, X, Y, Z) on the query's grid, with the engine's findings in their metadata.
        labels: name -> value.
        output_dir: folder of the files.
    """

    def __init__(self, keys: KeysCollection, labels: Mapping[str, int], output_dir: str | Path) -> None:
        super().__init__(keys)
        self.labels = labels
        self.output_dir = Path(output_dir)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write a report for each key."""
        for key in self.key_iterator(dict(data)):
            self._write(data[key])
        return dict(data)

    def _write(self, label_map: Any) -> None:
        query = label_map.meta["filename_or_obj"]
        report = {name: _describe(label_map, value, name) for name, value in self.labels.items()}
        write_json(self.output_dir / f"{query_id(query)}_seg.json", {"query": str(query), "labels": report})
        warnings = [f"{name} {entry['warning']}" for name, entry in report.items() if entry["warning"]]
        if warnings:
            logger.warning("%s: %s.", query_id(query), "; ".join(warnings))


def _describe(label_map: Any, value: int, name: str) -> dict[str, Any]:
    finding = findings_from_json(label_map.meta[FINDINGS])[name]
    estimate, origin = finding.estimated_dice, finding.support_slice
    return {
        "value": value,
        "volume_ml": round(volume_ml(label_map == value, label_map.affine), 2),
        "confidence": round(finding.confidence, 3),
        "estimated_dice": None if estimate is None else round(estimate, 3),
        "support_slice": None if origin is None else origin._asdict(),
        "warning": finding.warning,
    }


def _summary(rows: list[CaseRow]) -> dict[str, Any]:
    dice = counted_dice(rows)
    return {
        "scans": len(dice),
        "mean_dice": round(statistics.fmean(dice), 4) if dice else None,
        "standard_deviation": round(statistics.pstdev(dice), 4) if dice else None,
    }
