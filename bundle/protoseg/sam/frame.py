"""The place of a slice's pixels in SAM's square input, and in the maps of a quarter of its resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["SamFrame", "pad_to_square"]

MAP_STRIDE = 4  # pixels of the input to one of a map


@dataclass(frozen=True)
class SamFrame:
    """A slice of H x W pixels as SAM or MedSAM sees it.

    Args:
        height: height H of the slice in pixels.
        width: width W of the slice in pixels.
        size: edge of the input in pixels.
        keep_aspect: True to scale the longer side to the input's and pad after the end, as SAM; False to scale each
            side, as MedSAM.
    """

    height: int
    width: int
    size: int = 1024
    keep_aspect: bool = True

    @property
    def map_size(self) -> int:
        """Edge of a map in pixels."""
        return self.size // MAP_STRIDE

    @property
    def fitted(self) -> tuple[int, int]:
        """Rows and columns of the input that the slice fills."""
        if not self.keep_aspect:
            return self.size, self.size
        scale = self.size / max(self.height, self.width)
        return int(self.height * scale + 0.5), int(self.width * scale + 0.5)

    def fit_images(self, images: Tensor) -> Tensor:
        """Resize slices (B, 3, H, W), uint8, to the part of the input that they fill, as SAM or MedSAM does."""
        mode = "bilinear" if self.keep_aspect else "bicubic"
        return F.interpolate(images, self.fitted, mode=mode, align_corners=False, antialias=True)

    def fit_points(self, points: NDArray[Any]) -> Tensor:
        """Convert points (N, 2), x and y, from pixels of the slice to pixels of the input; float32."""
        rows, columns = self.fitted
        return torch.from_numpy(points * np.array([columns / self.width, rows / self.height])).float()

    def fit_maps(self, maps: Tensor) -> Tensor:
        """Resize maps (N, H, W), float, to the part of SAM's maps that the slice fills."""
        rows, columns = (max(1, round(side / MAP_STRIDE)) for side in self.fitted)
        return F.interpolate(maps[None], (rows, columns), mode="bilinear", align_corners=False, antialias=True)[0]

    def unfit_maps(self, maps: Tensor) -> Tensor:
        """Resample SAM's maps (N, size / 4, size / 4) on the pixels of the slice: (N, H, W)."""
        maps = maps[None]
        if self.keep_aspect:  # in two steps, as segment-anything does
            rows, columns = self.fitted
            maps = _resize(maps, (self.size, self.size))[..., :rows, :columns]
        return _resize(maps, (self.height, self.width))[0]


def pad_to_square(maps: Tensor, edge: int, value: float = 0.0) -> Tensor:
    """Pad maps (..., h, w) to (..., edge, edge) after the end of their rows and columns."""
    return F.pad(maps, (0, edge - maps.shape[-1], 0, edge - maps.shape[-2]), value=value)


def _resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)
