"""Synthetic people side by side, to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from protoseg.synthesis.anatomy import synthesise

__all__ = ["draw_anatomy"]

AXIAL_LEVELS = (0.9, 0.75, 0.6, 0.45, 0.3)  # from the feet (0) upwards
FINE = {"head": (1.7, 1.7, 6.5)}  # mm; the others are wider
ROWS = (  # region, contrast, labels drawn over it
    ("abdomen", "ct", True),
    ("abdomen", "ct", False),
    ("abdomen", "t1", False),
    ("abdomen", "t2", False),
    ("chest", "ct", True),
    ("chest", "ct", False),
    ("pelvis", "ct", True),
    ("pelvis", "t2", False),
    ("head", "ct", True),
    ("head", "t1", False),
)


def draw_anatomy(seed: int = 2) -> Figure:
    """Draw synthetic people: axial slices from top to bottom and a coronal one, some with their labels."""
    figure = Figure(figsize=(12, 1.62 * len(ROWS)), dpi=80, facecolor="black")
    FigureCanvasAgg(figure)
    widths = [*[1.0] * len(AXIAL_LEVELS), 0.95]
    layout = {"wspace": 0.01, "hspace": 0.01, "left": 0, "right": 1, "bottom": 0, "top": 1, "width_ratios": widths}
    axes = figure.subplots(len(ROWS), len(widths), gridspec_kw=layout)
    for number, (line, (region, contrast, labelled)) in enumerate(zip(axes, ROWS)):
        spacing = FINE.get(region, (2.4, 2.4, 6.0))
        scan = synthesise(seed + number, region=region, contrast=contrast, spacing=spacing)
        low, high = (-150, 250) if contrast == "ct" else (0, np.percentile(scan.image, 99.7))
        pictures = zip(_views(scan.image), _views(scan.labels), strict=True)
        for cell, ((view, aspect), (labels, _)) in zip(line, pictures):
            cell.imshow(view, cmap="gray", vmin=low, vmax=high, aspect=aspect, interpolation="bicubic")
            if labelled:
                shown = np.ma.masked_equal(labels, 0)
                cell.imshow(shown, cmap="tab20", vmin=1, vmax=23, alpha=0.55, aspect=aspect, interpolation="nearest")
            cell.set_axis_off()
    return figure


def _views(volume: NDArray[Any]) -> list[tuple[NDArray[Any], float]]:
    """Axial slices and a coronal one of a volume (X, Y, Z) in RAS, as in radiology, with their aspect ratios."""
    _, depth, height = volume.shape
    axial = [volume[::-1, ::-1, round(level * (height - 1))].T for level in AXIAL_LEVELS]
    return [*((view, 1.0) for view in axial), (volume[::-1, round(0.475 * depth), ::-1].T, 2.5)]
