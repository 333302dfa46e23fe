"""The spread of measures over scans, label by label, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from protoseg.workflows.evaluation.metrics import CaseRow, as_table

__all__ = ["PROTOCOL_COLORS", "draw_box_plots"]

PROTOCOL_COLORS = {"leak_free": "#1f6fb4", "legacy": "#3b9b6d"}
WIDTH = 0.36  # of a box; labels are 1 apart


def draw_box_plots(rows: Mapping[str, Sequence[CaseRow]], measures: Mapping[str, str]) -> Figure:
    """Draw a panel for each measure, with a box for each label and protocol and a dot for each scan.

    Args:
        rows: rows by protocol.
        measures: heading of each measure, by column.
    """
    labels = list(dict.fromkeys(row["label"] for mine in rows.values() for row in mine))
    figure = Figure(figsize=(max(5.0, 0.75 * len(labels) + 2), 2.7 * len(measures)), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, (measure, heading) in zip(figure.subplots(len(measures), squeeze=False)[:, 0], measures.items()):
        for number, (protocol, mine) in enumerate(rows.items()):
            offset = (number - (len(rows) - 1) / 2) * WIDTH * 1.15
            _draw_boxes(axes, mine, labels, measure, offset, PROTOCOL_COLORS[protocol])
        axes.set(ylabel=heading, xticks=range(len(labels)), xticklabels=labels, xlim=(-0.6, len(labels) - 0.4))
        axes.tick_params(axis="x", rotation=30 if len(labels) > 6 else 0)
        axes.set_ylim(bottom=0, top=1.02 if measure == "dice" else None)
        axes.grid(axis="y", color="#e3e7eb")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    names = [Patch(color=PROTOCOL_COLORS[protocol], alpha=0.6, label=protocol) for protocol in rows]
    figure.legend(handles=names, loc="outside upper right", ncols=2, frameon=False)
    return figure


def _draw_boxes(
    axes: Axes, rows: Sequence[CaseRow], labels: Sequence[str], measure: str, offset: float, color: str
) -> None:
    for place, label in enumerate(labels):
        mine = [row for row in rows if row["label"] == label]
        values = as_table(mine, measure)[:, 0] if mine else np.empty(0)
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        axes.boxplot(
            values,
            positions=[place + offset],
            widths=WIDTH,
            manage_ticks=False,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": color, "alpha": 0.6, "linewidth": 0},
            medianprops={"color": "black"},
        )
        axes.scatter(np.full(len(values), place + offset), values, s=7, color="black", alpha=0.5, zorder=3)
