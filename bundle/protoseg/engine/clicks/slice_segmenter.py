"""What makes the mask of one slice from clicks on it."""

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
        """Mask (H, W) of what was clicked on.

        Args:
            slices: (S, C, H, W), the whole volume, normalised.
            index: of the slice.
            positive: (row, column) of points on the label.
            negative: (row, column) of points beside it.
            spacing: of rows and columns in mm.
            prior: (H, W), what was thought to be the label before these clicks; empty when nothing was.
        """
        ...


class FeatureSliceSegmenter:
    """Compares the slice with its clicked points by the network's features.

    Args:
        encoder: of slices.
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
        """See `SliceSegmenter`."""
        features = self.encoder.encode_slices(slices, [index])[0]
        image = slices[index].float().cpu().numpy()
        return slice_mask(image, features, positive, negative, spacing=spacing, prior=prior)
