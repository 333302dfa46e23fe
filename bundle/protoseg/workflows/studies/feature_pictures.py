"""Pictures of an encoder's view: the first three principal components of its features as colors, beside the slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from protoseg.data.io.volumes import query_id
from protoseg.matching.matching import unit
from protoseg.ops.slices import axial_slices
from protoseg.workflows.engine_parts import open_config, open_parts

__all__ = ["draw_features", "principal_colors"]

LEVELS = (0.15, 0.85)  # of a scan, between which slices are shown
SHARPEST = 0.02  # share of the patches whose colors are cut off, at either end
DARK = 0.02  # patches so little brighter than the darkest are air, in shares of the slice's range


def draw_features(
    scans: Sequence[Path], *, overlays: Sequence[str] = (), overrides: Mapping[str, Any], columns: int = 4
) -> Figure:
    """Draw slices of scans and under them their features, in colors that mean the same in all of them.

    Args:
        scans: volumes, pictures or DICOM folders; each gets a row of slices.
        overlays: names of files in bundle/configs to lay over inference.yaml.
        overrides: values of config entries, such as "weights".
        columns: number of slices of a scan.

    Raises:
        InputError: a scan or the weights cannot be read.
    """
    config = open_config(("inference.yaml", *overlays), **overrides)
    parts = open_parts(config)
    encoder = parts.encoder()
    images = []
    for scan in scans:
        slices = axial_slices(parts.preprocessing({"image": scan})["image"])
        levels = np.linspace(*LEVELS, columns) if len(slices) > 1 else np.zeros(columns)
        chosen = [round(level * (len(slices) - 1)) for level in levels]
        images.append(encoder.network_input(slices, chosen))
    batch = torch.cat(images)
    with torch.inference_mode():
        features = encoder.encode(batch).cpu()
    colors = principal_colors(features, _shown(batch, (features.shape[-2], features.shape[-1])))
    return _figure(batch, colors, [query_id(scan) for scan in scans], columns)


def principal_colors(features: Tensor, shown: Tensor) -> Tensor:
    """Compute red, green and blue (B, h, w, 3), 0 to 1: principal components of the unit-length features (B, C, h, w).

    Fitted to the patches that are `shown` (B, h, w), of all slices together; the others are black.
    """
    vectors = unit(features.float(), dim=1).movedim(1, 3)
    fitted = vectors[shown]
    center = fitted.mean(0)
    *_, directions = torch.linalg.svd(fitted - center, full_matrices=False)
    largest = directions[:3].gather(1, directions[:3].abs().argmax(1, keepdim=True))
    components = (vectors - center) @ (directions[:3] * largest.sign()).T  # or the sign would be of no meaning
    ends = torch.quantile(components[shown], torch.tensor([SHARPEST, 1 - SHARPEST]), dim=0)
    return ((components - ends[0]) / (ends[1] - ends[0])).clamp(0, 1) * shown[..., None]


def _shown(images: Tensor, size: tuple[int, int]) -> Tensor:
    """True in patches (B, h, w) that are not air or padding."""
    patches = torch.nn.functional.adaptive_avg_pool2d(images, size).mean(1)
    low, high = images.mean(1).flatten(1).aminmax(dim=1)
    return patches > (low + DARK * (high - low))[:, None, None]


def _figure(images: Tensor, colors: Tensor, names: Sequence[str], columns: int) -> Figure:
    rows = 2 * len(names)
    figure = Figure(figsize=(2.2 * columns, 2.2 * rows), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, (image, color) in enumerate(zip(images, colors)):
        row, column = divmod(index, columns)
        low, high = image.min(), image.max()
        axes[2 * row, column].imshow(((image - low) / (high - low).clamp(min=1e-6)).movedim(0, 2).numpy())
        axes[2 * row + 1, column].imshow(color.numpy(), interpolation="nearest")
    for axis in axes.flat:
        axis.set_axis_off()
    for row, name in enumerate(names):
        axes[2 * row, 0].set_title(name, loc="left", fontsize=9)
    return figure
