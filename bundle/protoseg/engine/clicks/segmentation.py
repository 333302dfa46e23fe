"""From clicks to whole organs.

The first click on a label that no support tells of gives a mask of its slice, which is followed through the volume;
what other scans tell of is segmented by them. Every further click is a correction: it changes what it is about, and
nothing else (see `correction`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.clicks.box import Box, BoxMask, box_mask, check_boxes
from protoseg.engine.clicks.click import Click, check_clicks
from protoseg.engine.clicks.correction import Complaint, Corrector
from protoseg.engine.clicks.first_choice import FirstChoice
from protoseg.engine.clicks.mask_propagation import MaskPropagator
from protoseg.engine.clicks.record import ClickRecord
from protoseg.engine.clicks.slice_segmenter import FeatureSliceSegmenter, SliceSegmenter
from protoseg.engine.one_shot import OneShotSettings, segment, slice_spacing
from protoseg.engine.prediction import LabelFinding, Prediction
from protoseg.engine.refiners.refiner import Refiner
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SliceOrigin, SupportSet
from protoseg.errors import InputError
from protoseg.labels import LabelSet
from protoseg.ops.slices import axial_slices

__all__ = ["ClickSegmentation"]

LabelMap = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LARGEST = 2.0  # times its largest area on the support: the most that a label begins with, on a slice
NEXT_TO_NOTHING = 0.1  # share of what a click begins: a label of which the support found less was missed


class ClickSegmentation:
    """A volume that a user clicks on, and what the clicks have led to so far.

    The same clicks in the same order give the same result, whether they come one by one or together. Clicks that are
    taken back are undone without computing anything again. Not safe between threads.

    Args:
        volume: (C, X, Y, Z) normalized volume, slices along Z; a `Placed` one tells the spacing in mm.
        encoder: encoder of slices.
        labels: labels that may be clicked on.
        scan: name that identifies the volume; a support slice is known by scan and index.
        support: slices of other scans, or of this one, that were labelled before; their labels are found, too.
        settings: settings of the segmentation by the support.
        refiner: refiner of the borders of labels found by the support.
        slice_segmenter: segmenter that makes masks from clicks; by default the one that uses the network's features.
        accepted: (S, H, W) positions of labels that were accepted before, which clicks correct; the support is then not
            used. None if there are none.
    """

    def __init__(
        self,
        volume: Tensor,
        encoder: SliceEncoder,
        *,
        labels: LabelSet,
        scan: str,
        support: SupportSet | None = None,
        settings: OneShotSettings | None = None,
        refiner: Refiner | None = None,
        slice_segmenter: SliceSegmenter | None = None,
        accepted: LabelMap | None = None,
    ) -> None:
        support = support if accepted is None else None
        others = {} if support is None else support.labels
        self.labels = LabelSet({**labels, **others, **labels})
        self.volume, self.encoder, self.scan = volume, encoder, scan
        self.support, self.settings, self.refiner = support, settings or OneShotSettings(), refiner
        self.slice_segmenter = slice_segmenter or FeatureSliceSegmenter(encoder)
        self.slices = axial_slices(volume).contiguous()  # each is read for itself, at every click
        self.spacing = slice_spacing(volume)
        self.accepted = accepted
        self._clicks = ClickRecord()
        self._boxes: dict[Box, BoxMask] = {}

    def segment(self, clicks: Sequence[Click], boxes: Sequence[Box] = ()) -> Prediction:
        """Segment the volume by all clicks so far, in the order in which they were set, and by boxes.

        A box around a label that is nowhere yet begins it; one around another corrects it, as clicks on the structure
        in the box. Of what is new, boxes come first. Every positive click lies in its label in the result, and no
        negative one does; where two contradict each other, the later one counts.

        Raises:
            InputError: a click or box lies outside the volume or is of an unknown label, there is no positive click and
                no support, or the support does not fit to labels or network.
        """
        shape = (len(self.slices), *self.slices.shape[-2:])
        check_clicks(clicks, shape, self.labels)
        check_boxes(boxes, shape, self.labels)
        boxed = {box: self._in_box(box) for box in boxes}
        self._clicks.take_back([*clicks, *(click for one in boxed.values() for click in one.clicks)], self._found)
        for box, one in boxed.items():
            if not self._clicks.seen.issuperset(one.clicks):
                self.add(one.clicks, {box.slice_index: one.mask})
        for click in self._clicks.missing(clicks):
            self.add([click])
        return self.predict()

    def add(self, clicks: Sequence[Click], masks: Mapping[int, Mask] | None = None) -> None:
        """Add clicks that were set at once: none of them corrects the result of the others.

        Args:
            clicks: clicks to add.
            masks: masks by slice of a label that they may begin; by default made from the clicks.
        """
        self._clicks.begin_step(clicks, boxed=bool(masks))
        for label in dict.fromkeys(click.label for click in clicks):
            mine = [click for click in clicks if click.label == label]
            if (self._found == self.labels.position(label)).any():
                self._correct(label, mine)
            elif any(click.positive for click in mine):
                self._begin(label, mine, masks or {})
        self._enforce_clicks()

    def predict(self) -> Prediction:
        """Give the result of the clicks that were added.

        Raises:
            InputError: as in `segment`.
        """
        begun = {*self._clicks.slices()} or self._clicks.clicked_on()
        given = set() if self.accepted is None else {self.labels.name_at(p) for p in np.unique(self.accepted) if p}
        if self.support is None and not begun | given:
            raise InputError("Nothing is clicked on yet: set a positive click on each structure to be segmented.")
        findings = {} if self._matched is None else dict(self._matched.findings)
        for label in self.labels.only(begun | given):
            findings.setdefault(label, LabelFinding(self._clicks.confidence.get(label, 1.0), None, None))
        found = {label: self._finding(label, finding) for label, finding in findings.items()}
        return Prediction(self.labels.to_values(self._found), found)

    @cached_property
    def _matched(self) -> Prediction | None:
        """Segment the volume by the support, without clicks."""
        if self.support is None:
            return None
        return segment(self.volume, self.support, self.encoder, self.settings, refiner=self.refiner)

    @cached_property
    def _found(self) -> LabelMap:
        """Positions of labels (S, H, W) by the clicks so far."""
        if self.accepted is not None:
            return self.accepted.copy()
        if self.support is None or self._matched is None:
            return np.zeros((len(self.slices), *self.slices.shape[-2:]), np.uint8)
        found_by = self.support.labels  # their values may be others
        return found_by.positions_in(self.labels)[found_by.to_positions(self._matched.label_map)]

    @cached_property
    def _tracker(self) -> MaskPropagator:
        return MaskPropagator(self.slices, self._features(), self.encoder.matching, spacing=self.spacing[1:])

    @cached_property
    def _corrector(self) -> Corrector:
        return Corrector(self.slices, self._tracker, self.slice_segmenter, self.spacing)

    @cached_property
    def _first_choice(self) -> FirstChoice:
        return FirstChoice(self.slices, self._tracker, self.slice_segmenter, self.spacing)

    @torch.no_grad()
    def _features(self) -> Tensor:
        """Features (S, D, h, w) of all slices."""
        return self.encoder.encode_slices(self.slices, range(len(self.slices)), self.settings.batch_size)

    def _begin(self, label: str, clicks: Sequence[Click], given: Mapping[int, Mask]) -> None:
        """Find a label that is not there yet by its first clicks."""
        free, whole = self._free(clicks), None
        places = sorted({click.slice_index for click in clicks if click.positive})
        if len(places) == 1 and not given:
            others = [self.labels.position(name) for name in self._clicks.slices() if name != label]
            whole = self._first_choice.first(places[0], self._clicks.on(label), self._found, others)
            free[others] &= whole is not None
        if whole is None:
            masks = {index: given[index] if index in given else self._first_mask(index, label) for index in places}
            whole = self._tracker.follow(masks).held(masks)
        self._write_volume(whole.mask & free[self._found], self.labels.position(label))
        self._clicks.steps[-1].confidence[label] = whole.confidence()

    def _first_mask(self, index: int, label: str) -> Mask:
        """Make the mask of a slice that a label begins with."""
        points, nothing = self._clicks.points(index, label), np.zeros(self._found.shape[1:], bool)
        mask = self.slice_segmenter(self.slices, index, *points, spacing=self.spacing[1:], prior=nothing)
        mask[tuple(np.transpose(points[0]))] = True
        return mask

    def _begin_missed(self, label: str, missed: Sequence[Click]) -> bool:
        """Find a label by the first clicks on it where the support found next to nothing of it."""
        on_label = self._clicks.on(label)
        earlier = any(click.positive and click not in missed for click in on_label)
        if earlier or self.support is None or label not in self.support.labels:
            return False
        index, position = missed[0].slice_index, self.labels.position(label)
        found = self._found == position
        if self._corrector.is_about_border(found[index], [(click.row, click.column) for click in missed]):
            return False
        largest, others = LARGEST * self.support.largest_share(label), {*range(1, 1 + len(self.labels))} - {position}
        whole = self._first_choice.first(index, on_label, self._found, others, largest=largest)
        if whole is None or np.count_nonzero(found) > NEXT_TO_NOTHING * np.count_nonzero(whole.mask):
            return False
        self._write_volume(whole.mask & self._free(missed)[self._found], position)
        return True

    @torch.no_grad()
    def _in_box(self, box: Box) -> BoxMask:
        """Find the structure in a box; what was found before is kept."""
        if box not in self._boxes:
            features = self.encoder.encode_slices(self.slices, [box.slice_index])[0]
            self._boxes[box] = box_mask(self.slices, box, features, self.slice_segmenter, spacing=self.spacing[1:])
        return self._boxes[box]

    def _correct(self, label: str, clicks: Sequence[Click]) -> None:
        """Change a label by further clicks on it."""
        position = self.labels.position(label)
        steps = self._clicks.steps[:-1]
        earlier = {click.slice_index for step in steps for click in step.clicks if click.label == label}
        for index, positive in sorted({(click.slice_index, click.positive) for click in clicks}):
            here = [click for click in clicks if (click.slice_index, click.positive) == (index, positive)]
            wrong = [click for click in here if (self._found[click[:3]] == position) != positive]
            if not wrong or (self._begin_missed(label, wrong) if positive else self._begin_again(label, wrong)):
                continue
            if not (self._found == position).any():  # the negative ones took all of it away
                self._begin(label, wrong, {})
                continue
            points = [(click.row, click.column) for click in wrong]
            sides, along = self._clicks.points(index, label), label not in self._clicks.confidence
            complaint = Complaint(position, index, positive, points, *sides, free=self._free(wrong), along=along)
            changes = self._corrector.changes(self._found, complaint, earlier - {index})
            for place, changed in changes.items():
                self._write(place, changed, position if positive else 0)

    def _begin_again(self, label: str, wrong: Sequence[Click]) -> bool:
        """Choose the first mask of a label anew, where clicks on its wrong side say that it is something else's."""
        steps = self._clicks.steps
        begun = [step for step in steps if any(click.label == label and click.positive for click in step.clicks)]
        if len(begun) != 1 or begun[0].boxed or label not in begun[0].confidence:
            return False
        mask = self._found == self.labels.position(label)
        strictness = sum(label in step.confidence for step in steps) - 1
        again = self._first_choice.again(mask, self._clicks.on(label), wrong, strictness=strictness)
        if again is None:
            return False
        self._write_volume(mask & ~again.mask, 0)
        self._clicks.steps[-1].confidence[label] = again.confidence()
        return True

    def _free(self, clicks: Sequence[Click]) -> NDArray[np.bool_]:
        """By position, whether positive clicks may take a label's pixels: those of none, and of labels clicked on."""
        free = np.zeros(1 + len(self.labels), bool)
        free[[0, *(self._found[click[:3]] for click in clicks if click.positive)]] = True
        return free

    def _enforce_clicks(self) -> None:
        """Hold every click that counts, and leave no label that has neither a support nor a positive click."""
        for label in self._clicks.confidence.keys() - self._clicks.slices().keys():
            self._write_volume(self._found == self.labels.position(label), 0)
        for click in self._clicks.valid:
            position = self.labels.position(click.label)
            if (self._found[click[:3]] == position) != click.positive:
                self._clicks.keep(click.slice_index, self._found[click.slice_index])
                self._found[click[:3]] = position if click.positive else 0

    def _write(self, index: int, mask: Mask, position: int) -> None:
        """Label pixels of a slice, in the latest step."""
        self._clicks.keep(index, self._found[index])
        self._found[index][mask] = position

    def _write_volume(self, mask: Mask, position: int) -> None:
        """Label pixels (S, H, W), in the latest step."""
        for index in np.flatnonzero(mask.any((1, 2))).tolist():
            self._write(index, mask[index], position)

    def _finding(self, label: str, finding: LabelFinding) -> LabelFinding:
        """What is known of a label, after the clicks had their say."""
        position = self.labels.position(label)
        areas = np.array([np.count_nonzero(one == position) for one in self._found])
        if not areas.any():
            return LabelFinding(0.0, None, None, finding.note)
        if finding.support_slice is not None:
            return finding
        largest = int(areas.argmax())
        clicked = self._clicks.slices().get(label, [largest])  # what was accepted may have no positive click
        nearest = min(clicked, key=lambda index: abs(index - largest))
        return replace(finding, support_slice=SliceOrigin(self.scan, nearest))
