"""Segmenters of one slice from clicks on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.clicks.slice_mask import slice_mask
from protoseg.engine.slice_encoder import SliceEncoder

__all__ = ["FeatureSliceSegmenter", "Mask", "Point", "SliceSegmenter"]

Mask = NDArray[np.bool_]
Point = tuple[int, int]


class SliceSegmenter(Protocol):
    """From clicks on a slice to a mask of that slice: by the engine's features, or by SAM."""

    def __call__(
        self,
        slices: Tensor,
        index: int,
        positive: Sequence[Point],
        negative: Sequence[Point],
        *,
        spacing: tuple[float, float],
        prior: Mask,
    ) -> Mask:
        """Mask (H, W) the clicked structure.

        Args:
            slices: (S, C, H, W) normalized slices of the whole volume.
            index: index of the slice.
            positive: (row, column) of points on the label.
            negative: (row, column) of points beside it.
            spacing: spacing of rows and columns in mm.
            prior: (H, W) mask before these clicks, empty if there was none.
        """
        ...


class FeatureSliceSegmenter:
    """Compares the slice with its clicked points by the network's features.

    Args:
        encoder: encoder of slices.
    """

    def __init__(self, encoder: SliceEncoder) -> None:
        self.encoder = encoder

    @torch.no_grad()
    def __call__(
        self,
        slices: Tensor,
        index: int,
        positive: Sequence[Point],
        negative: Sequence[Point],
        *,
        spacing: tuple[float, float],
        prior: Mask,
    ) -> Mask:
        """Mask (H, W) the clicked structure, see `SliceSegmenter`."""
        features = self.encoder.encode_slices(slices, [index])[0]
        image = slices[index].float().cpu().numpy()
        return slice_mask(image, features, positive, negative, spacing=spacing, prior=prior)
