"""Label maps as pictures that a person can judge."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from monai.config import KeysCollection
from monai.transforms import MapTransform
from numpy.typing import NDArray

from protoseg.data.anatomy import synthesise
from protoseg.data.volumes import query_id
from protoseg.files import replacing

__all__ = ["SaveOverlayd", "draw_anatomy", "draw_estimates", "draw_overlay"]

AXIAL_LEVELS = (0.9, 0.75, 0.6, 0.45, 0.3)  # of synthetic people, from the feet (0) to the lungs (1)


class SaveOverlayd(MapTransform):
    """Draw a label map over its image, and the truth where it is known, as `<query>_seg.png`.

    Args:
        keys: label maps (1, X, Y, Z), axes L, P, S.
        labels: name -> value.
        output_dir: folder of the pictures.
        image_key: image (C, X, Y, Z) on the same grid.
        truth_key: true label map on the same grid, if there is one.
        columns: slices to show.
    """

    def __init__(
        self,
        keys: KeysCollection,
        labels: Mapping[str, int],
        output_dir: str | Path,
        image_key: str = "image",
        truth_key: str = "label",
        columns: int = 5,
    ) -> None:
        super().__init__(keys)
        self.labels = labels
        self.output_dir = Path(output_dir)
        self.image_key = image_key
        self.truth_key = truth_key
        self.columns = columns

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw the label map of each key."""
        for key in self.key_iterator(dict(data)):
            truth = data.get(self.truth_key)
            query = data[key].meta["filename_or_obj"]
            figure = draw_overlay(
                _as_slices(data[self.image_key]),
                _as_slices(data[key]),
                None if truth is None else _as_slices(truth),
                self.labels,
                title=query_id(query),
                columns=self.columns,
            )
            with replacing(self.output_dir / f"{query_id(query)}_seg.png") as unfinished:
                figure.savefig(unfinished, format="png")
        return dict(data)


def draw_overlay(
    image: NDArray[Any],
    predicted: NDArray[Any],
    truth: NDArray[Any] | None,
    labels: Mapping[str, int],
    *,
    title: str,
    columns: int = 5,
) -> Figure:
    """Draw slices spread over the labelled extent: the image above, the labels drawn into it below.

    Args:
        image: S x H x W or, in colour, S x H x W x 3.
        predicted: S x H x W, drawn as filled areas.
        truth: S x H x W, drawn as white contours.
        labels: name -> value.
        title: of the figure.
        columns: slices to show.
    """
    chosen = _spread(predicted if truth is None else np.maximum(predicted, truth), columns)
    height, width = image.shape[1:3]
    figure = Figure(figsize=(2.4 * len(chosen), 4.8 * height / width + 0.7), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(chosen), squeeze=False)
    low, high = float(image.min()), float(image.max())
    shown = (image - low) / (high - low or 1)
    for column, index in zip(axes.T, chosen):
        for cell in column:
            cell.imshow(shown[index], cmap="gray", vmin=0, vmax=1)
            cell.set_axis_off()
        column[0].set_title(f"slice {index}", color="white", fontsize=8, pad=3)
        _draw_labels(column[1], predicted[index], None if truth is None else truth[index], labels)
    names = [Line2D([], [], color=_colour(k), lw=4, label=name) for k, name in enumerate(labels)]
    if truth is not None:
        names.append(Line2D([], [], color="white", lw=1, label="truth"))
    figure.legend(handles=names, loc="lower center", ncols=7, fontsize=8, frameon=False, labelcolor="white")
    figure.suptitle(title, color="white", fontsize=10)
    figure.tight_layout(pad=0.4, rect=(0, 0.05, 1, 1))
    return figure


