"""A suite as a picture: every label of every pair, set by set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from protoseg.workflows.suite.rows import SuiteRow
from protoseg.workflows.suite.summary import rows_by

__all__ = ["draw_sets"]

COLOR, EARLIER = "#1f6fb4", "#c0564b"


def draw_sets(rows: Sequence[SuiteRow], comparison: Mapping[str, Any] | None = None) -> Figure:
    """Draw a line for each set: a dot for each label of each pair, the mean, and that of an earlier run."""
    sets = rows_by((row for row in rows if row["dice"] is not None), "set")
    figure = Figure(figsize=(9, 0.28 * len(sets) + 1.2), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    for place, (name, mine) in enumerate(sets.items()):
        values = [row["dice"] for row in mine]
        axes.scatter(values, np.full(len(values), place), s=9, color=COLOR, alpha=0.35, linewidths=0)
        mean = axes.scatter(np.mean(values), place, s=70, marker="|", color=COLOR, label="mean", zorder=3)
        if comparison is not None and name in comparison["sets"]:
            before = comparison["sets"][name]["before"]
            earlier = axes.scatter(before, place, s=70, marker="|", color=EARLIER, label="earlier run", zorder=2)
    axes.set(xlim=(-0.02, 1.02), xlabel="Dice", yticks=range(len(sets)), yticklabels=list(sets))
    axes.invert_yaxis()
    axes.grid(axis="x", color="#e3e7eb")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if sets:
        handles = [mean] if comparison is None else [mean, earlier]
        figure.legend(handles=handles, loc="outside upper right", ncols=2, frameon=False)
    return figure
