"""Fits the engine's estimate of the Dice to the rows of a suite, and judges it on sets that it was not fitted on.

Every set weighs the same. A set that is left out is neither in the fit nor in the width of the intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protoseg.engine.estimate import CUES, Calibration, spread
from protoseg.errors import InputError
from protoseg.workflows.suite.rows import CUE, SuiteRow
from protoseg.workflows.suite.summary import estimate_figures

__all__ = ["calibration_source", "fit_calibration", "left_out_figures"]

Array = NDArray[np.float64]

COVERAGE = 0.9  # of the intervals
LEAST_SETS = 3


class _Data:
    """Cues and true Dice of the labels of a suite that were found and are in the ground truth."""

    def __init__(self, rows: Sequence[SuiteRow]) -> None:
        self.rows = [row for row in rows if row["dice"] is not None and _cues(row).keys() >= set(CUES)]
        self.terms = np.array([(1.0, *(_cues(row)[name] for name in CUES)) for row in self.rows])
        self.dice = np.array([row["dice"] for row in self.rows], float)
        self.sets = np.array([row["set"] for row in self.rows])
        if len(set(self.sets)) < LEAST_SETS:
            raise InputError(
                f"The runs have estimates, with the cues {', '.join(CUES)}, of {len(set(self.sets))} sets; at least "
                f"{LEAST_SETS} are needed. Give runs of protoseg suite over more sets."
            )


def fit_calibration(rows: Sequence[SuiteRow]) -> Calibration:
    """Fit an estimate to all sets of the rows of one or more runs.

    Raises:
        InputError: there are too few sets.
    """
    data = _Data(rows)
    return _fit(data, np.ones(len(data.dice), bool))


def left_out_figures(rows: Sequence[SuiteRow]) -> dict[str, Any]:
    """Judge, set by set, an estimate that was fitted without the set; see `estimate_figures`.

    Raises:
        InputError: there are too few sets.
    """
    data = _Data(rows)
    told: list[SuiteRow] = []
    for name in dict.fromkeys(data.sets.tolist()):
        calibration = _fit(data, data.sets != name)
        for index in np.flatnonzero(data.sets == name):
            value, low, high = calibration.estimate(_cues(data.rows[index]))
            ends = {"estimated_dice_low": low, "estimated_dice_high": high}
            told.append({**data.rows[index], "estimated_dice": value, **ends})
    return estimate_figures(told)


def calibration_source(calibration: Calibration) -> str:
    """Write a calibration as it is in the engine's source."""
    fields = ("intercept", *CUES, "below", "above")
    return f"SHIPPED = Calibration({', '.join(f'{name}={getattr(calibration, name):.3f}' for name in fields)})"


def _fit(data: _Data, taken: NDArray[np.bool_]) -> Calibration:
    """Fit sum and interval to some of the labels; the interval is that of sets left out one by one."""
    residuals = np.full(len(data.dice), np.nan)
    for name in set(data.sets[taken].tolist()):
        mine = taken & (data.sets == name)
        value = np.clip(data.terms[mine] @ _coefficients(data, taken & ~mine), 0, 1)
        residuals[mine] = (data.dice[mine] - value) / np.array([spread(float(one)) for one in value])
    intercept, *factors = _coefficients(data, taken).tolist()
    share = _weights(data.sets[taken])
    tail = (1 - COVERAGE) / 2
    below, above = (_quantile(residuals[taken], share, at) for at in (tail, 1 - tail))
    weights = dict(zip(CUES, factors))
    return Calibration(intercept, **weights, below=max(-below, 0.0), above=max(above, 0.0))


def _coefficients(data: _Data, taken: NDArray[np.bool_]) -> Array:
    """Fit least squares in which every set weighs the same."""
    root = np.sqrt(_weights(data.sets[taken]))
    found: Array = np.linalg.lstsq(root[:, None] * data.terms[taken], root * data.dice[taken], rcond=None)[0]
    return found


def _weights(sets: NDArray[Any]) -> Array:
    """Give weights that sum to 1, with the same sum for every set."""
    _, place, count = np.unique(sets, return_inverse=True, return_counts=True)
    weights: Array = 1 / count[place] / len(count)
    return weights


def _quantile(values: Array, weights: Array, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][min(int(np.searchsorted(reached, share)), len(values) - 1)])


def _cues(row: SuiteRow) -> dict[str, float]:
    return {key.removeprefix(CUE): value for key, value in row.items() if key.startswith(CUE) and value is not None}
