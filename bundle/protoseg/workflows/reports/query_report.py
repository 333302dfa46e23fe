"""The engine's findings about each scan, as files."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from protoseg.data.io.marks import SOFTWARE
from protoseg.data.io.results import report_file
from protoseg.data.io.volumes import query_id
from protoseg.engine.prediction import LabelFinding, describe_label, with_doubts
from protoseg.engine.slice_axes import plane_of
from protoseg.engine.support import SupportSet
from protoseg.files import write_json
from protoseg.moved import renamed_arguments
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.fingerprint import tensor_digest
from protoseg.ops.hashing import fingerprint
from protoseg.ops.volume import Volume, volume_ml

__all__ = ["report_settings", "write_report"]

logger = logging.getLogger(__name__)

NOT_OF_RESULTS = ("cache", "progress", "clock")  # arguments on which label maps do not depend


def write_report(
    output_dir: Path,
    label_map: Tensor,
    source: Volume,
    findings: Mapping[str, LabelFinding],
    labels: Mapping[str, int],
    settings: Mapping[str, Any],
    doubts: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Write the findings about a label map as `<query>_seg.json`, label by label, and log its warnings.

    Args:
        output_dir: folder of the file.
        label_map: label map on the query's own voxels.
        source: query as it was read; its voxels are not needed.
        findings: findings of the engine, by label name.
        labels: value of each label by name.
        settings: settings of the run, see `report_settings`.
        doubts: doubts about the support by label, see `support_doubts`.

    Returns:
        Content of the file.
    """
    query, doubts = source.meta["filename_or_obj"], dict(doubts or {})
    doubted = with_doubts(findings, doubts)
    report = {
        name: describe_label(doubted[name], value, volume_ml(label_map == value, source.affine))
        for name, value in labels.items()
    }
    content = {
        "query": str(query),
        "labels": report,
        "doubts": doubts,
        "settings": dict(settings),
        "software": SOFTWARE,
    }
    write_json(report_file(output_dir, query_id(query)), content)
    # Doubts about the support are told once, before the first query.
    warnings = [f"{name} {findings[name].warning}" for name in report if findings[name].warning]
    if warnings:
        logger.warning("%s: %s.", query_id(query), "; ".join(warnings))
    return content


@renamed_arguments(choice="support_selection", components="component_filter")
def report_settings(
    network: ALPNet, support: SupportSet, *, refiner: Any = None, adaptation: Any = None, **options: Any
) -> dict[str, Any]:
    """Give everything that label maps depend on besides their images, as JSON, with fingerprints of masks and weights.

    Args:
        network: network that segments; what its matching was made with counts, too.
        support: support of all queries.
        refiner: refiner of the borders, or its name.
        adaptation: adaptation to each query, or its name.
        **options: settings to include as they are.
    """
    parts = {"matching": network.matching, "refiner": refiner, "adaptation": adaptation}
    return {
        "support": sorted({query_id(origin.scan) for origin in support.origins}),
        "support_labels": dict(support.labels),
        "support_masks": tensor_digest(support.masks).hex(),
        "preprocessing": support.preprocessing,
        "plane": plane_of(support.slice_axes),
        "weights": network.encoding_fingerprint(),
        **{name: value for part in parts.items() for name, value in _arguments(*part).items()},
        **json.loads(json.dumps(options)),
    }


def _arguments(name: str, part: Any) -> dict[str, Any]:
    """Give the kind of a part of the engine and, as `name#argument`, what it was made with."""
    if part is None or isinstance(part, bool | int | float | str):
        return {name: part}
    if hasattr(part, "encoding_fingerprint"):
        return {name: part.encoding_fingerprint()}
    if not type(part).__module__.startswith("protoseg."):
        return {name: fingerprint(part)}
    arguments = {name: type(part).__name__}
    for argument in inspect.signature(type(part)).parameters:
        if argument not in NOT_OF_RESULTS and hasattr(part, argument):
            arguments |= _arguments(f"{name}#{argument}", getattr(part, argument))
    return arguments
