"""From clicks to whole organs.

Clicks on a slice give a mask of that slice, and the clicked slices are the support for the rest of the volume. A click
on another slice corrects what was found there, and the corrected slice joins the support. Labels that only clicks tell
of are followed from slice to slice; what other scans tell of too is matched with all that is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from torch import Tensor

from protoseg.engine.clicks.click import Click, check_clicks
from protoseg.engine.clicks.corrected_slices import with_drawn_slices
from protoseg.engine.clicks.mask_propagation import SliceTracker, Tracked
from protoseg.engine.clicks.record import ClickRecord
from protoseg.engine.clicks.slice_segmenter import FeatureSliceSegmenter, SliceSegmenter
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.one_shot import OneShotSettings, segment, slice_spacing
from protoseg.engine.prediction import LabelFinding, Prediction
from protoseg.engine.refiners.refiner import Refiner
from protoseg.engine.support import SliceOrigin, SupportSet
from protoseg.errors import InputError
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.components import connected_components
from protoseg.ops.slices import axial_slices

__all__ = ["ClickSegmentation", "segment_from_clicks"]

LabelMap = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SliceLabel = tuple[int, int]  # index of a slice, position of a label


class ClickSegmentation:
    """A volume that a user clicks on, and what the clicks have led to so far.

    The same clicks in the same order give the same result, whether they come one by one or together; what did not
    change since the last call is not computed again. Not safe between threads.

    Args:
        volume: (C, X, Y, Z), normalised, slices along Z; a `MetaTensor` tells the spacing in mm.
        network: what to look with; it is put into evaluation mode.
        labels: name -> value of what may be clicked on, in the order that `Click.label` counts.
        scan: what to know the volume by; a support slice is one scan's and one index's.
        image_size: edge of the network's input in pixels.
        support: slices of other scans, or of this one, that were labelled before; their labels are found too.
        cache: of features.
        settings: how to segment the volume by the support.
        refiner: brings the borders of what was found by the support to the image's edges.
        slice_segmenter: what makes masks from clicks; by the network's features when left out.
    """

    def __init__(
        self,
        volume: Tensor,
        network: ALPNet,
        *,
        labels: Mapping[str, int],
        scan: str,
        image_size: int,
        support: SupportSet | None = None,
        cache: FeatureCache | None = None,
        settings: OneShotSettings | None = None,
        refiner: Refiner | None = None,
        slice_segmenter: SliceSegmenter | None = None,
    ) -> None:
        others = {} if support is None else support.labels
        self.labels = {**labels, **{name: value for name, value in others.items() if name not in labels}}
        self.volume, self.network, self.scan, self.image_size = volume, network.eval(), scan, image_size
        self.support, self.settings, self.refiner = support, settings or OneShotSettings(), refiner
        self.cache = cache or FeatureCache()
        self.adjacent = network.slice_adapter is not None
        self.slice_segmenter = slice_segmenter or FeatureSliceSegmenter(
            network, image_size=image_size, cache=self.cache
        )
        self.slices = axial_slices(volume)
        self.spacing = slice_spacing(volume)
        self._clicks = ClickRecord()
        self._before: dict[int, LabelMap] = {}  # by clicked slice, what was found there when the first click came
        self._priors: dict[SliceLabel, Mask] = {}  # of the label, when its first click on the slice came
        self._masks: dict[SliceLabel, Mask] = {}  # by the clicks, the last one drawn being the last
        self._trackers: dict[int, SliceTracker] = {}  # by label
        self._prediction: Prediction | None = None

    def segment(self, clicks: Sequence[Click]) -> Prediction:
        """Segment the volume by all clicks so far, in the order in which they were set.

        Every positive click lies in its label in the result, and no negative one does; where two contradict each
        other, the later one counts.

        Raises:
            InputError: a click lies outside the volume or is of an unknown label, there is no positive click and no
                support, or the support does not fit to labels or network.
        """
        check_clicks(clicks, (len(self.slices), *self.slices.shape[-2:]), list(self.labels))
        if not self._clicks.seen <= set(clicks):  # some were taken back
            self._forget()
        for click in dict.fromkeys(clicks):
            if click not in self._clicks.seen:
                self.add([click])
        return self.predict()

    def add(self, clicks: Sequence[Click]) -> None:
        """Take note of clicks that were set at once: none of them corrects what came of the others."""
        touched = dict.fromkeys((click.slice_index, click.label) for click in clicks)
        found = self._found() if touched.keys() - self._priors.keys() else self._nothing()
        touched |= dict.fromkeys((click.slice_index, click.label) for click in self._clicks.add(clicks))
        self._prediction = None
        for index, row, column, positive, label in clicks:
            # A negative click beside the label says nothing new, as long as the label does not come there.
            if (index, label) not in self._priors and (positive or found[index, row, column] == label):
                self._before.setdefault(index, found[index].copy())
                self._priors[index, label] = found[index] == label
        for index, label in touched:
            self._masks.pop((index, label), None)
            if not any(self._clicks.points(index, label)):
                self._priors.pop((index, label), None)
            elif (index, label) in self._priors:
                self._masks[index, label] = self._mask(index, label, self._priors[index, label])

    def predict(self) -> Prediction:
        """Segment the volume by the clicks that were added.

        Raises:
            InputError: as `segment`.
        """
        if self._prediction is None:
            self._prediction = self._segment()
        return self._prediction

    def _forget(self) -> None:
        self._clicks = ClickRecord()
        for known in (self._before, self._priors, self._masks):
            known.clear()
        self._prediction = None

    def _found(self) -> LabelMap:
        """Positions of labels (S, H, W) by the clicks so far."""
        if self.support is None and not self._masks:
            return self._nothing()
        return _numbered(self.predict().label_map, list(self.labels.values()))

    def _mask(self, index: int, label: int, prior: Mask) -> Mask:
        """Mask (H, W) of a label by the clicks on a slice; those on other labels are negative ones."""
        positive, negative = self._clicks.points(index, label)
        mask = self.slice_segmenter(
            self.slices, index, positive, negative, spacing=self.spacing[1:], prior=prior
        ).copy()
        for points, inside in ((positive, True), (negative, False)):
            for point in points:
                mask[point] = inside
        return mask

    def _segment(self) -> Prediction:
        followed = self._only_clicked()
        findings: dict[str, LabelFinding] = {}
        found = self._nothing()
        if self.support is not None:
            support = self._with_clicked_slices(self.support)
            matched = segment(self.volume, support, self.network, self.settings, self.cache, refiner=self.refiner)
            found = _numbered(matched.label_map, list(self.labels.values()))
            found[np.isin(found, followed)] = 0
            findings.update(matched.findings)
        elif not followed:
            raise InputError("Nothing is clicked on yet: set a positive click on each structure to be segmented.")
        best = np.zeros(found.shape, np.uint8)
        for label in followed:
            tracked = self._follow(label)
            claimed = tracked.mask & (tracked.certainty > best)
            found[claimed] = label
            best[claimed] = tracked.certainty[claimed]
            confidence = float(tracked.certainty[tracked.mask].mean()) / 255
            findings[self._name(label)] = LabelFinding(confidence, None, None)
        self._obey(found)
        values = np.array([0, *self.labels.values()], np.uint8)
        return Prediction(values[found], {name: self._finding(found, name, one) for name, one in findings.items()})

    def _only_clicked(self) -> list[int]:
        """The labels that only clicks tell of."""
        elsewhere = {} if self.support is None else self.support.labels
        return [label for label in self._clicks.slices() if self._name(label) not in elsewhere]

    def _follow(self, label: int) -> Tracked:
        if label not in self._trackers:
            spacing = self.spacing[1:]
            self._trackers[label] = SliceTracker(self.slices, self._features(), self.network.matching, spacing=spacing)
        return self._trackers[label].follow({index: mask for (index, of), mask in self._masks.items() if of == label})

    @torch.no_grad()
    def _features(self) -> Tensor:
        """Features (S, D, h, w) of all slices."""
        batches = torch.arange(len(self.slices)).split(self.settings.batch_size)
        features = [
            self.cache.encode_slices(
                self.network, self.slices, batch.tolist(), size=self.image_size, adjacent=self.adjacent
            )
            for batch in batches
        ]
        return torch.cat(features)

    def _with_clicked_slices(self, support: SupportSet) -> SupportSet:
        """A support of other scans and of the clicked slices, with all that was found on these."""
        drawn = {index: before.copy() for index, before in self._before.items()}
        for (index, label), mask in self._masks.items():
            _redraw(drawn[index], label, mask)
        clicked = {self._name(label) for label in self._clicks.slices()}
        return with_drawn_slices(
            support, self.slices, drawn, self.labels, scan=self.scan, clicked=clicked, adjacent=self.adjacent
        )

    def _obey(self, found: LabelMap) -> None:
        """Put the clicked slices into a label map, and keep of what was clicked on only what is connected to it."""
        for (index, label), mask in self._masks.items():
            _redraw(found[index], label, mask)
        boxes = find_objects(found, max_label=len(self.labels))
        for label, indices in self._clicks.slices().items():
            box = boxes[label - 1]
            components = connected_components(found[box] == label)
            clicked = [index - box[0].start for index in indices]
            held = np.unique(components[clicked])
            found[box][(components > 0) & ~np.isin(components, held)] = 0
        for (index, label), mask in self._masks.items():
            _redraw(found[index], label, mask)
        for index, row, column, wanted, label in self._clicks.valid:
            if not wanted and found[index, row, column] == label:
                _redraw(found[index], label, self._mask(index, label, found[index] == label))

    def _finding(self, found: LabelMap, name: str, finding: LabelFinding) -> LabelFinding:
        """What is known of a label, after the clicks had their say."""
        label = 1 + list(self.labels).index(name)
        areas = (found == label).sum((1, 2))
        if not areas.any():
            return LabelFinding(0.0, None, None, finding.note)
        if finding.support_slice is not None:
            return finding
        clicked = [index for (index, of), mask in self._masks.items() if of == label and mask.any()]
        largest = int(areas.argmax())
        nearest = min(clicked, key=lambda index: abs(index - largest))
        return replace(finding, support_slice=SliceOrigin(self.scan, nearest))

    def _nothing(self) -> LabelMap:
        return np.zeros((len(self.slices), *self.slices.shape[-2:]), np.uint8)

    def _name(self, label: int) -> str:
        return list(self.labels)[label - 1]


def segment_from_clicks(volume: Tensor, clicks: Sequence[Click], network: ALPNet, **arguments: Any) -> Prediction:
    """Segment a volume from clicks; arguments and errors are those of `ClickSegmentation`, which is kept for more."""
    return ClickSegmentation(volume, network, **arguments).segment(clicks)


def _redraw(label_map: LabelMap, label: int, mask: Mask) -> None:
    """Make a label of a slice what a mask says, whatever was there."""
    label_map[label_map == label] = 0
    label_map[mask] = label


def _numbered(label_map: LabelMap, values: Sequence[int]) -> LabelMap:
    """A label map of positions in `values`, from 1; other values become 0."""
    table = np.zeros(256, np.uint8)
    table[list(values)] = np.arange(1, 1 + len(values), dtype=np.uint8)
    return table[label_map]
