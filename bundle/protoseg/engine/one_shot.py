"""The one-shot engine: a support and a volume in, a label map with confidences out.

Each slice of the volume is encoded once and matched with all labels at once; the labels compete with each other and
with the background in one arg max, so they never overlap and an empty slice stays empty. Scores live at feature
resolution and are brought to the volume's own grid slice by slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from torch import Tensor
from tqdm import tqdm

from protoseg.engine.clicks.click import Click
from protoseg.engine.component_filter import keep_components
from protoseg.engine.contrast import is_inverted
from protoseg.engine.cues import Cues, gather_cues
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.prediction import LabelFinding, Prediction, label_finding
from protoseg.engine.refiners.refiner import CoarseSegmentation, RefinedSegmentation, Refiner
from protoseg.engine.slice_axes import slice_axes
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.matching.coreset import slice_descriptors
from protoseg.matching.matching import Prototypes
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.components import Box, ComponentRule
from protoseg.ops.settled_weights import settled_weights
from protoseg.ops.slices import axial_slices, fit_slices
from protoseg.ops.upsampling import CellsToPixels, Window, winning_class
from protoseg.ops.volume import Placed, spacing_of

__all__ = ["OneShotSettings", "SupportChoice", "segment", "slice_spacing"]

UNKNOWN_SIDES = "may be on the wrong side: the scan or the support does not say where left and right are"

SupportChoice = Literal["similar", "nearest", "all"]

# Support slices that serve a slice by "similar", and those that do so for the sake of one label; see
# docs/engine_defaults.md.
SIMILAR, SIMILAR_OF_LABEL = 16, 5


@dataclass(frozen=True)
class OneShotSettings:
    """How to segment.

    Args:
        batch_size: slices encoded together.
        choice: which support slices serve a query slice, decided from the images alone: "nearest", for every label
            the slice that looks most like the query's; "similar", for every label five of them, and the sixteen of all
            that look most like it; "all".
        contrast: "auto" negates the grey values where the support explains the volume better then; "as_is" never does.
        components: which 3D components of a label to keep: "support" (as many as the support has, and more that are
            as large and sure), "one" or "none" (no filter).
        estimate_quality: segment the support in reverse to estimate each label's Dice.
        progress: show a progress bar over the slices.

    Raises:
        InputError: for an unknown choice, contrast or component rule, or a batch size below 1.
    """

    batch_size: int = 8
    choice: SupportChoice = "similar"
    contrast: Literal["auto", "as_is"] = "auto"
    components: ComponentRule = "support"
    estimate_quality: bool = True
    progress: bool = False

    def __post_init__(self) -> None:
        if self.choice not in get_args(SupportChoice):
            raise InputError(
                f"choice is '{self.choice}'; choose 'similar', 'nearest' or 'all'. (The published choice by parts "
                "of an organ's extent needs the query's own label map: it exists in the legacy evaluation protocol "
                "alone.)"
            )
        if self.contrast not in ("auto", "as_is"):
            raise InputError(f"contrast is '{self.contrast}'; choose 'auto' or 'as_is'.")
        if self.components not in ("none", "one", "support"):
            raise InputError(f"components is '{self.components}'; choose 'support', 'one' or 'none'.")
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be at least 1.")


@torch.no_grad()
def segment(
    volume: Tensor,
    support: SupportSet,
    network: ALPNet,
    settings: OneShotSettings | None = None,
    cache: FeatureCache | None = None,
    *,
    refiner: Refiner | None = None,
    clicks: Sequence[Click] = (),
) -> Prediction:
    """Segment every slice of a volume.

    Args:
        volume: (C, X, Y, Z), normalised as the support was, slices along Z; a `Placed` one tells the spacing in mm.
        support: what to look for.
        network: what to look with; it is put into evaluation mode.
        settings: how; the defaults of `OneShotSettings` when left out.
        cache: of features; a volume or support that was seen before is not encoded again.
        refiner: brings the borders to the image's edges.
        clicks: of the user, for the refiner.

    Raises:
        InputError: the support was made for another encoder.
    """
    settings = settings or OneShotSettings()
    network.eval()
    support.check_encoder(network)
    with settled_weights():
        pass_ = _Pass(volume, support, network, settings, cache or FeatureCache())
        for start in tqdm(
            range(0, len(pass_.slices), settings.batch_size),
            "Segmenting",
            unit="batch",
            disable=not settings.progress,
            leave=None,  # under the bar of several volumes, each one's goes when it is done
        ):
            pass_.match(range(start, min(start + settings.batch_size, len(pass_.slices))))
        pass_.decide()
    pass_.keep_components()
    refined = RefinedSegmentation(pass_.winner)
    if refiner is not None:
        refined = refiner.refine(pass_.slices, pass_.coarse(), spacing=slice_spacing(volume), clicks=clicks)
    prediction = pass_.describe(refined, moved=refiner is not None)
    if (slice_axes(volume) is None) != (support.slice_axes is None):
        # A mirrored organ is found as surely as another, and its estimate would be as high.
        return prediction.without_estimates(UNKNOWN_SIDES)
    return prediction


class _Pass:
    """One pass over a volume: label and certainty of every pixel, and which support slice served where."""

    def __init__(
        self,
        volume: Tensor,
        support: SupportSet,
        network: ALPNet,
        settings: OneShotSettings,
        cache: FeatureCache,
    ) -> None:
        self.support, self.network, self.settings, self.cache = support, network, settings, cache
        self.size = support.images.shape[-1]
        self.slices = axial_slices(volume)
        batches = support.images.split(settings.batch_size)
        self.support_features = torch.cat([cache.encode(network, images) for images in batches])
        masks = support.one_hot().to(self.support_features.device)
        known = None if support.known is None else support.known.T[None].to(self.support_features.device)
        self.prototypes = network.matching.build(self.support_features[None], masks[None], known)
        self.descriptors = slice_descriptors(self.support_features)
        cells = (self.support_features.shape[-2], self.support_features.shape[-1])
        height, width = self.slices.shape[-2:]
        self.to_pixels = CellsToPixels(cells, height, width, self.support_features.device)
        shape = (len(self.slices), height, width)
        self.winner = np.zeros(shape, np.uint8)  # position of the label among the support's, from 1
        # Probability of the winner in steps of 1/255: a float map per label would not fit for a large volume.
        self.certainty = np.zeros(shape, np.uint8)
        self.boxes: list[Box | None] = [None] * len(support.labels)  # outside of which a label is nowhere
        classes = (len(self.slices), 1 + len(support.labels), *cells)
        self.evidence: dict[int, Tensor] = {}  # by slice
        self.log_probability = torch.zeros(classes, dtype=torch.float16)
        self.likeness = torch.zeros(len(self.slices))  # cosine of each slice to the support slice most like it
        self.serving = np.zeros((len(self.slices), len(support.labels)), int)  # support slice by query slice and label
        self.seen = self.slices  # by the encoder
        if settings.contrast == "auto" and is_inverted(self.slices, self._encode, lambda cells: self._choose(cells)[0]):
            self.seen = -self.slices

    def match(self, batch: range) -> None:
        """Encode a few slices and match them with the support."""
        for index, features in zip(batch, self._encode(self.seen, batch)):
            prototypes, self.serving[index], self.likeness[index] = self._choose(features)
            self.evidence[index] = self.network.matching.evidence(features[None, None], prototypes)[0, 0].cpu()

    def decide(self) -> None:
        """Bring the classes that win to the grid, slice by slice; what is like the support is known by now."""
        unlikeness = self.likeness.max() - self.likeness
        device = self.support_features.device
        for index, distance in enumerate(unlikeness):
            evidence = self.evidence.pop(index)[None, None].to(device)
            logits = self.network.matching.decide(evidence, distance[None, None].to(device))
            scores = logits[0, 0].log_softmax(0)
            self.log_probability[index] = scores
            best = winning_class(scores, self.to_pixels)
            self.winner[index] = best.label
            self.certainty[index] = torch.from_numpy(best.score).exp_().mul_(255).round_().numpy()
            self.boxes = [_grown(box, index, window) for box, window in zip(self.boxes, best.windows)]

    def keep_components(self) -> None:
        """Drop the components of each label that are not to be kept."""
        counts = self.support.component_counts()
        keep_components(self.winner, self.certainty, self.boxes, counts, self.settings.components)

    def coarse(self) -> CoarseSegmentation:
        """What there is to refine."""
        return CoarseSegmentation(self.winner, self.log_probability, tuple(self.support.labels))

    def describe(self, refined: RefinedSegmentation, *, moved: bool) -> Prediction:
        """Number labels by the support's values, and say what was found.

        The confidence is that of the matching: mean probability of the voxels that it found.

        Args:
            refined: what to describe.
            moved: whether labels may be elsewhere than the matching found them.
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
        cues = self._cues(refined.label_map, {name: largest for name, (_, largest) in found.items()})
        findings = {}
        for column, name in enumerate(self.support.labels):
            if name not in found:
                findings[name] = LabelFinding(0.0, None, None, refined.notes.get(name, ""))
                continue
            confidence, largest = found[name]
            origin = self.support.origins[self.serving[largest, column]]
            findings[name] = label_finding(confidence, cues.get(name), origin, refined.notes.get(name, ""))
        return Prediction(label_map, findings)

    def _encode(self, slices: Tensor, indices: Sequence[int]) -> Tensor:
        adjacent = self.network.slice_adapter is not None
        return self.cache.encode_slices(self.network, slices, indices, size=self.size, adjacent=adjacent)

    def _choose(self, features: Tensor) -> tuple[Prototypes, NDArray[np.int64], Tensor]:
        """Prototypes for one query slice, the support slice nearest to it for every label, and the highest cosine."""
        similarity = (self.descriptors @ slice_descriptors(features[None])[0]).cpu()
        present = self.prototypes.present[0].cpu()  # L x N
        by_label = similarity.expand(len(present), -1).masked_fill(~present, -torch.inf)
        nearest = by_label.argmax(1)
        chosen = nearest[present.any(1)]
        if self.settings.choice == "all":
            chosen = torch.arange(len(similarity))
        elif self.settings.choice == "similar":
            likest = by_label.topk(min(SIMILAR_OF_LABEL, len(similarity)))
            chosen = likest.indices[likest.values.isfinite()]
            chosen = torch.cat([chosen, similarity.topk(min(SIMILAR, len(similarity))).indices])
        prototypes = replace(self.prototypes, likeness=similarity[None].to(features.device))
        return prototypes.select(chosen.unique().to(features.device)), nearest.numpy(), similarity.max()

    def _cues(self, label_map: NDArray[np.uint8], largest: dict[str, int]) -> dict[str, Cues]:
        """Tell what the Dice of each label is estimated from, by the slices on which they are largest."""
        indices = sorted(set(largest.values()))
        if not indices or not self.settings.estimate_quality:
            return {}
        masks = fit_slices(torch.from_numpy(label_map[indices])[:, None], self.size, "nearest")[:, 0]
        features = self._encode(self.seen, indices)
        places = {name: indices.index(index) for name, index in largest.items()}
        return gather_cues(self.network.matching, features, masks, places, self.support_features, self.support)


def _grown(box: Box | None, index: int, window: Window | None) -> Box | None:
    """A box, grown to hold a window of a slice as well."""
    if window is None:
        return box
    here = (slice(index, index + 1), *window)
    return here if box is None else tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, here))


def slice_spacing(volume: Tensor) -> tuple[float, float, float]:
    """Distance of slices, rows and columns in mm; 1 mm each way where it is not known."""
    if not isinstance(volume, Placed):
        return 1.0, 1.0, 1.0
    x, y, z = spacing_of(volume.affine).tolist()
    return z, y, x
