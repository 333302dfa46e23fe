"""First masks: what a label begins with, and what a negative click does that says that it is of something else.

The first mask of a small or thin structure may be that of something far larger around it. One that takes most of
another label that the user has clicked on is, and so is one that is far larger than the label on the support: a
stricter one is made. A negative click says so when it is deeper inside the mask than the click that the label began
with: most of it is wrong. To take that away piece by piece would need dozens of clicks. So the mask of the first
click's slice is made once more, by stricter criteria and all that was clicked on so far on any slice, and is followed
through the volume; the next such click makes it stricter still. As any negative click, this only removes.

How the constants were found stands in docs/clicks.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.mask_propagation import MaskPropagator, Tracked
from protoseg.engine.clicks.slice_segmenter import Mask, SliceSegmenter, StrictSegmenter, ever_stricter
from protoseg.ops.components import connected_components

__all__ = ["FirstChoice"]

DEPTH = 1.0  # times as deep as the first click: a negative one deeper inside says that the label is of something else
MOST_TAKEN = 2 / 3  # share of another label's voxels that a label may take that begins
MOST_KEPT = 0.5  # share of the label's voxels: a mask made anew that keeps more is no other structure
LEAST_PIXELS = 9  # of a mask that is more than the click itself


class FirstChoice:
    """Chooses the first masks of the labels of one volume.

    Args:
        slices: (S, C, H, W), normalized.
        tracker: propagation of structures through the slices.
        segmenter: maker of masks from clicks.
        spacing: spacing of slices, rows and columns in mm.
    """

    def __init__(
        self,
        slices: Tensor,
        tracker: MaskPropagator,
        segmenter: SliceSegmenter,
        spacing: tuple[float, float, float],
    ) -> None:
        self.slices, self.tracker, self.segmenter, self.spacing = slices, tracker, segmenter, spacing

    def first(
        self,
        index: int,
        clicks: Sequence[Click],
        label_map: NDArray[np.uint8],
        others: Collection[int] = (),
        *,
        largest: float = 1.0,
    ) -> Tracked | None:
        """Find a label (S, H, W) by its first clicks; None where all that is found is of something else.

        Args:
            index: index of the slice with the positive ones.
            clicks: clicks on the label.
            label_map: (S, H, W) label map found so far.
            others: positions in it of labels of which it must not take most.
            largest: largest share of the frame that the label's mask may have on that slice.
        """
        for mask in ever_stricter(self.segmenter, self.slices, index, clicks, self.spacing):
            if np.count_nonzero(mask) > largest * max(mask.shape) ** 2:
                continue
            tracked = self.tracker.follow({index: mask}).held([index])
            taken = np.bincount(label_map[tracked.mask], minlength=256)
            if not any(taken[one] > MOST_TAKEN * np.count_nonzero(label_map == one) for one in others):
                return tracked
        return None

    def again(self, mask: Mask, clicks: Sequence[Click], wrong: Sequence[Click], *, strictness: int) -> Tracked | None:
        """Find what of a label (S, H, W) is it indeed; None where clicks do not say so, or do not agree.

        Args:
            mask: (S, H, W) of the label so far.
            clicks: all on the label; the positive ones are those that it began with.
            wrong: negative ones of these, that were set last.
            strictness: strictness of the mask, 0 for the first one that is chosen anew.
        """
        first = [click for click in clicks if click.positive]
        if not isinstance(self.segmenter, StrictSegmenter):
            return None
        if len({click.slice_index for click in first}) != 1 or not self._is_of_another(mask, first, wrong):
            return None
        index = first[0].slice_index
        strict = self.segmenter.strict_mask(self.slices, index, clicks, spacing=self.spacing, strictness=strictness)
        part = strict & mask[index]
        components = connected_components(part)
        part &= np.isin(components, [components[click.row, click.column] for click in first])
        if np.count_nonzero(part) < LEAST_PIXELS:
            return None
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
