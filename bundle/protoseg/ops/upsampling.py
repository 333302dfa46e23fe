"""Upsamples feature patches to pixels, window by window: most of a slice holds no label and is never computed.

Bilinear interpolation is two small matrix products, one for the rows and one for the columns; a window takes the rows
of these matrices that it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["BilinearUpsampler", "UpsampledArgmax", "Window", "upsampled_argmax"]


class Window(NamedTuple):
    """A box of pixels of a slice."""

    rows: slice
    columns: slice


class BilinearUpsampler:
    """Interpolates maps of square slices (see `fit_slices`) on the slices' own pixels, as `unfit_slices` does.

    Args:
        patches: number of rows and columns of the maps.
        height: number of rows of the slices.
        width: number of columns of the slices.
        device: device of the maps.
    """

    def __init__(self, patches: tuple[int, int], height: int, width: int, device: torch.device | None = None) -> None:
        self.height, self.width = height, width
        side = max(height, width)
        self.rows = _interpolation(patches[0], side, device)[(side - height) // 2 :][:height]  # H x h
        self.columns = _interpolation(patches[1], side, device)[(side - width) // 2 :][:width]  # W x w
        self.row_reach, self.column_reach = _reach(self.rows), _reach(self.columns)  # of the gaps between patches

    def window(self, patches: Tensor) -> Window | None:
        """Box all pixels that the patches of a mask (h, w) contribute to; None without pixels.

        The box is the smallest, except that it has a pixel more on each side if pixels lie on the centers of patches.
        """
        return self.windows(~_held_by_all(~patches.cpu().numpy())[None])[0]

    def windows(self, corners: NDArray[np.bool_]) -> list[Window | None]:
        """Box all pixels between the patches around some corners; None without pixels.

        Args:
            corners: (N, h + 1, w + 1) mask for each box; the pixels of corner [i, j] lie between the patches [i - 1, j
                - 1] and [i, j].
        """
        rows = _hulls(corners.any(2), self.row_reach)
        columns = _hulls(corners.any(1), self.column_reach)
        sides = zip(rows, columns)
        return [Window(slice(*row), slice(*column)) if row and column else None for row, column in sides]

    def __call__(self, maps: Tensor, window: Window) -> Tensor:
        """Interpolate maps (..., h, w) on the pixels of a window: (..., rows, columns)."""
        return self.rows[window.rows] @ maps @ self.columns[window.columns].T


class UpsampledArgmax(NamedTuple):
    """The class with the highest score at every pixel of a slice."""

    label: NDArray[np.uint8]  # H x W, 0 is the background
    score: NDArray[np.float32]  # H x W; 0 outside the box around all windows
    windows: Sequence[Window | None]  # L windows, outside of which a label wins nowhere


def upsampled_argmax(scores: Tensor, to_pixels: BilinearUpsampler) -> UpsampledArgmax:
    """Find the class with the highest score at every pixel.

    A label that loses to the same class in all four patches around a pixel loses to it in the pixel too, so each label
    is interpolated only elsewhere.

    Args:
        scores: (1 + L, h, w) scores; class 0 is the background.
        to_pixels: upsampler of maps of that size.
    """
    winner = np.zeros((to_pixels.height, to_pixels.width), np.uint8)
    best = np.zeros(winner.shape, np.float32)
    windows = _label_windows(scores.cpu().numpy(), to_pixels)
    everything = _around(windows)
    if everything is not None:
        best[everything] = to_pixels(scores[0], everything).cpu().numpy()
    for label, window in enumerate(windows, start=1):
        if window is None:
            continue
        mine, others = to_pixels(scores[label], window).cpu().numpy(), best[window]
        wins = mine > others
        np.copyto(winner[window], label, where=wins)
        np.copyto(others, mine, where=wins)
    return UpsampledArgmax(winner, best, windows)


def _label_windows(scores: NDArray[np.float32], to_pixels: BilinearUpsampler) -> list[Window | None]:
    """Box, for each label, the pixels where it may win."""
    windows: list[Window | None] = [None] * (len(scores) - 1)
    (labels,) = np.nonzero((scores[1:] > scores[0]).any((1, 2)))
    if len(labels):
        winners = scores[(scores == scores.max(0)).any((1, 2))]
        beaten = _held_by_all(winners[:, None] > scores[1 + labels]).any(0)
        for label, window in zip(labels, to_pixels.windows(~beaten)):
            windows[label] = window
    return windows


def _held_by_all(patches: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell whether all four patches around each corner are true: patches (..., h, w) -> corners (..., h + 1, w + 1).

    Beyond the edge the patches of the edge are repeated.
    """
    for axis in (-2, -1):
        first, last = patches.take([0], axis), patches.take([-1], axis)
        patches = np.concatenate([first, patches], axis) & np.concatenate([patches, last], axis)
    return patches


def _around(windows: Sequence[Window | None]) -> Window | None:
    """Box several windows."""
    there = [window for window in windows if window is not None]
    if not there:
        return None
    rows, columns = ((min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*there))
    return Window(slice(*rows), slice(*columns))


def _interpolation(patches: int, pixels: int, device: torch.device | None) -> Tensor:
    """Matrix (pixels, patches) of bilinear interpolation along one axis."""
    identity = torch.eye(patches, device=device)[None]
    return F.interpolate(identity, size=pixels, mode="linear", align_corners=False)[0].T.contiguous()


def _reach(weights: Tensor) -> NDArray[np.int64]:
    """Give first and last pixel (patches + 1, 2), the latter excluded, of each gap: before the first patch, between
    patches, after the last.

    Args:
        weights: (pixels, patches) weights by which patches contribute to pixels.
    """
    part = (weights > 0).cpu().numpy()
    patches = part.shape[1]
    first, last = part.argmax(1), patches - 1 - part[:, ::-1].argmax(1)
    gap = np.where(first == patches - 1, patches, last)  # of each pixel; it never falls
    return np.stack([np.searchsorted(gap, np.arange(patches + 1), side) for side in ("left", "right")], axis=1)


def _hulls(there: NDArray[np.bool_], reach: NDArray[np.int64]) -> list[tuple[int, int] | None]:
    """Find first and last pixel of the gaps in a mask (N, patches + 1), by their reach; None without pixels."""
    there = there & (reach[:, 0] < reach[:, 1])
    first = np.where(there, reach[:, 0], np.iinfo(np.int64).max).min(1)
    last = np.where(there, reach[:, 1], 0).max(1)
    return [(low, high) if low < high else None for low, high in zip(first.tolist(), last.tolist())]