def _draw_labels(axes: Axes, predicted: NDArray[Any], truth: NDArray[Any] | None, labels: Mapping[str, int]) -> None:
    layer = np.zeros((*predicted.shape, 4))
    for position, value in enumerate(labels.values()):
        layer[predicted == value] = (*_colour(position), 0.5)
    axes.imshow(layer)
    if truth is None:
        return
    for value in labels.values():
        if (truth == value).any():
            axes.contour(truth == value, levels=[0.5], colors="white", linewidths=0.7)


def _spread(label_map: NDArray[Any], count: int) -> list[int]:
    """Slices spread evenly over the extent of the labels, or over the volume where there are none."""
    holding = np.flatnonzero(label_map.any(axis=(1, 2)))
    first, last = (holding[0], holding[-1]) if holding.size else (0, len(label_map) - 1)
    return sorted({round(index) for index in np.linspace(first, last, count + 2)[1:-1]})


def _as_slices(volume: Any) -> NDArray[Any]:
    """(C, X, Y, Z) -> S x H x W, or S x H x W x 3 in colour."""
    array = np.asarray(volume).transpose(3, 2, 1, 0)
    return array if array.shape[-1] == 3 else array[..., 0]


def _colour(position: int) -> tuple[float, float, float]:
    return colormaps["tab20"](position % 20)[:3]


def draw_estimates(estimated: Sequence[float], true: Sequence[float], labels: Sequence[str]) -> Figure:
    """Scatter plot of estimated against true Dice, a point per scan and label, coloured by label."""
    figure = Figure(figsize=(5.5, 4.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="lightgrey", zorder=0)
    for position, name in enumerate(dict.fromkeys(labels)):
        mine = [index for index, label in enumerate(labels) if label == name]
        x, y = [estimated[index] for index in mine], [true[index] for index in mine]
        axes.scatter(x, y, s=18, color=_colour(position), label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Dice estimated without the truth", ylabel="true Dice", aspect="equal")
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure


def draw_anatomy(seeds: Sequence[int] = (2, 5, 21)) -> Figure:
    """Draw synthetic people: axial slices from head to foot and a coronal one; CT, its labels, T1 and T2."""
    rows = [(seeds[0], "ct", True)] + [(seed, "ct", False) for seed in seeds]
    rows += [(seeds[-1], "t1", False), (seeds[-2], "t2", False)]
    figure = Figure(figsize=(12, 1.62 * len(rows)), dpi=80, facecolor="black")
    FigureCanvasAgg(figure)
    widths = [*[1.0] * len(AXIAL_LEVELS), 0.95]
    layout = {"wspace": 0.01, "hspace": 0.01, "left": 0, "right": 1, "bottom": 0, "top": 1, "width_ratios": widths}
    axes = figure.subplots(len(rows), len(widths), gridspec_kw=layout)
    for line, (seed, contrast, labelled) in zip(axes, rows):
        scan = synthesise(seed, contrast=contrast)
        low, high = (-150, 250) if contrast == "ct" else (0, np.percentile(scan.image, 99.7))
        pictures = zip(_anatomy_views(scan.image), _anatomy_views(scan.labels), strict=True)
        for cell, ((view, aspect), (labels, _)) in zip(line, pictures):
            cell.imshow(view, cmap="gray", vmin=low, vmax=high, aspect=aspect, interpolation="bicubic")
            if labelled:
                shown = np.ma.masked_equal(labels, 0)
                cell.imshow(shown, cmap="tab20", vmin=1, vmax=20, alpha=0.55, aspect=aspect, interpolation="nearest")
            cell.set_axis_off()
    return figure


def _anatomy_views(volume: NDArray[Any]) -> list[tuple[NDArray[Any], float]]:
    """Axial slices and a coronal one of a volume (X, Y, Z) in RAS, as radiology shows them, with their aspects."""
    _, depth, height = volume.shape
    axial = [volume[::-1, ::-1, round(level * (height - 1))].T for level in AXIAL_LEVELS]
    return [*((view, 1.0) for view in axial), (volume[::-1, round(0.475 * depth), ::-1].T, 2.5)]
