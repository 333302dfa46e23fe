"""Segmenters of one slice from clicks on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.click_likeness import ClickedSlice
from protoseg.engine.clicks.slice_mask import slice_mask, strict_mask
from protoseg.engine.slice_encoder import SliceEncoder

__all__ = ["FeatureSliceSegmenter", "Mask", "Point", "SliceSegmenter", "StrictSegmenter", "ever_stricter"]

STRICTEST = 1  # strictness of the last of these masks

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


@runtime_checkable
class StrictSegmenter(SliceSegmenter, Protocol):
    """What can also make a mask that holds nothing but what is much like the clicks."""

    def strict_mask(
        self,
        slices: Tensor,
        index: int,
        clicks: Sequence[Click],
        *,
        spacing: tuple[float, float, float],
        strictness: int,
    ) -> Mask:
        """Make the mask (H, W) of a label on a slice as if there were none yet.

        Args:
            slices: (S, C, H, W), the whole volume, normalized.
            index: index of the slice.
            clicks: clicks on the label, on any slices; at least one is on the slice and positive.
            spacing: spacing of slices, rows and columns in mm.
            strictness: 0, or more for a stricter one.
        """
        ...


def ever_stricter(
    segmenter: SliceSegmenter,
    slices: Tensor,
    index: int,
    clicks: Sequence[Click],
    spacing: tuple[float, float, float],
) -> Iterator[Mask]:
    """Make masks (H, W) of a structure that nothing is known of yet: the most fitting one, then ever stricter ones.

    Args:
        segmenter: maker of the masks.
        slices: (S, C, H, W) normalized slices of the whole volume.
        index: index of the slice.
        clicks: clicks on the structure, on any slices; at least one is on the slice and positive.
        spacing: spacing of slices, rows and columns in mm.
    """
    here = [click for click in clicks if click.slice_index == index]
    positive, negative = (
        [(click.row, click.column) for click in here if click.positive == side] for side in (True, False)
    )
    nothing = np.zeros(slices.shape[-2:], bool)
    yield segmenter(slices, index, positive, negative, spacing=spacing[1:], prior=nothing)
    if isinstance(segmenter, StrictSegmenter):
        for strictness in range(STRICTEST + 1):
            yield segmenter.strict_mask(slices, index, clicks, spacing=spacing, strictness=strictness)


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

    @torch.no_grad()
    def strict_mask(
        self,
        slices: Tensor,
        index: int,
        clicks: Sequence[Click],
        *,
        spacing: tuple[float, float, float],
        strictness: int,
    ) -> Mask:
        """See `StrictSegmenter`."""
        places = [index, *sorted({click.slice_index for click in clicks} - {index})]
        clicked = []
        for place, features in zip(places, self.encoder.encode_slices(slices, places)):
            points: dict[bool, list[Point]] = {True: [], False: []}
            for click in clicks:
                if click.slice_index == place:
                    points[click.positive].append((click.row, click.column))
            image = slices[place].float().cpu().numpy()
            away = abs(place - index) * spacing[0]
            clicked.append(ClickedSlice(image, features, points[True], points[False], away))
        return strict_mask(clicked[0], clicked[1:], spacing=spacing[1:], strictness=strictness)
