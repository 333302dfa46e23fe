"""A volume that is matched with a support, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from torch import Tensor

from protoseg.engine.component_filter import keep_components
from protoseg.engine.contrast import is_inverted
from protoseg.engine.cues import Cues, gather_cues, segment_by_halves
from protoseg.engine.encoded_support import EncodedSupport
from protoseg.engine.layout import by_layout, layouts_of
from protoseg.engine.orientation import quarter_turns
from protoseg.engine.prediction import LabelFinding, Prediction, label_finding
from protoseg.engine.refiners.refiner import CoarseSegmentation, RefinedSegmentation
from protoseg.engine.settings import OneShotSettings
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.matching.matching import Prototypes
from protoseg.ops.components import Box
from protoseg.ops.slices import axial_slices, fit_slices, turn_slices
from protoseg.ops.upsampling import BilinearUpsampler, Window, upsampled_argmax
from protoseg.ops.volume import Placed, spacing_of

__all__ = ["MatchedVolume"]

PAIR = 2  # components


class MatchedVolume:
    """A volume and what was found in it: label and certainty of every pixel, and the support slices that served."""

    def __init__(
        self,
        volume: Tensor,
        support: SupportSet,
        encoder: SliceEncoder,
        settings: OneShotSettings,
    ) -> None:
        self.volume, self.support, self.encoder, self.settings = volume, support, encoder, settings
        self.slices = axial_slices(volume)
        self.encoded = EncodedSupport.of(support, encoder, settings.batch_size)
        height, width = self.slices.shape[-2:]
        self.to_pixels = BilinearUpsampler(self.encoded.patches, height, width)
        shape = (len(self.slices), height, width)
        self.winner = np.zeros(shape, np.uint8)  # position of the label among the support's, from 1
        # Probability of the winner in steps of 1/255: a float map per label would not fit for a large volume.
        self.certainty = np.zeros(shape, np.uint8)
        self.boxes: list[Box | None] = [None] * len(support.labels)  # outside of which a label is nowhere
        classes = (len(self.slices), 1 + len(support.labels), *self.encoded.patches)
        self.evidence: dict[int, Tensor] = {}  # by slice
        self.log_probability = torch.zeros(classes, dtype=torch.float16)
        self.likeness = torch.zeros(len(self.slices))  # cosine of each slice to the support slice most like it
        self.serving = np.zeros((len(self.slices), len(support.labels)), int)  # support slice by query slice and label
        self.seen = self.slices  # by the encoder
        self.turns = 0  # quarter turns counterclockwise of what the encoder sees
        if settings.orientation == "auto":
            self.turns = quarter_turns(self.slices, self._encode, self._serving)
            self.seen = turn_slices(self.slices, self.turns)
        if settings.contrast == "auto" and is_inverted(self.seen, self._encode, self._serving):
            self.seen = -self.seen

    def match(self, batch: range) -> None:
        """Encode a few slices and match them with the support.

        Results of a GPU are fetched for all of them at once: each time, the processor waits for it.
        """
        encoded = self._encode_seen(batch)
        found = []
        for index, features, similarity in zip(batch, encoded, self.encoded.similarity(encoded)):
            prototypes, self.serving[index] = self._choose(similarity, self.encoded.reduced)
            self.likeness[index] = similarity.max()
            found.append(self.encoder.matching.evidence(features[None, None], prototypes)[0, 0])
        self.evidence.update(zip(batch, torch.stack(found).cpu()))

    def decide(self) -> None:
        """Upsample the winning classes to the grid, slice by slice; how like the support slices are is known by now.

        The processor does it: there is little to do, mostly on windows that it would have to wait for one by one.
        """
        unlikeness = self.likeness.max() - self.likeness
        for index, distance in enumerate(unlikeness):
            logits = self.encoder.matching.decide(self.evidence.pop(index)[None, None], distance[None, None])
            self.log_probability[index] = logits[0, 0].log_softmax(0)
        if self.settings.layout == "auto":
            layouts = layouts_of(self.support, (self.log_probability.shape[-2], self.log_probability.shape[-1]))
            upright = turn_slices(self.log_probability, self.turns)
            arranged = by_layout(upright, layouts, self._slice_step())
            self.log_probability = turn_slices(arranged, -self.turns)
        for index, scores in enumerate(self.log_probability.float()):
            best = upsampled_argmax(scores, self.to_pixels)
            self.winner[index] = best.label
            self.certainty[index] = torch.from_numpy(best.score).exp_().mul_(255).round_().numpy()
            self.boxes = [_grown(box, index, window) for box, window in zip(self.boxes, best.windows)]

    def keep_components(self, refined: NDArray[np.uint8] | None = None) -> None:
        """Drop the unwanted components of each label, of what was found or of its refinement (S, H, W), in place.

        Of the refinement, only those of labels that are whole or a pair on the support: it splits and joins the parts
        of others, such as loops of bowel, so that their number says little.
        """
        counts, label_map, boxes = self.support.component_counts(), self.winner, self.boxes
        if refined is not None:
            one = self.settings.component_filter == "one"
            found = find_objects(refined, max_label=len(counts))
            label_map, boxes = refined, [box if one or count <= PAIR else None for box, count in zip(found, counts)]
        keep_components(label_map, self.certainty, boxes, counts, self.settings.component_filter)

    @property
    def coarse(self) -> CoarseSegmentation:
        """Segmentation to refine."""
        return CoarseSegmentation(self.winner, self.log_probability, self.support.labels)

    @property
    def coarse_as_seen(self) -> CoarseSegmentation:
        """Segmentation of `seen`, turned as that is."""
        winner = np.ascontiguousarray(np.rot90(self.winner, self.turns, (1, 2)))
        return CoarseSegmentation(winner, turn_slices(self.log_probability, self.turns), self.support.labels)

    def turned(self) -> str:
        """Tell by how much the image was turned to be found in, empty if it was not."""
        kind = "picture" if len(self.slices) == 1 else "scan"
        return f"found in the {kind} turned by {(90, 180, -90)[self.turns - 1]} degrees" if self.turns else ""

    def describe(self, refined: RefinedSegmentation, *, moved: bool) -> Prediction:
        """Number labels by the support's values, and report the findings.

        The confidence is that of the matching: mean probability of the voxels that it found.

        Args:
            refined: label map and notes of the refinement.
            moved: True if labels may be elsewhere than the matching found them.
        """
        boxes = find_objects(refined.label_map, max_label=len(self.boxes)) if moved else self.boxes
        label_map = np.zeros_like(refined.label_map)
        found = {}  # confidence, and slice on which the label is largest, by name
        for position, (box, name) in enumerate(zip(boxes, self.support.labels), start=1):
            if box is None:
                continue
            areas = []
            matched = probable = 0
            # Slice by slice, for what is read again is in the cache then.
            for index in range(box[0].start, box[0].stop):
                here = (index, *box[1:])
                mask = refined.label_map[here] == position
                np.copyto(label_map[here], self.support.labels[name], where=mask)
                areas.append(np.count_nonzero(mask))
                mask = self.winner[here] == position if moved else mask
                matched += np.count_nonzero(mask)
                probable += int(self.certainty[here].sum(where=mask, dtype=int))
            if any(areas):
                found[name] = probable / max(matched, 1) / 255, box[0].start + int(np.argmax(areas))
        cues = self._cues(refined.label_map, found)
        findings = {}
        for column, name in enumerate(self.support.labels):
            if name not in found:
                findings[name] = LabelFinding(0.0, None, None, refined.notes.get(name, ""))
                continue
            confidence, largest = found[name]
            origin = self.support.origins[self.serving[largest, column]]
            note = ", ".join(filter(None, (refined.notes.get(name), self.turned())))
            findings[name] = label_finding(confidence, cues.get(name), origin, note)
        return Prediction(label_map, findings)

    def _encode(self, slices: Tensor, indices: Sequence[int]) -> Tensor:
        return self.encoder.encode_slices(slices, indices, self.settings.batch_size)

    def _slice_step(self) -> float:
        """Distance of two slices in patches."""
        if not isinstance(self.volume, Placed):
            return 1.0
        x, y, z = spacing_of(self.volume.affine).tolist()
        height, width = self.slices.shape[-2:]
        return float(z * max(self.log_probability.shape[-2:]) / max(x * width, y * height))

    def _encode_seen(self, indices: Sequence[int]) -> Tensor:
        """Encode some slices as the encoder sees them, and turn the features back."""
        return turn_slices(self._encode(self.seen, indices), -self.turns)

    def _serving(self, features: Tensor) -> Prototypes:
        return self._choose(self.encoded.similarity(features[None])[0], self.encoded.prototypes)[0]

    def _choose(self, similarity: Tensor, prototypes: Prototypes) -> tuple[Prototypes, NDArray[np.int64]]:
        return self.encoded.choose(similarity, prototypes, self.settings.support_selection)

    def _cues(self, label_map: NDArray[np.uint8], found: Mapping[str, tuple[float, int]]) -> dict[str, Cues]:
        """Gather the cues of the labels' Dice; given: confidences, and slices on which they are largest."""
        indices = sorted({index for _, index in found.values()})
        if not indices or not self.settings.estimate_quality:
            return {}
        size, matching = self.encoder.image_size, self.encoder.matching
        masks = fit_slices(torch.from_numpy(label_map[indices])[:, None], size, "nearest")[:, 0]
        features = self._encode_seen(indices)
        unlikeness = self.likeness.max() - self.likeness[indices]
        halves = []
        for one, similarity, distance in zip(features, self.encoded.similarity(features), unlikeness):
            serving = [self._choose(similarity, prototypes)[0] for prototypes in self.encoded.halves]
            halves.append(segment_by_halves(matching, one, serving, distance, size))
        largest = {name: indices.index(index) for name, (_, index) in found.items()}
        confidence = {name: value for name, (value, _) in found.items()}
        support = (self.encoded.features, self.support)
        return gather_cues(matching, features, masks, torch.stack(halves), largest, confidence, *support)


def _grown(box: Box | None, index: int, window: Window | None) -> Box | None:
    """Grow a box to hold a window of a slice as well."""
    if window is None:
        return box
    here = (slice(index, index + 1), *window)
    return here if box is None else tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, here))
