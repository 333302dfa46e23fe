"""A study as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from protoseg.workflows.reports.pictures import label_color

__all__ = ["draw_study"]

GROUP = 0.8  # width of a label's bars together; labels are 1 apart
LETTER, HANDLE = 0.09, 0.6  # inches that a letter of the legend takes, and the colored box beside a name


def draw_study(rows: Sequence[Mapping[str, Any]], measures: Mapping[str, str]) -> Figure:
    """Draw a panel for each measure, with a bar for each label and method: the mean over scans.

    Args:
        rows: rows with "method", "label" and the measures.
        measures: heading of each measure, by key.
    """
    labels, methods = (list(dict.fromkeys(row[key] for row in rows)) for key in ("label", "method"))
    inches = max(6.0, 0.8 * len(labels) + 2)
    figure = Figure(figsize=(inches, 2.6 * len(measures)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    width = GROUP / max(len(methods), 1)
    panels = figure.subplots(len(measures), squeeze=False, sharex=True)[:, 0]
    for axes, (measure, heading) in zip(panels, measures.items()):
        for number, method in enumerate(methods):
            places = np.arange(len(labels)) + (number - (len(methods) - 1) / 2) * width
            heights = [_mean(rows, method, label, measure) for label in labels]
            axes.bar(places, heights, 0.9 * width, color=label_color(number), label=method)
        axes.set(ylabel=heading, xticks=range(len(labels)), xticklabels=labels)
        axes.grid(axis="y", color="#e3e7eb")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].tick_params(axis="x", rotation=30 if len(labels) > 6 else 0)
    columns = max(1, int(inches / (HANDLE + LETTER * max(map(len, methods), default=0))))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=columns, frameon=False)
    return figure


def _mean(rows: Sequence[Mapping[str, Any]], method: str, label: str, measure: str) -> float:
    values = [row[measure] for row in rows if row["method"] == method and row["label"] == label]
    values = [value for value in values if not np.isnan(value)]
    return float(np.mean(values)) if values else 0.0
