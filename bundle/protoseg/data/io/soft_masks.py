"""Masks with soft edges (antialiased, blurred, resized), as opposed to maps of many labels."""

from __future__ import annotations

import logging

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter

from protoseg.errors import InputError
from protoseg.files import PathLike

__all__ = ["without_soft_edges"]

logger = logging.getLogger(__name__)

FEWEST_VALUES = 3  # between black and white; with fewer, an edge looks like a label one pixel wide
MANY_VALUES = 16  # number of values typical of an image
SHARE_BETWEEN = 0.75  # share of the pixels between black and white that have a darker and a brighter neighbor
SMALLEST_SOLID = 0.2  # nearly white pixels for each pixel that is neither nearly white nor nearly black


def without_soft_edges(pixels: np.ndarray, white: int, path: PathLike) -> np.ndarray:
    """Threshold a mask with soft edges at half of white; a label map is returned as it is.

    On a soft edge nearly every pixel has a darker and a brighter neighbor. In a label map whose structures are three
    pixels wide, at most half have: a pixel is surrounded by its like and, at a border, by one other structure.

    Args:
        pixels: (1, W, H, 1) pixels.
        white: highest value that the format of the picture can hold, 255 or 65535.
        path: path of the picture, for messages.

    Raises:
        InputError: nearly every pixel is between darker and brighter ones, but little is black or white: this is an
            image.
    """
    gray = pixels[0, ..., 0]
    between = (gray > gray.min()) & (gray < gray.max())
    values = np.unique(gray[between])
    on_edge = between & (minimum_filter(gray, 3) < gray) & (maximum_filter(gray, 3) > gray)
    if not len(values) or on_edge.sum() < SHARE_BETWEEN * between.sum():
        return pixels
    solid, dim = (gray >= 0.9 * white).sum(), ((gray > 0.1 * white) & (gray < 0.9 * white)).sum()
    is_mask = gray.min() == 0 and gray.max() == white and solid >= SMALLEST_SOLID * dim
    if is_mask and len(values) >= FEWEST_VALUES:
        logger.warning(
            "%s: %d gray values occur on edges only, so they are taken for the soft edges of a mask: what is brighter "
            "than half is labelled.",
            path,
            len(values),
        )
        return np.where(pixels > white / 2, np.float32(white), np.float32(0))
    if len(values) >= MANY_VALUES:
        raise InputError(
            f"{path}: nearly all of its {len(values)} gray values lie between darker and brighter ones, as in an image "
            "or a blurred mask, expected flat areas with one value a label. Check that this is the label map, and save "
            "masks without soft edges."
        )
    if is_mask:
        logger.warning(
            "%s: the value %s occurs on edges only and is kept as a label. If it is a soft edge, save the mask "
            "without it.",
            path,
            " and ".join(f"{value:g}" for value in values),
        )
    return pixels
