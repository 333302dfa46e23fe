"""The Dice that a label probably has, with an interval, from cues that know no ground truth.

A weighted sum of three cues, and an interval whose width was calibrated so that nine in ten labels of sets that it was
not fitted on lie within (split conformal prediction, leaving sets out; as in arXiv 2503.04522). `protoseg calibrate`
derives both again from runs of `protoseg suite`; see docs/engine_defaults.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CUES", "SHIPPED", "Calibration", "estimate_dice", "spread"]

CUES = ("reverse", "halves", "confidence")  # cues that are used, see `protoseg.engine.cues.Cues`
SPREAD_FLOOR = 0.05


@dataclass(frozen=True)
class Calibration:
    """Coefficients of the estimate."""

    intercept: float
    reverse: float
    halves: float
    confidence: float
    below: float  # how far the interval reaches down, in units of `spread`
    above: float  # how far up

    def estimate(self, cues: Mapping[str, float]) -> tuple[float, float, float]:
        """Estimate the Dice of a label: the value, and the ends of its interval of 90 %."""
        weighed = sum(getattr(self, name) * cues[name] for name in CUES)
        value = min(max(self.intercept + weighed, 0.0), 1.0)
        width = spread(value)
        return value, max(value - self.below * width, 0.0), min(value + self.above * width, 1.0)


def spread(value: float) -> float:
    """Tell how uncertain an estimate is, up to a factor: least near 0 or 1."""
    return math.sqrt(value * (1 - value)) + SPREAD_FLOOR


def estimate_dice(cues: Mapping[str, float]) -> tuple[float, float, float]:
    """Estimate the Dice of a label as shipped: the value, and the ends of its interval of 90 %."""
    return SHIPPED.estimate(cues)


SHIPPED = Calibration(intercept=-0.148, reverse=0.331, halves=0.464, confidence=0.351, below=0.839, above=0.547)
