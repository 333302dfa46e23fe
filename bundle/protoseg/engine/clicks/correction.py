"""Corrections: what one click changes of a label that was found before.

A click complains about one place. What is missing (or too much) there is marked on its slice, and is then followed to
the slices beside it as a structure of its own. So a positive click only adds and a negative one only removes, all that
changes is connected to the click and within its reach, and slices that the user has clicked on before are left as they
are. A click is seldom at the rim of what is wrong, so its reach is little more than the way to the label's border.

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

from protoseg.engine.clicks.border import BorderMover, Place, Side
from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.mask_choice import most_central
from protoseg.engine.clicks.mask_propagation import MaskPropagator
from protoseg.engine.clicks.slice_segmenter import Mask, Point, SliceSegmenter, ever_stricter
from protoseg.ops.components import connected_components

__all__ = ["Complaint", "Corrector"]

LabelMap = NDArray[np.uint8]

SURE = 0.9  # share of the way from a click to the label's border that is as wrong as the click itself
HALFWAY = 0.5  # of the way to a click on the slice that says the opposite: beyond nothing is sure either
LARGEST_DISC = 15.0, 0.3  # mm, and widths of the label: where the border is farther, nothing is sure
REACH = 1.5  # times the way from a click to the label's border: how far around it a correction reaches
NEW_REACH = 0.5  # widths of the label, on a slice that has nothing of it
DEPTH, NEW_DEPTH = 1.0, 0.5  # times its width: how far it reaches through slices that have the label, or have nothing
BORDER_REACH, MOST_SLICES = 24.0, 5  # mm, and slices, through which a border is moved
STEEPEST = 0.7  # mm that the border of a correction moves from slice to slice, for each mm between them
SLOPE, MARGIN = 0.5, 3.0  # the same for a label's end, and mm
SMALLEST_PART = 10.0  # mm around a click that adds a part
UNBOUNDED = 0.25  # share of the label's area that is added around a click on what has no border


class Complaint(NamedTuple):
    """New clicks on one slice that are all on the wrong side of a label."""

    label: int  # its position in label maps
    slice_index: int
    positive: bool  # whether they are missing from the label
    points: Sequence[Point]
    positives: Sequence[Point]  # all on the slice that are on the label
    negatives: Sequence[Point]  # all on the slice that are not
    free: NDArray[np.bool_]  # by label, whether its pixels may become this one's
    along: bool = False  # whether the border may be wrong along its length: that of a label no click began


class Corrector:
    """Corrects labels of one volume.

    Args:
        slices: (S, C, H, W) normalized slices.
        tracker: propagator of structures through the slices.
        segmenter: segmenter of a slice from clicks on it.
        spacing: spacing of slices, rows and columns in mm.
    """

    def __init__(
        self, slices: Tensor, tracker: MaskPropagator, segmenter: SliceSegmenter, spacing: tuple[float, float, float]
    ) -> None:
        self.slices, self.tracker, self.segmenter, self.spacing = slices, tracker, segmenter, spacing
        self.mover = BorderMover(slices, tracker.features, tracker.matching, spacing=spacing[1:])

    def changes(self, label_map: LabelMap, complaint: Complaint, kept: Collection[int]) -> dict[int, Mask]:
        """Find the pixels (H, W) that change sides, by slice.

        Args:
            label_map: (S, H, W) label map found so far.
            complaint: new clicks on one slice, on the wrong side of a label.
            kept: indices of slices that stay as they are.
        """
        index, positive = complaint.slice_index, complaint.positive
        mask = label_map[index] == complaint.label
        reaches = self._reaches(label_map, mask, complaint)
        alike = self._on_slice(label_map, mask, complaint, reaches)
        here = _held(alike & self._within(index, complaint, reaches), complaint.points)
        known = {index: alike | mask if positive else alike}
        if not positive:  # what was clicked on as the label looks otherwise
            known |= {other: np.zeros_like(alike) for other in kept if (label_map[other] == complaint.label).any()}
        depth = min(max(reaches), (DEPTH if mask.any() else NEW_DEPTH) * self._width(alike))
        changed = {index: here}
        for way in (-1, 1):
            places = list(self._slices_beside(label_map, complaint, kept, way, depth))
            domain = {
                place: self._domain(label_map[place], complaint) & self._within(place, complaint, reaches)
                for place in places
            }
            label = {place: label_map[place] == complaint.label for place in places} if positive else {}
            step = STEEPEST * self.spacing[0]
            changed |= self.tracker.spread(here, known, places, domain, label, step=step)
        for place, moved in self._moved_border(label_map, mask, complaint, kept, here).items():
            changed[place] = changed[place] | moved if place in changed else moved
        return changed

    def is_about_border(self, mask: Mask, points: Sequence[Point]) -> bool:
        """Tell whether points beside a label's mask on a slice are about its border."""
        return bool(mask.any()) and self._way(mask, points, positive=True) <= self._largest_disc(mask)

    def _moved_border(
        self, label_map: LabelMap, mask: Mask, complaint: Complaint, kept: Collection[int], here: Mask
    ) -> dict[int, Mask]:
        """Move the border along its length where the clicks are near it; the label's mask on their slice is given.

        Args:
            label_map: (S, H, W) label map found so far.
            mask: (H, W) mask of the label on the clicks' slice.
            complaint: new clicks on one slice.
            kept: indices of slices that stay as they are.
            here: (H, W) mask of what changes around the clicks.
        """
        if not complaint.along or not mask.any():
            return {}
        way = self._way(mask, complaint.points, positive=complaint.positive)
        if way > self._largest_disc(mask):
            return {}
        reach = min(BORDER_REACH, MOST_SLICES * self.spacing[0])
        side = Side(complaint.slice_index, complaint.points, complaint.positive, way, here)
        own = self._place(complaint.slice_index, label_map, complaint)
        places = [[own._replace(domain=own.domain & self._nearer(complaint))]]
        for step in (-1, 1):
            beside = self._slices_beside(label_map, complaint, kept, step, reach)
            places.append([self._place(index, label_map, complaint) for index in beside])
        return self.mover.moved(side, places)

    def _place(self, index: int, label_map: LabelMap, complaint: Complaint) -> Place:
        """Tell where the label is on a slice, and what may change."""
        return Place(index, label_map[index] == complaint.label, self._domain(label_map[index], complaint))

    def _nearer(self, complaint: Complaint) -> Mask:
        """Mask the pixels of the slice that are no nearer to what says the opposite than to the clicks."""
        shape, spacing = self.slices.shape[-2:], self.spacing[1:]
        mine, others = (
            np.min([_distance(shape, point, spacing) for point in points], axis=0, initial=np.inf)
            for points in (complaint.points, self._contrary(complaint))
        )
        return mine <= others

    def _way(self, mask: Mask, points: Sequence[Point], *, positive: bool) -> float:
        """Measure the way in mm from the deepest of some points, on the wrong side of a mask, to its border."""
        depth = distance_transform_edt(mask != positive, sampling=self.spacing[1:])
        return max(float(depth[point]) for point in points)

    def _largest_disc(self, mask: Mask) -> float:
        """Tell how far in mm from the border of a label's mask a click is about the border."""
        return max(LARGEST_DISC[0], LARGEST_DISC[1] * self._width(mask))

    def _reaches(self, label_map: LabelMap, mask: Mask, complaint: Complaint) -> list[float]:
        """Tell how far in mm around each click something may change; the label's mask on its slice is given."""
        size = self._largest_width(label_map, complaint)
        if not mask.any():
            return [NEW_REACH * size] * len(complaint.points)
        way = distance_transform_edt(mask != complaint.positive, sampling=self.spacing[1:])
        return [min(REACH * float(way[point]), max(SMALLEST_PART, size)) for point in complaint.points]

    def _within(self, index: int, complaint: Complaint, reaches: Sequence[float]) -> Mask:
        """Mask the pixels of a slice within reach of the clicks."""
        away = (index - complaint.slice_index) * self.spacing[0]
        shape, spacing = self.slices.shape[-2:], self.spacing[1:]
        distances = [np.hypot(_distance(shape, point, spacing), away) for point in complaint.points]
        return np.any([distance <= reach for distance, reach in zip(distances, reaches)], axis=0)

    def _slices_beside(
        self, label_map: LabelMap, complaint: Complaint, kept: Collection[int], way: int, reach: float
    ) -> Iterator[int]:
        """Yield the slices beside a complaint that may change, the nearest first; `reach` is in mm."""
        for count in range(1, 1 + math.ceil(reach / self.spacing[0])):
            place = complaint.slice_index + way * count
            if not 0 <= place < len(label_map) or place in kept:
                return
            yield place

    def _domain(self, labels: LabelMap, complaint: Complaint) -> Mask:
        """Mask the pixels of a slice that may change."""
        return complaint.free[labels] if complaint.positive else labels == complaint.label

    def _on_slice(self, label_map: LabelMap, mask: Mask, complaint: Complaint, reaches: Sequence[float]) -> Mask:
        """Pixels of the slice that was clicked on that are wrong as the clicks are; the label's mask there is given.

        Parts are whole, also beyond the clicks' reach: what is cut off would tell the slices beside a wrong look.
        """
        domain = self._domain(label_map[complaint.slice_index], complaint)
        size = max(SMALLEST_PART, self._largest_width(label_map, complaint))
        if not mask.any():
            place = self._likely_place(label_map == complaint.label, complaint, size)
            return next(self._parts(complaint, complaint.points, place & domain))
        spacing = self.spacing[1:]
        depth = distance_transform_edt(mask != complaint.positive, sampling=spacing)
        largest = self._largest_disc(mask)
        marked = np.zeros_like(mask)
        for point, reach in zip(complaint.points, reaches):
            distance = _distance(mask.shape, point, spacing)
            contrary = min((float(distance[other]) for other in self._contrary(complaint)), default=math.inf)
            sure = min(SURE * float(depth[point]), HALFWAY * contrary)
            if sure > largest:
                part = self._whole_part(label_map, complaint, point, distance, size)
            else:
                part = (self._wrong(mask, complaint) & (distance <= reach)) | (distance < sure)
            marked |= _held(part & domain, [point])
        return marked

    def _wrong(self, mask: Mask, complaint: Complaint) -> Mask:
        """Find the wrong part of a label's mask on a slice, by all clicks there."""
        corrected = self.segmenter(
            self.slices,
            complaint.slice_index,
            complaint.positives,
            complaint.negatives,
            spacing=self.spacing[1:],
            prior=mask,
        )
        return (corrected != mask) & (corrected == complaint.positive)

    def _parts(self, complaint: Complaint, points: Sequence[Point], possible: Mask) -> Iterator[Mask]:
        """Find the structure that some points are on, far from the label's border, by ever stricter criteria."""
        index, sides = complaint.slice_index, ((True, points), (False, self._contrary(complaint)))
        clicks = [Click(index, *point, "", positive) for positive, some in sides for point in some]
        masks = ever_stricter(self.segmenter, self.slices, index, clicks, self.spacing)
        return (_held(mask & possible, points) for mask in masks)

    def _whole_part(
        self, label_map: LabelMap, complaint: Complaint, point: Point, distance: NDArray[np.float64], size: float
    ) -> Mask:
        """Find the structure that a point far from the label's border is on, no larger than the label if it is missing.

        Args:
            label_map: (S, H, W) label map found so far.
            complaint: new clicks on one slice.
            point: one of them.
            distance: (H, W) distances from it in mm.
            size: largest distance.
        """
        possible = self._domain(label_map[complaint.slice_index], complaint) & (distance <= size)
        parts = list(self._parts(complaint, [point], possible))
        area = max(np.count_nonzero(one == complaint.label) for one in label_map)
        most = max(area, math.pi * SMALLEST_PART**2 / (self.spacing[1] * self.spacing[2]))
        fitting = [part for part in parts if not complaint.positive or np.count_nonzero(part) <= most]
        if fitting:
            return most_central(fitting, point, self.spacing[1:])
        return parts[-1] & (distance <= np.sort(distance[parts[-1]])[int(UNBOUNDED * most)])

    def _contrary(self, complaint: Complaint) -> Sequence[Point]:
        """Points of the slice that say the opposite of what a complaint says."""
        return complaint.negatives if complaint.positive else complaint.positives

    def _likely_place(self, mask: Mask, complaint: Complaint, size: float) -> Mask:
        """Mask where a label (S, H, W) may be on a slice without it: below or above the nearest slice that has it.

        Clicks that are not there are about another part, of `size` mm at most.
        """
        there = np.flatnonzero([one.any() for one in mask])
        nearest = int(there[np.abs(there - complaint.slice_index).argmin()])
        away = abs(nearest - complaint.slice_index) * self.spacing[0]
        footprint = distance_transform_edt(~mask[nearest], sampling=self.spacing[1:]) <= SLOPE * away + MARGIN
        if all(footprint[point] for point in complaint.points):
            return footprint
        return self._within(complaint.slice_index, complaint, [size] * len(complaint.points))

    def _largest_width(self, label_map: LabelMap, complaint: Complaint) -> float:
        """Measure the width in mm of the label on the slice where it is widest."""
        return max(self._width(one == complaint.label) for one in label_map)

    def _width(self, mask: Mask) -> float:
        """Give the edge in mm of a square of the same area."""
        return math.sqrt(np.count_nonzero(mask) * self.spacing[1] * self.spacing[2])


def _held(mask: Mask, points: Sequence[Point]) -> Mask:
    """Give points, and the components of a mask that hold them."""
    rows, columns = np.transpose(points)
    mask = mask.copy()
    mask[rows, columns] = True
    components = connected_components(mask)
    return np.isin(components, np.unique(components[rows, columns]))


def _distance(shape: tuple[int, ...], point: Point, spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Compute the distance (H, W) of every pixel to a point in mm."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot((rows - point[0]) * spacing[0], (columns - point[1]) * spacing[1])
