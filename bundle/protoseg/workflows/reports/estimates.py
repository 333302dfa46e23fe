"""The agreement of the engine's estimated Dice with the true one, as a figure and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from protoseg.workflows.reports.pictures import label_color

__all__ = ["draw_estimates", "estimate_correlation"]


def estimate_correlation(estimated: Sequence[float], true: Sequence[float]) -> float | None:
    """Give the Pearson correlation of estimated and true Dice; None if one of them does not vary."""
    if len(set(estimated)) < 2 or len(set(true)) < 2:
        return None
    return statistics.correlation(estimated, true)


def draw_estimates(estimated: Sequence[float], true: Sequence[float], labels: Sequence[str]) -> Figure:
    """Draw a scatter plot of estimated against true Dice, a point per scan and label, colored by label."""
    figure = Figure(figsize=(6.5, 4.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="lightgray", zorder=0)
    for position, name in enumerate(dict.fromkeys(labels)):
        mine = [index for index, label in enumerate(labels) if label == name]
        x, y = [estimated[index] for index in mine], [true[index] for index in mine]
        axes.scatter(x, y, s=18, color=label_color(position), label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Dice estimated without the ground truth", ylabel="true Dice")
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure
