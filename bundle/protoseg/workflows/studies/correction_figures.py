"""Figures and a picture of what corrections have taught: clicks that a label needs, by the position of its scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from protoseg.workflows.reports.pictures import label_color
from protoseg.workflows.studies.clicks import GOOD

__all__ = ["correction_figures", "correction_table", "draw_corrections"]

Rows = Sequence[Mapping[str, Any]]
PANELS = {"clicks": "clicks to a Dice of .90", "dice_before": "Dice before clicks", "dice": "Dice as accepted"}


def correction_figures(rows: Rows) -> dict[str, Any]:
    """Sum up the rows of a study by set and position of the scan.

    Returns:
        By set, lists over positions, the first scan first: "clicks", mean over labels and orders of the clicks that a
        label got, where those that did not reach a Dice of .90 count as the most that a label may get; "dice_before"
        and "dice", the same of the Dice; "reached90", the share of labels that were accepted with .90. "first" and
        "later": mean clicks of the first scan, and of all others.
    """
    return {name: _figures([row for row in rows if row["set"] == name]) for name in _sets(rows)}


def draw_corrections(rows: Rows) -> Figure:
    """Draw a panel for each figure, with a line for each set over the positions of scans."""
    figure = Figure(figsize=(9.0, 3.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figures = correction_figures(rows)
    panels = figure.subplots(1, len(PANELS))
    for axes, (key, heading) in zip(panels, PANELS.items()):
        for number, (name, mine) in enumerate(figures.items()):
            positions = range(1, 1 + len(mine[key]))
            axes.plot(positions, mine[key], marker="o", markersize=4, color=label_color(number), label=name)
        axes.set(title=heading, xlabel="scan", ylim=(0, None if key == "clicks" else 1))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="#e3e7eb")
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def correction_table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Figures as text: for each set its lists over positions, and mean clicks of the first scan and of all others."""
    lines = []
    for name, mine in figures.items():
        lines += [f"{name}:"]
        lines += [
            f"  {heading:24}" + "".join(f"{value:8.3f}" for value in mine[key]) for key, heading in PANELS.items()
        ]
        if mine["later"] is not None:
            lines.append(f"  clicks of the first scan {mine['first']:.2f}, of each later one {mine['later']:.2f}")
    return "\n".join(lines)


def _figures(rows: Rows) -> dict[str, Any]:
    positions = sorted({row["position"] for row in rows})
    at = [[row for row in rows if row["position"] == position] for position in positions]
    figures: dict[str, Any] = {key: [_mean(mine, key) for mine in at] for key in PANELS}
    figures["reached90"] = [round(float(np.mean([row["dice"] >= GOOD for row in mine])), 4) for mine in at]
    later = [row for mine in at[1:] for row in mine]
    return figures | {"first": figures["clicks"][0], "later": _mean(later, "clicks") if later else None}


def _mean(rows: Rows, key: str) -> float:
    return round(float(np.mean([row[key] for row in rows])), 4)


def _sets(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["set"] for row in rows))
