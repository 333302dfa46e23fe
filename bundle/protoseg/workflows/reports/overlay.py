"""Label maps as pictures that a person can judge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from protoseg.data.io.marks import SOFTWARE
from protoseg.data.io.results import OVERLAY, result_file
from protoseg.data.io.volumes import query_id
from protoseg.files import replacing

__all__ = ["as_slices", "draw_overlay", "label_color", "save_overlay"]


def save_overlay(
    output_dir: Path,
    query: str,
    image: NDArray[Any],
    predicted: NDArray[Any],
    labels: Mapping[str, int],
    *,
    ground_truth: NDArray[Any] | None = None,
    aspect: float = 1.0,
    columns: int = 5,
) -> None:
    """Draw a label map over its image, see `draw_overlay`, as `<query>_seg.png`; `query` is the image's path."""
    name = query_id(query)
    figure = draw_overlay(image, predicted, ground_truth, labels, title=name, aspect=aspect, columns=columns)
    with replacing(result_file(output_dir, name, OVERLAY)) as unfinished:
        figure.savefig(unfinished, format="png", metadata={"Software": SOFTWARE})


def draw_overlay(
    image: NDArray[Any],
    predicted: NDArray[Any],
    ground_truth: NDArray[Any] | None,
    labels: Mapping[str, int],
    *,
    title: str,
    aspect: float = 1.0,
    columns: int = 5,
) -> Figure:
    """Draw slices spread over the labelled extent: the image above, the labels drawn over it below.

    Args:
        image: (S, H, W) or, in color, (S, H, W, 3) image.
        predicted: (S, H, W) label map, drawn as filled areas.
        ground_truth: (S, H, W) label map, drawn as white contours.
        labels: value of each label by name.
        title: title of the figure.
        aspect: ratio of a voxel's height to its width.
        columns: number of slices to show.
    """
    chosen = _spread(predicted if ground_truth is None else np.maximum(predicted, ground_truth), columns)
    height, width = image.shape[1:3]
    figure = Figure(figsize=(2.4 * len(chosen), 4.8 * aspect * height / width + 0.7), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(chosen), squeeze=False)
    low, high = float(image.min()), float(image.max())
    shown = (image - low) / (high - low or 1)
    for column, index in zip(axes.T, chosen):
        for cell in column:
            cell.imshow(shown[index], cmap="gray", vmin=0, vmax=1, aspect=aspect)
            cell.set_axis_off()
        column[0].set_title(f"slice {index}", color="white", fontsize=8, pad=3)
        _draw_labels(column[1], predicted[index], None if ground_truth is None else ground_truth[index], labels)
    names = [Line2D([], [], color=label_color(k), lw=4, label=name) for k, name in enumerate(labels)]
    if ground_truth is not None:
        names.append(Line2D([], [], color="white", lw=1, label="ground truth"))
    figure.legend(handles=names, loc="lower center", ncols=7, fontsize=8, frameon=False, labelcolor="white")
    figure.suptitle(title, color="white", fontsize=10)
    figure.tight_layout(pad=0.4, rect=(0, 0.05, 1, 1))
    return figure


def _draw_labels(
    axes: Axes, predicted: NDArray[Any], ground_truth: NDArray[Any] | None, labels: Mapping[str, int]
) -> None:
    layer = np.zeros((*predicted.shape, 4))
    for position, value in enumerate(labels.values()):
        layer[predicted == value] = (*label_color(position), 0.5)
    axes.imshow(layer, aspect=axes.get_aspect())
    if ground_truth is None:
        return
    for value in labels.values():
        if (ground_truth == value).any():
            axes.contour(ground_truth == value, levels=[0.5], colors="white", linewidths=0.7)


def _spread(label_map: NDArray[Any], count: int) -> list[int]:
    """Choose slices spread evenly over the extent of the labels, or over the volume if there are none."""
    holding = np.flatnonzero(label_map.any(axis=(1, 2)))
    first, last = (holding[0], holding[-1]) if holding.size else (0, len(label_map) - 1)
    return sorted({round(index) for index in np.linspace(first, last, count + 2)[1:-1]})


def as_slices(volume: Any) -> NDArray[Any]:
    """Turn a volume (C, X, Y, Z) into slices: S x H x W, or S x H x W x 3 in color."""
    array = np.asarray(volume).transpose(3, 2, 1, 0)
    return array if array.shape[-1] == 3 else array[..., 0]


def label_color(position: int) -> tuple[float, float, float]:
    """Give the color (red, green, blue) of the label at a position in the list."""
    # The map's colors come in pairs of a strong and a pale one: all the strong ones first.
    return colormaps["tab20"](2 * position % 20 + position // 10 % 2)[:3]
