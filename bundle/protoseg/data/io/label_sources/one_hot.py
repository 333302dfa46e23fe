"""Label maps with a channel for each label."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from protoseg.data.io.label_sources.masks import NamedMask, combine_masks
from protoseg.errors import InputError
from protoseg.files import PathLike

__all__ = ["from_channels"]


def from_channels(channels: np.ndarray, path: PathLike) -> np.ndarray:
    """Turn masks (C, X, Y, Z) into one label map (1, X, Y, Z); channel c becomes label c, counted from 1.

    A first channel that is the complement of the others is the background, and the second becomes label 1.

    Raises:
        InputError: a channel holds other values than 0 and 1.
    """
    others = np.zeros(channels.shape[1:], bool)
    for number, channel in enumerate(channels):
        if not np.isin(channel, (0, 1)).all():
            size = " x ".join(map(str, (*channels.shape[1:], len(channels))))
            raise InputError(
                f"{path}: the label map has {size} voxels in 4 dimensions, and channel {number} holds other values "
                "than 0 and 1, expected one 3D label map or a mask a channel. Extract one label map into a file of "
                "its own."
            )
        if number:
            others |= channel > 0
    background = len(channels) > 1 and np.array_equal(channels[0] > 0, ~others)

    def masks() -> Iterator[NamedMask]:
        for value, channel in enumerate(channels[1:] if background else channels, start=1):
            yield NamedMask(f"label_{value}", value, channel > 0)

    return combine_masks(masks(), path)[None]
