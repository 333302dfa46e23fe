"""Confidence intervals of means over scans."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

__all__ = ["mean_interval", "mean_over_labels"]

RESAMPLES = 2000
BATCH = 100  # resamples in memory at a time


def mean_over_labels(table: ArrayLike) -> float:
    """Average, over labels, their means over scans, from a table (scans, labels); NaN is left out."""
    return float(_means(np.asarray(table, float)))


def mean_interval(table: ArrayLike, *, pooled: bool = False, seed: int = 0) -> tuple[float, float] | None:
    """Compute the 95 % confidence interval of `mean_over_labels`: percentile bootstrap over scans.

    Scans are drawn, not single values: the labels of one scan succeed and fail together.

    Args:
        table: (scans, labels) values.
        pooled: True for the mean of all values at once, so that labels shown by more scans weigh more.
        seed: seed of the draws.

    Returns:
        Lower and upper bound; None for fewer than two scans with a value.
    """
    values = np.asarray(table, float)
    values = values[~np.isnan(values).all(1)]
    if len(values) < 2:
        return None

    def statistic(drawn: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        return np.nanmean(values[drawn], axis=(-2, -1)) if pooled else _means(values[drawn])

    result = bootstrap(
        (np.arange(len(values)),),
        statistic,
        n_resamples=RESAMPLES,
        batch=BATCH,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _means(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """`mean_over_labels` of tables (..., scans, labels)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")  # a draw without any scan that shows a label
        return np.nanmean(np.nanmean(tables, axis=-2), axis=-1)
