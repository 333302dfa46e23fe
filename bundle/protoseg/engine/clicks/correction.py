"""Corrections: what one click changes of a label that was found before.

A click complains about one place. What is missing (or too much) there is marked on its slice, and is then followed to
the slices beside it as a structure of its own. So a positive click only adds and a negative one only removes, all that
changes is connected to the click, and slices that the user has clicked on before are left as they are.

How the constants were found stands in docs/clicks.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from protoseg.engine.clicks.mask_propagation import MaskPropagator
from protoseg.engine.clicks.slice_segmenter import Mask, Point, SliceSegmenter
from protoseg.ops.components import connected_components

__all__ = ["Complaint", "Corrector"]

LabelMap = NDArray[np.uint8]

SURE = 0.9  # share of the way from a click to the label's border that is as wrong as the click itself
LARGEST_DISC = 15.0, 0.3  # mm, and widths of the label: where the border is farther, nothing is sure
SPREAD = 3.0  # times the way from a click to the label's border: how far a correction reaches on its slice
LEAST_SPREAD = 3.0  # mm
DEPTH, NEW_DEPTH = 1.0, 0.5  # times its width: how far it reaches through slices that have the label, or have nothing
STEEPEST = 0.7  # mm that the border of a correction moves from slice to slice, for each mm between them
SLOPE, MARGIN = 0.5, 3.0  # the same for a label's end, and mm
SMALLEST_PART = 10.0  # mm around a click that adds a part


class Complaint(NamedTuple):
    """New clicks on one slice that are all on the wrong side of a label."""

    label: int  # its position in label maps
    slice_index: int
    positive: bool  # whether they are missing from the label
    points: Sequence[Point]
    positives: Sequence[Point]  # all on the slice that are on the label
    negatives: Sequence[Point]  # all on the slice that are not
    free: NDArray[np.bool_]  # by label, whether its pixels may become this one's


class Corrector:
    """Corrects labels of one volume.

    Args:
        slices: (S, C, H, W), normalised.
        tracker: of structures through the slices.
        segmenter: from clicks on a slice to its mask.
        spacing: of slices, rows and columns in mm.
    """

    def __init__(
        self, slices: Tensor, tracker: MaskPropagator, segmenter: SliceSegmenter, spacing: tuple[float, float, float]
    ) -> None:
        self.slices, self.tracker, self.segmenter, self.spacing = slices, tracker, segmenter, spacing

    def changes(self, label_map: LabelMap, complaint: Complaint, kept: Collection[int]) -> dict[int, Mask]:
        """Find the pixels (H, W) that change sides, by slice.

        Args:
            label_map: (S, H, W), what was found so far.
            complaint: what is wrong.
            kept: slices that stay as they are.
        """
        index, positive = complaint.slice_index, complaint.positive
        mask = label_map[index] == complaint.label
        here = self._on_slice(label_map, mask, complaint)
        known = {index: here | mask if positive else here}
        if not positive:  # what was clicked on as the label looks otherwise
            known |= {other: np.zeros_like(here) for other in kept if (label_map[other] == complaint.label).any()}
        depth = DEPTH if mask.any() else NEW_DEPTH
        changed = {index: here}
        for way in (-1, 1):
            places = list(self._slices_beside(label_map, complaint, kept, way, depth * self._width(here)))
            domain = {place: self._domain(label_map[place], complaint) for place in places}
            label = {place: label_map[place] == complaint.label for place in places} if positive else {}
            step = STEEPEST * self.spacing[0]
            changed |= self.tracker.spread(here, known, places, domain, label, step=step)
        return changed

    def _slices_beside(
        self, label_map: LabelMap, complaint: Complaint, kept: Collection[int], way: int, reach: float
    ) -> Iterator[int]:
        """Slices beside a complaint that may change, the nearest first; `reach` is in mm."""
        for count in range(1, 1 + math.ceil(reach / self.spacing[0])):
            place = complaint.slice_index + way * count
            if not 0 <= place < len(label_map) or place in kept:
                return
            yield place

    def _domain(self, labels: LabelMap, complaint: Complaint) -> Mask:
        """Pixels of a slice that may change."""
        return complaint.free[labels] if complaint.positive else labels == complaint.label

    def _on_slice(self, label_map: LabelMap, mask: Mask, complaint: Complaint) -> Mask:
        """Pixels that change on the slice that was clicked on; the label's mask there is given."""
        domain = self._domain(label_map[complaint.slice_index], complaint)
        if not mask.any():
            place = self._likely_place(label_map == complaint.label, complaint)
            return _held(self._part(complaint, complaint.points) & place & domain, complaint.points)
        spacing = self.spacing[1:]
        depth = distance_transform_edt(mask != complaint.positive, sampling=spacing)
        largest = max(LARGEST_DISC[0], LARGEST_DISC[1] * self._width(mask))
        marked = np.zeros_like(mask)
        for point in complaint.points:
            distance = _distance(mask.shape, point, spacing)
            if SURE * depth[point] > largest:
                part = self._part(complaint, [point]) & (distance <= self._part_size(label_map, complaint))
            else:
                near = distance <= max(SPREAD * depth[point], LEAST_SPREAD)
                part = (self._wrong(mask, complaint) & near) | (distance < SURE * depth[point])
            marked |= _held(part & domain, [point])
        return marked

    def _wrong(self, mask: Mask, complaint: Complaint) -> Mask:
        """What is wrong with a label's mask on a slice, by all clicks there."""
        corrected = self.segmenter(
            self.slices,
            complaint.slice_index,
            complaint.positives,
            complaint.negatives,
            spacing=self.spacing[1:],
            prior=mask,
        )
        return (corrected != mask) & (corrected == complaint.positive)

    def _part(self, complaint: Complaint, points: Sequence[Point]) -> Mask:
        """Structure that some points are on, far from the label's border: it is missing, or too much, as a whole."""
        others = complaint.negatives if complaint.positive else complaint.positives
        nothing = np.zeros(self.slices.shape[-2:], bool)
        return self.segmenter(
            self.slices, complaint.slice_index, points, others, spacing=self.spacing[1:], prior=nothing
        )

    def _likely_place(self, mask: Mask, complaint: Complaint) -> Mask:
        """Where a label (S, H, W) may be on a slice that has nothing of it: below or above the nearest slice that has.

        Clicks that are not there are about another part.
        """
        there = np.flatnonzero([one.any() for one in mask])
        nearest = int(there[np.abs(there - complaint.slice_index).argmin()])
        away = abs(nearest - complaint.slice_index) * self.spacing[0]
        footprint = distance_transform_edt(~mask[nearest], sampling=self.spacing[1:]) <= SLOPE * away + MARGIN
        if all(footprint[point] for point in complaint.points):
            return footprint
        size = max(SMALLEST_PART, max(self._width(one) for one in mask))
        near = [_distance(footprint.shape, point, self.spacing[1:]) <= size for point in complaint.points]
        return np.any(near, axis=0)

    def _part_size(self, label_map: LabelMap, complaint: Complaint) -> float:
        """How large in mm a part may be that a click adds or removes: as large as what is known of the label."""
        return max(SMALLEST_PART, max(self._width(one == complaint.label) for one in label_map))

    def _width(self, mask: Mask) -> float:
        """Edge in mm of a square of the same area."""
        return math.sqrt(np.count_nonzero(mask) * self.spacing[1] * self.spacing[2])


def _held(mask: Mask, points: Sequence[Point]) -> Mask:
    """Points, and the components of a mask that hold them."""
    rows, columns = np.transpose(points)
    mask = mask.copy()
    mask[rows, columns] = True
    components = connected_components(mask)
    return np.isin(components, np.unique(components[rows, columns]))


def _distance(shape: tuple[int, ...], point: Point, spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Distance (H, W) of every pixel to a point in mm."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot((rows - point[0]) * spacing[0], (columns - point[1]) * spacing[1])
