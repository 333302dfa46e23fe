"""A coarser grid to work on where pixels are finer than a border can be told."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

__all__ = ["WorkingGrid"]

FINEST = 1.2  # mm; the time of a graph cut grows with the number of pixels, and a feature patch is many pixels wide


class WorkingGrid:
    """The grid of a slice, or of a window of one, with pixels of at least 1.2 mm.

    Args:
        shape: number of rows and columns of the slice.
        spacing: spacing of rows and columns in mm.
    """

    def __init__(self, shape: tuple[int, int], spacing: tuple[float, float]) -> None:
        self.full = shape
        rows, columns = (math.ceil(size * min(step / FINEST, 1)) for size, step in zip(shape, spacing))
        self.shape = rows, columns
        self.spacing = spacing[0] * shape[0] / rows, spacing[1] * shape[1] / columns

    def shrink(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average maps (C, H, W) on this grid: (C, rows, columns)."""
        if self.shape == self.full:
            return maps
        whole = torch.from_numpy(np.ascontiguousarray(maps, np.float32))[None]
        return F.interpolate(whole, size=self.shape, mode="bilinear", antialias=True)[0].numpy()

    def enlarge(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Give a mask (rows, columns) on the slice's own grid (H, W)."""
        if self.shape == self.full:
            return mask
        coarse = torch.from_numpy(mask).float()[None, None]
        return (F.interpolate(coarse, size=self.full, mode="bilinear")[0, 0] > 0.5).numpy()

    def points(self, points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Convert (row, column) points of the slice to this grid."""
        rows, columns = self.shape
        return [(row * rows // self.full[0], column * columns // self.full[1]) for row, column in points]
