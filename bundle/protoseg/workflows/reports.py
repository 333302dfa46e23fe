"""Results as files: tables of metrics, and what the engine says about each scan."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.config import KeysCollection
from monai.transforms import MapTransform

from protoseg.data.files import replacing, write_json
from protoseg.data.volumes import query_id
from protoseg.workflows.metrics import CaseRow, LabelDice, counted_dice, volume_ml

__all__ = ["MetricsReport", "SaveReportd"]


class MetricsReport:
    """Writes `metrics.csv` (a row per scan and label) and `metrics.json` (a summary) when an evaluation ends.

    An Ignite handler.

    Args:
        metric: that was attached to the evaluator.
        output_dir: folder of the two files.
    """

    def __init__(self, *, metric: LabelDice, output_dir: str | Path) -> None:
        self.metric = metric
        self.output_dir = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Write when `engine` completes."""
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _write(self, _: Engine) -> None:
        rows = self.metric.rows
        with replacing(self.output_dir / "metrics.csv") as unfinished, unfinished.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(CaseRow.__annotations__))
            writer.writeheader()
            writer.writerows(
                {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
                for row in rows
            )
        labels = {name: _summary([row for row in rows if row["label"] == name]) for name in self.metric.labels}
        mean = self.metric.compute()
        write_json(self.output_dir / "metrics.json", {"mean_dice": round(mean, 4), "labels": labels})
        for name, summary in labels.items():
            print(f"{name:>16}  {summary['mean_dice']}  in {summary['scans']} scans")
        print(f"{'mean Dice':>16}  {mean:.4f}  written to {self.output_dir / 'metrics.csv'}")


class SaveReportd(MapTransform):
    """Write what the engine says about a label map as `<query>_seg.json`: volume in ml and confidence by label.

    Args:
        keys: label maps (1, X, Y, Z) on the query's grid, with "confidence" in their metadata.
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
        report = {
            name: {
                "value": value,
                "volume_ml": round(volume_ml(label_map == value, label_map.affine), 2),
                "confidence": round(float(label_map.meta["confidence"][name]), 3),
            }
            for name, value in self.labels.items()
        }
        write_json(self.output_dir / f"{query_id(query)}_seg.json", {"query": str(query), "labels": report})


def _summary(rows: list[CaseRow]) -> dict[str, Any]:
    dice = counted_dice(rows)
    return {
        "scans": len(dice),
        "mean_dice": round(statistics.fmean(dice), 4) if dice else None,
        "standard_deviation": round(statistics.pstdev(dice), 4) if dice else None,
    }
