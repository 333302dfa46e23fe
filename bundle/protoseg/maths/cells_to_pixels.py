"""From feature cells to pixels, window by window: most of a slice holds no label and is never computed.

Bilinear interpolation is two small matrix products, one for the rows and one for the columns; a window takes the rows
of these matrices that it needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["CellsToPixels", "Window", "winning_class"]


class Window(NamedTuple):
    """A box of pixels of a slice."""

    rows: slice
    columns: slice


class CellsToPixels:
    """Interpolates maps of square slices (see `fit_slices`) on the slices' own pixels, as `unfit_slices` does.

    Args:
        cells: rows and columns of the maps.
        height: of the slices in pixels.
        width: of the slices in pixels.
        device: of the maps.
    """

    def __init__(self, cells: tuple[int, int], height: int, width: int, device: torch.device | None = None) -> None:
        self.height, self.width = height, width
        side = max(height, width)
        self.rows = _interpolation(cells[0], side, device)[(side - height) // 2 :][:height]  # H x h
        self.columns = _interpolation(cells[1], side, device)[(side - width) // 2 :][:width]  # W x w
        self.row_reach, self.column_reach = _reach(self.rows), _reach(self.columns)

    def window(self, cells: Tensor) -> Window | None:
        """The smallest box around all pixels that some cells have a part in; None when there are none.

        Args:
            cells: (h, w), boolean.
        """
        there = cells.cpu().numpy()
        rows = _hull(self.row_reach[there.any(1)])
        columns = _hull(self.column_reach[there.any(0)])
        return None if rows is None or columns is None else Window(rows, columns)

    def __call__(self, maps: Tensor, window: Window) -> Tensor:
        """Values (..., rows, columns) of maps (..., h, w) on the pixels of a window."""
        return self.rows[window.rows] @ maps @ self.columns[window.columns].T


def winning_class(scores: Tensor, to_pixels: CellsToPixels) -> tuple[Tensor, Tensor]:
    """The class with the highest score at every pixel (H, W) uint8, and that score (H, W) float32.

    A label that loses to the background in every cell around a pixel loses to it in the pixel too, so each label is
    brought to the grid only around the cells that it wins. Outside of all of these the score is 0.

    Args:
        scores: (1 + L, h, w), class 0 is the background.
        to_pixels: of that many cells.
    """
    winner = torch.zeros(to_pixels.height, to_pixels.width, dtype=torch.uint8, device=scores.device)
    best = torch.zeros(to_pixels.height, to_pixels.width, device=scores.device)
    contending = scores[1:] > scores[0]  # L x h x w
    labels = (1 + contending.flatten(1).any(1).nonzero()[:, 0]).tolist()
    everything = to_pixels.window(contending.any(0))
    if everything is None:
        return winner, best
    best[everything] = to_pixels(scores[0], everything)
    for label in labels:
        window = to_pixels.window(contending[label - 1])
        if window is None:
            continue
        mine, others = to_pixels(scores[label], window), best[window]
        winner[window].masked_fill_(mine > others, label)
        torch.maximum(mine, others, out=others)
    return winner, best


def _interpolation(cells: int, pixels: int, device: torch.device | None) -> Tensor:
    """Matrix (pixels, cells) of bilinear interpolation along one axis."""
    identity = torch.eye(cells, device=device)[None]
    return F.interpolate(identity, size=pixels, mode="linear", align_corners=False)[0].T.contiguous()


def _reach(weights: Tensor) -> NDArray[np.int64]:
    """First and last pixel (cells, 2), the latter excluded, in which cells have a part by weights (pixels, cells)."""
    part = (weights > 0).cpu().numpy()
    pixels = len(part)
    first, last = part.argmax(0), pixels - part[::-1].argmax(0)
    return np.where(part.any(0), (first, last), ((pixels,), (0,))).T


def _hull(reach: NDArray[np.int64]) -> slice | None:
    """The pixels from the first to the last of several cells; None when there are none."""
    if not len(reach):
        return None
    first, last = int(reach[:, 0].min()), int(reach[:, 1].max())
    return slice(first, last) if first < last else None
