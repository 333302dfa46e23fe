"""Choosing a first mask anew: what a negative click does that says that a label is of something else.

The first mask of a small or thin structure may be that of something far larger around it. A click says so when it is
deeper inside the mask than the click that the label began with: most of it is wrong. To take that away piece by piece
would need dozens of clicks. So the mask of the first click's slice is made once more, by
stricter criteria and all that was clicked on so far on any slice, and is followed through the volume; the next such
click makes it stricter still. As any negative click, this only removes.

How the constants were found stands in docs/clicks.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.mask_propagation import MaskPropagator, Tracked
from protoseg.engine.clicks.slice_segmenter import Mask, StrictSegmenter
from protoseg.ops.components import connected_components

__all__ = ["FirstChoice"]

DEPTH = 1.0  # times as deep as the first click: a negative one deeper inside says that the label is of something else
MOST_KEPT = 0.5  # share of the label's voxels: a mask made anew that keeps more is no other structure


class FirstChoice:
    """Makes the first mask of a label of one volume once more.

    Args:
        slices: (S, C, H, W), normalised.
        tracker: propagation of structures through the slices.
        segmenter: maker of strict masks from clicks.
        spacing: spacing of slices, rows and columns in mm.
    """

    def __init__(
        self,
        slices: Tensor,
        tracker: MaskPropagator,
        segmenter: StrictSegmenter,
        spacing: tuple[float, float, float],
    ) -> None:
        self.slices, self.tracker, self.segmenter, self.spacing = slices, tracker, segmenter, spacing

    def again(self, mask: Mask, clicks: Sequence[Click], wrong: Sequence[Click], *, strictness: int) -> Tracked | None:
        """Find what of a label (S, H, W) is it indeed; None where clicks do not say so, or do not agree.

        Args:
            mask: (S, H, W) of the label so far.
            clicks: all on the label; the positive ones are those that it began with.
            wrong: negative ones of these, that were set last.
            strictness: strictness of the mask, 0 for the first one that is chosen anew.
        """
        first = [click for click in clicks if click.positive]
        if len({click.slice_index for click in first}) != 1 or not self._is_of_another(mask, first, wrong):
            return None
        index = first[0].slice_index
        strict = self.segmenter.strict_mask(self.slices, index, clicks, spacing=self.spacing, strictness=strictness)
        part = strict & mask[index]
        components = connected_components(part)
        part &= np.isin(components, [components[click.row, click.column] for click in first])
        tracked = self.tracker.follow({index: part})
        found = Tracked(tracked.mask & mask, tracked.certainty).held([index])
        if found.mask.sum() > MOST_KEPT * mask.sum():
            return None
        return found if all(found.mask[click[:3]] == click.positive for click in clicks) else None

    def _is_of_another(self, mask: Mask, first: Sequence[Click], wrong: Sequence[Click]) -> bool:
        """Tell whether a wrong click is deeper inside a label, on its slice and on the first, than the first clicks."""
        begun = self._depth(mask[first[0].slice_index])
        right = DEPTH * max(begun[click.row, click.column] for click in first)
        return any(
            min(begun[click.row, click.column], self._depth(mask[click.slice_index])[click.row, click.column]) > right
            for click in wrong
        )

    def _depth(self, mask: Mask) -> NDArray[np.float64]:
        """Way in mm from each pixel of a slice to the mask's border."""
        depth: NDArray[np.float64] = distance_transform_edt(np.pad(mask, 1), sampling=self.spacing[1:])[1:-1, 1:-1]
        return depth
