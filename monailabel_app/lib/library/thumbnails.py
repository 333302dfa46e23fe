"""A picture of an example: the slice that shows most of its labels, with these laid over it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from protoseg.data.io.anatomy_codes import label_color
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError

__all__ = ["render"]

FILLED, OUTLINED = 0.4, 1.0  # opacity of a label and of its border
DARKEST, BRIGHTEST = 1.0, 99.0  # percentiles of the slice that become black and white


def render(
    support: SupportSet, values: Sequence[int], *, slice_index: int | None = None, adjacent_slices: bool, edge: int
) -> bytes:
    """Draw a support slice as PNG.

    Args:
        support: support of one example.
        values: values of its labels on this server, which give the colors of names without one.
        slice_index: index of the slice; None for the one with the largest labelled area.
        adjacent_slices: True for channels that are a slice and its neighbors.
        edge: edge of the picture in pixels.

    Raises:
        InputError: the support has no such slice.
    """
    indices = [origin.slice_index for origin in support.origins]
    if slice_index is None:
        place = int((support.masks > 0).sum((1, 2)).argmax())
    elif slice_index in indices:
        place = indices.index(slice_index)
    else:
        raise InputError(f"The example has no slice {slice_index}; it has {', '.join(map(str, indices))}.")
    image, mask = support.images[place].numpy(), support.masks[place].numpy()
    if adjacent_slices:
        image = np.repeat(image[1:2], 3, axis=0)
    pixels = _resized(_gray(image), edge, Image.Resampling.BILINEAR)
    labels = np.asarray(Image.fromarray(mask).resize((edge, edge), Image.Resampling.NEAREST))
    drawn = pixels.astype(np.float32)
    for number, (name, value) in enumerate(zip(support.labels, values, strict=True), start=1):
        inside = labels == number
        border = inside & ~ndimage.binary_erosion(inside, iterations=max(1, edge // 128))
        opacity = np.where(border, OUTLINED, np.where(inside, FILLED, 0.0))[..., None]
        drawn = drawn * (1 - opacity) + np.array(label_color(name, value)) * opacity
    file = io.BytesIO()
    Image.fromarray(drawn.round().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _gray(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map a normalized slice (3, H, W) to bytes (H, W, 3)."""
    image = np.nan_to_num(image)
    low, high = np.percentile(image, (DARKEST, BRIGHTEST))
    scaled = (image - low) / max(float(high - low), 1e-6)
    return (scaled.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def _resized(pixels: NDArray[np.uint8], edge: int, how: Image.Resampling) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((edge, edge), how))
