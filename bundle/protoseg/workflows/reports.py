"""What the engine says about each scan, as files."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from protoseg.data.volumes import query_id
from protoseg.engine.inferer import FINDINGS
from protoseg.engine.prediction import findings_from_json
from protoseg.files import write_json
from protoseg.workflows.measures import volume_ml

__all__ = ["SaveReportd"]

logger = logging.getLogger(__name__)


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
