"""What the engine says about each scan, as files."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from protoseg.data.io.results import report_file
from protoseg.data.io.volumes import query_id
from protoseg.engine.inferer import FINDINGS
from protoseg.engine.prediction import describe_label, findings_from_json
from protoseg.engine.slice_axes import plane_of
from protoseg.engine.support import SupportSet
from protoseg.files import to_path, write_json
from protoseg.moved import renamed_arguments
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.fingerprint import tensor_digest
from protoseg.workflows.evaluation.measures import volume_ml

__all__ = ["SaveReportd", "report_settings"]

logger = logging.getLogger(__name__)


class SaveReportd(MapTransform):
    """Write what the engine says about a label map as `<query>_seg.json`, label by label.

    Volume in ml, confidence, estimated Dice, the support slice that served, and a warning where one is due.

    Args:
        keys: label maps (1, X, Y, Z) on the query's grid, with the engine's findings in their metadata.
        labels: name -> value.
        output_dir: folder of the files.
        settings: of the run, for the report, see `report_settings`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        labels: Mapping[str, int],
        output_dir: str | Path,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(keys)
        self.labels = labels
        self.output_dir = to_path(output_dir, "output_dir")
        self.settings = dict(settings or {})

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write a report for each key."""
        for key in self.key_iterator(dict(data)):
            self._write(data[key])
        return dict(data)

    def _write(self, label_map: Any) -> None:
        query = label_map.meta["filename_or_obj"]
        findings = findings_from_json(label_map.meta[FINDINGS])
        report = {
            name: describe_label(findings[name], value, volume_ml(label_map == value, label_map.affine))
            for name, value in self.labels.items()
        }
        content = {"query": str(query), "labels": report, "settings": self.settings}
        write_json(report_file(self.output_dir, query_id(query)), content)
        warnings = [f"{name} {entry['warning']}" for name, entry in report.items() if entry["warning"]]
        if warnings:
            logger.warning("%s: %s.", query_id(query), "; ".join(warnings))


@renamed_arguments(choice="support_selection", components="component_filter")
def report_settings(network: ALPNet, support: SupportSet, **options: Any) -> dict[str, Any]:
    """What label maps depend on besides their images, as JSON; fingerprints stand for masks and weights.

    Args:
        network: that segments.
        support: of all queries.
        **options: to be told as they are.
    """
    return {
        "support": sorted({query_id(origin.scan) for origin in support.origins}),
        "support_labels": dict(support.labels),
        "support_masks": tensor_digest(support.masks).hex(),
        "preprocessing": support.preprocessing,
        "plane": plane_of(support.slice_axes),
        "weights": network.encoding_fingerprint(),
        **json.loads(json.dumps(options)),
    }
