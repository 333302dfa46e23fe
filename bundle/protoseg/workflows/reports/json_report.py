"""MONAI's form of writing the engine's findings about each scan, see `query_report`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from protoseg.engine.inferer import FINDINGS
from protoseg.engine.prediction import findings_from_json
from protoseg.files import to_path
from protoseg.ops.volume import Volume
from protoseg.workflows.reports.query_report import report_settings, write_report

__all__ = ["SaveReportd", "report_settings"]


class SaveReportd(MapTransform):
    """Write the engine's findings about a label map as `<query>_seg.json`, label by label.

    Volume in ml, confidence, estimated Dice, the support slice that served, and a warning if there is one.

    Args:
        keys: keys of label maps (1, X, Y, Z) on the query's grid, with the engine's findings in their metadata.
        labels: value of each label by name.
        output_dir: folder of the files.
        settings: settings of the run, for the report, see `report_settings`.
        doubts: doubts about the support by label, for the report, see `support_doubts`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        labels: Mapping[str, int],
        output_dir: str | Path,
        settings: Mapping[str, Any] | None = None,
        doubts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(keys)
        self.labels = labels
        self.output_dir = to_path(output_dir, "output_dir")
        self.settings = dict(settings or {})
        self.doubts = dict(doubts or {})

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write a report for each key."""
        for key in self.key_iterator(dict(data)):
            found = Volume.of(data[key])
            findings = findings_from_json(found.meta[FINDINGS])
            label_map = found.as_tensor()
            write_report(self.output_dir, label_map, found, findings, self.labels, self.settings, self.doubts)
        return dict(data)
