"""Corrections: what one click changes of a label that was found before.

A click complains about one place. What is missing (or too much) there is marked on its slice, and is then followed to
the slices beside it as a structure of its own. So a positive click only adds and a negative one only removes, all that
changes is connected to the click, and slices that the user has clicked on before are left as they are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from protoseg.engine.slice_segmenter import Mask, Point, SliceSegmenter
from protoseg.engine.slice_tracking import SliceTracker
from protoseg.maths.components import connected_components

__all__ = ["Corrector"]

SURE = 0.9  # share of the way from a click to the label's border that is as wrong as the click itself
LARGEST_DISC = 15.0  # mm; a click speaks no farther without looking at the image
SPREAD = 3.0  # times the way from the click to the label's border: how far a correction reaches on its slice
NEW_DEPTH = 0.5
DEPTH = 1.0  # times its width on the slice: how far a correction reaches through the slices
SLOPE_OF_CHANGE = 0.7
MARGIN, SMALLEST_PART = 3.0, 10.0  # mm
SLOPE = 0.5  # mm that the border of a label moves at most from slice to slice, for each mm between them
LEAST_SPREAD = 3.0  # mm


class Corrector:
    """Corrects labels of one volume.

    Args:
        slices: (S, C, H, W), normalised.
        tracker: of structures through the slices.
        segmenter: from clicks on a slice to its mask.
        spacing: of slices, rows and columns in mm.
    """

    def __init__(
        self, slices: Tensor, tracker: SliceTracker, segmenter: SliceSegmenter, spacing: tuple[float, float, float]
    ) -> None:
        self.slices, self.tracker, self.segmenter, self.spacing = slices, tracker, segmenter, spacing

    def change(
        self,
        mask: Mask,
        index: int,
        complaints: Sequence[Point],
        *,
        positive: bool,
        positives: Sequence[Point],
        negatives: Sequence[Point],
        kept: Collection[int],
        domain: Mask,
    ) -> Mask:
        """Voxels (S, H, W) that change sides.

        Args:
            mask: (S, H, W), the label so far.
            index: of the slice that was clicked on.
            complaints: (row, column) of new clicks on it, on the wrong side of the label.
            positive: whether they are missing from the label.
            positives: all points on the slice that are on the label.
            negatives: all points on the slice that are not.
            kept: slices that stay as they are.
            domain: (S, H, W), what may change.
        """
        changed = np.zeros_like(mask)
        here = self._on_slice(mask, index, complaints, positive, positives, negatives, domain[index])
        changed[index] = here
        depth = DEPTH if mask[index].any() else NEW_DEPTH
        reach = math.ceil(depth * math.sqrt(here.sum() * self.spacing[1] * self.spacing[2]) / self.spacing[0])
        known = {index: here | mask[index]} if positive else {index: here}
        if not positive:
            known |= {other: np.zeros_like(here) for other in kept if mask[other].any()}
        for step in (-1, 1):
            stop = index
            while (
                0 <= stop + step < len(mask)
                and stop + step not in kept
                and abs(stop + step - index) <= reach
                and domain[stop + step].any()
            ):
                stop += step
            if stop != index:
                label = mask if positive else None
                step_mm = SLOPE_OF_CHANGE * self.spacing[0]
                spread = self.tracker.spread(index, stop, here, known, domain, step=step_mm, label=label)
                for place, found in spread.items():
                    changed[place] = found
        return changed

    def _on_slice(
        self,
        mask: Mask,
        index: int,
        complaints: Sequence[Point],
        positive: bool,
        positives: Sequence[Point],
        negatives: Sequence[Point],
        domain: Mask,
    ) -> Mask:
        spacing = self.spacing[1:]
        volume, mask = mask, mask[index]
        corrected = self.segmenter(self.slices, index, positives, negatives, spacing=spacing, prior=mask)
        wrong = (corrected != mask) & (corrected == positive) & domain
        if positive and not mask.any():
            wrong &= self._likely_place(volume, index, complaints)
        depth = distance_transform_edt(mask != positive, sampling=spacing) if mask.any() else None
        marked = np.zeros_like(mask)
        for point in complaints:
            distance = _distance(mask.shape, point, spacing)
            largest = max(LARGEST_DISC, .3*math.sqrt(mask.sum()*spacing[0]*spacing[1]))
            if depth is None:
                near, disc = np.ones_like(mask), np.zeros_like(mask)
            else:
                near = distance <= max(SPREAD * depth[point], LEAST_SPREAD)
                disc = distance < min(SURE * depth[point], largest)
            part = (near & wrong) | (disc & domain)
            part[point] = True
            components = connected_components(part)
            marked |= components == components[point]
        return marked


    def _likely_place(self, volume: Mask, index: int, points: Sequence[Point]) -> Mask:
        """Where a label (S, H, W) may be on a slice that has nothing of it: below or above the nearest slice that has.

        Clicks that are not there are about another part, which is no larger than what is known.
        """
        areas = volume.sum((1, 2))
        there = np.flatnonzero(areas)
        nearest = int(there[np.abs(there - index).argmin()])
        away = abs(nearest - index) * self.spacing[0]
        distance = distance_transform_edt(~volume[nearest], sampling=self.spacing[1:])
        footprint = distance <= SLOPE * away + MARGIN
        if all(footprint[point] for point in points):
            return footprint
        size = math.sqrt(int(areas.max()) * self.spacing[1] * self.spacing[2])
        near = [_distance(volume.shape[1:], point, self.spacing[1:]) <= max(size, SMALLEST_PART) for point in points]
        return np.any(near, axis=0)


def _distance(shape: tuple[int, ...], point: Point, spacing: tuple[float, float]) -> NDArray[np.float64]:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot((rows - point[0]) * spacing[0], (columns - point[1]) * spacing[1])
