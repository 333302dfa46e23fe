"""The engine's result for a volume."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protoseg.engine.cues import Cues
from protoseg.engine.estimate import estimate_dice
from protoseg.engine.support import SliceOrigin

__all__ = [
    "LabelFinding",
    "Prediction",
    "describe_label",
    "findings_from_json",
    "findings_to_json",
    "label_finding",
    "with_doubts",
]

LOW_ESTIMATE = 0.5  # an estimated Dice below this deserves a second look


@dataclass(frozen=True)
class LabelFinding:
    """One label of a segmented volume."""

    confidence: float  # mean probability of its voxels; 0 where it was not found
    estimated_dice: float | None  # see `estimate_dice`; None where it was not found or not asked for
    support_slice: SliceOrigin | None  # support slice that served where the label is largest
    note: str = ""  # of the refinement
    estimated_dice_interval: tuple[float, float] | None = None  # interval that holds it in nine of ten cases
    cues: Mapping[str, float] | None = None  # cues of the estimate
    doubts: tuple[str, ...] = ()  # doubts about labels by which it was found, see `protoseg.engine.agreement`

    @property
    def warning(self) -> str:
        """Message that a user should see before relying on the label; empty if there is none."""
        return "; ".join(filter(None, [self._own_warning, *self.doubts]))

    @property
    def _own_warning(self) -> str:
        if self.support_slice is None:
            return "not found"
        if self.estimated_dice is not None and self.estimated_dice < LOW_ESTIMATE:
            between = "{:.2f} to {:.2f}".format(*self.estimated_dice_interval) if self.estimated_dice_interval else ""
            estimate = ", ".join(filter(None, [f"estimated Dice {self.estimated_dice:.2f}", between]))
            low = f"may be wrong ({estimate}): check it, or label a slice of this scan"
            return "; ".join(filter(None, [low, self.note]))
        return self.note


@dataclass(frozen=True)
class Prediction:
    """Label map of a volume of S slices of H x W pixels, with the findings about each label."""

    label_map: NDArray[np.uint8]  # S x H x W, label values of the support
    findings: Mapping[str, LabelFinding]  # by label name

    def without_estimates(self, reason: str) -> Prediction:
        """Leave out the estimates, and add the reason to the notes of the labels that were found."""
        findings = {}
        for name, finding in self.findings.items():
            note = ", ".join(filter(None, [finding.note, reason])) if finding.support_slice else finding.note
            findings[name] = replace(finding, estimated_dice=None, estimated_dice_interval=None, note=note)
        return replace(self, findings=findings)

    def with_doubts(self, doubts: Mapping[str, Sequence[str]]) -> Prediction:
        """Add to the warnings of labels what speaks against the examples by which they are found, by label name."""
        return replace(self, findings=with_doubts(self.findings, doubts))


def with_doubts(findings: Mapping[str, LabelFinding], doubts: Mapping[str, Sequence[str]]) -> dict[str, LabelFinding]:
    """Add doubts to findings, both by label name, see `Prediction.with_doubts`."""
    return {
        name: replace(finding, doubts=tuple(doubts[name])) if name in doubts else finding
        for name, finding in findings.items()
    }


def describe_label(finding: LabelFinding, value: int, volume: float) -> dict[str, Any]:
    """Describe a label as JSON: its value, its volume in ml, and the engine's findings."""
    estimate, interval, origin = finding.estimated_dice, finding.estimated_dice_interval, finding.support_slice
    return {
        "value": value,
        "volume_ml": round(volume, 2),
        "confidence": round(finding.confidence, 3),
        "estimated_dice": None if estimate is None else round(estimate, 3),
        "estimated_dice_interval": interval and [round(end, 3) for end in interval],
        "support_slice": None if origin is None else origin._asdict(),
        "warning": finding.warning,
    }


def label_finding(confidence: float, cues: Cues | None, origin: SliceOrigin, note: str = "") -> LabelFinding:
    """Make a finding of a label that was found, with an estimate where there are cues for one."""
    if cues is None:
        return LabelFinding(confidence, None, origin, note)
    dice, low, high = estimate_dice(cues)
    return LabelFinding(confidence, dice, origin, note, (low, high), cues)


def findings_to_json(findings: Mapping[str, LabelFinding]) -> str:
    """Write findings by label name as JSON text."""
    return json.dumps({name: asdict(finding) for name, finding in findings.items()})


def findings_from_json(text: str) -> dict[str, LabelFinding]:
    """Read what `findings_to_json` wrote."""
    findings = {}
    for name, fields in json.loads(text).items():
        origin = fields.pop("support_slice")
        interval = fields.pop("estimated_dice_interval", None)
        fields["estimated_dice_interval"] = None if interval is None else tuple(interval)
        fields["doubts"] = tuple(fields.get("doubts", ()))
        findings[name] = LabelFinding(**fields, support_slice=None if origin is None else SliceOrigin(*origin))
    return findings
