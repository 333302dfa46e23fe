"""Adaptation: the network learns a little from the support or from its own predictions before the final segmentation.

Source: DINOv2-ALPNet (arXiv 2403.03273), test-time training, which is the scope "slice" here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from scipy.ndimage import find_objects
from torch import Tensor
from tqdm import tqdm

from protoseg.engine.adaptation.episodes import LabelledSlices, draw_episodes
from protoseg.engine.adaptation.guard import ReverseGuard
from protoseg.engine.adaptation.training import ShortTraining
from protoseg.engine.clicks.click import Click
from protoseg.engine.component_filter import keep_components
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.matched_volume import MatchedVolume
from protoseg.engine.one_shot import OneShotSettings, finish, match, segment
from protoseg.engine.prediction import Prediction
from protoseg.engine.refiners.refiner import CoarseSegmentation, Refiner
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.fingerprint import tensor_digest, weights_fingerprint
from protoseg.ops.slices import fit_slices, turn_slices, volume_from_slices

if TYPE_CHECKING:
    from monai.transforms import Compose

__all__ = ["Adaptation", "AdaptationScope"]

AdaptationScope = Literal["slice", "volume", "support"]

CONFIDENT_SHARE = 0.5  # of the slices that hold a label; the others are not learned from
MOST_SLICES = 16  # slices of a volume that are learned from
PRIVATE_BYTES = 2**28  # of features made by weights that no other volume will use


class Adaptation:
    """The adaptation of a network, always on a copy of its weights.

    Args:
        scope: "slice", to each slice's own prediction, and forgotten after the slice (published); "volume", once to the
            confident slices of a volume, watched by a `ReverseGuard`; "support", once to the support, whatever the
            query.
        augmentation: transform of {"image": (3, H, W), "mask": (L, H, W)} that makes episodes of a slice.
        seed: seed of the episodes and of LoRA's initial weights.
        training: arguments of `ShortTraining`.

    Raises:
        InputError: an unknown scope.
    """

    def __init__(self, *, scope: AdaptationScope, augmentation: Compose, seed: int = 0, **training: Any) -> None:
        if scope not in ("slice", "volume", "support"):
            raise InputError(f"The scope of adaptation is '{scope}'; choose 'slice', 'volume' or 'support'.")
        self.scope = scope
        self.augmentation = augmentation
        self.seed = seed
        self.training = ShortTraining(seed=seed, **training)
        self._kept: tuple[str, SliceEncoder] | None = None  # of the last support: each copies the weights
        self._lock = Lock()

    def to_slices(self, network: ALPNet, slices: LabelledSlices, guard: ReverseGuard | None = None) -> ALPNet:
        """Train a copy of the network on labelled slices; give the network itself if a guard saw no gain."""
        return self.training.adapted(network, draw_episodes(slices, self.augmentation, seed=self.seed), guard)

    def to_support(self, encoder: SliceEncoder, support: SupportSet) -> SliceEncoder:
        """Freeze a copy of the network that learned from the support, once for each support and network."""
        network = encoder.network
        digests = (tensor_digest(t).hex() for t in (support.images, support.masks))
        parts = (encoder.fingerprint(), weights_fingerprint(network.matching), network.precision, *digests)
        key = "-".join(parts) + str(next(network.parameters()).device)
        with self._lock:
            if self._kept is None or self._kept[0] != key:
                adapted = self.to_slices(network, LabelledSlices(support.images, support.masks))
                self._kept = key, encoder.of_network(adapted)
            return self._kept[1].with_cache(encoder.cache)

    def to_volume(
        self, encoder: SliceEncoder, slices: Tensor, coarse: CoarseSegmentation, support: SupportSet
    ) -> ALPNet:
        """Make a copy of the network that learned from the confident slices (S, C, H, W) of a volume, under their
        masks.

        The network itself is returned if nothing was found or the guard saw no gain.
        """
        confident = _confident_slices(coarse)
        if not confident:
            return encoder.network
        largest = _largest(torch.from_numpy(coarse.label_map), len(coarse.labels))
        watched = encoder.network_input(slices, largest)
        guard = ReverseGuard(encoder.network, watched, _one_slice_a_label(support))
        return self.to_slices(encoder.network, _labelled(slices, coarse, confident, encoder), guard)

    def segment(
        self,
        volume: Tensor,
        support: SupportSet,
        encoder: SliceEncoder,
        settings: OneShotSettings | None = None,
        *,
        refiner: Refiner | None = None,
        clicks: Sequence[Click] = (),
    ) -> Prediction:
        """Segment a volume with a network that is adapted to it; arguments as in `segment` of the engine.

        Features of a network adapted to the support are cached, as the cache tells weights apart: the next query is
        segmented by the same ones. Features of weights that live for one volume would only drive out others.
        """
        network = encoder.network
        support.check_encoder(encoder.fingerprint())
        support = replace(support, encoder="")  # the support was made for the weights before adaptation
        if self.scope == "support":
            adapted_encoder = self.to_support(encoder, support)
            return segment(volume, support, adapted_encoder, settings, refiner=refiner, clicks=clicks)
        matched = match(volume, support, encoder, settings)
        if self.scope == "slice":
            return finish(matched, _match_adapted_slices(matched, self), refiner=refiner, clicks=clicks)
        adapted = self.to_volume(matched.encoder, matched.seen, matched.coarse_as_seen, support)
        if adapted is not network:
            matched = match(volume, support, encoder.of_network(adapted, FeatureCache(PRIVATE_BYTES)), settings)
        return finish(matched, refiner=refiner, clicks=clicks)


@torch.no_grad()
def _match_adapted_slices(matched: MatchedVolume, adaptation: Adaptation) -> CoarseSegmentation:
    """Match every slice that holds a label again, with a network adapted to that slice."""
    support, encoder, slices, coarse = matched.support, matched.encoder, matched.seen, matched.coarse_as_seen
    label_map, log_probability = coarse.label_map.copy(), coarse.log_probability.clone()
    certainty = np.zeros_like(label_map)
    # The volume told how to see its slices; one of them would tell less.
    as_seen: dict[str, Any] = {"contrast": "as_is", "orientation": "as_is"}
    settings = replace(matched.settings, component_filter="none", progress=False, **as_seen)
    held = np.flatnonzero(label_map.any((1, 2))).tolist()
    for index in tqdm(held, "Adapting", unit="slice", disable=not matched.settings.progress, leave=None):
        adapted = adaptation.to_slices(encoder.network, _labelled(slices, coarse, [index], encoder))
        first = max(index - 1, 0)  # with its neighbors, for the slice adapter
        around = volume_from_slices(slices[first : index + 2])
        again = match(around, support, encoder.of_network(adapted, FeatureCache(0)), settings).coarse
        label_map[index] = again.label_map[index - first]
        log_probability[index] = again.log_probability[index - first]
        certainty[index] = (again.probability(index - first).amax(0) * 255).byte().numpy()
    label_map, certainty = (np.ascontiguousarray(np.rot90(a, -matched.turns, (1, 2))) for a in (label_map, certainty))
    log_probability = turn_slices(log_probability, -matched.turns)
    boxes = find_objects(label_map, max_label=len(coarse.labels))
    keep_components(label_map, certainty, boxes, support.component_counts(), matched.settings.component_filter)
    return CoarseSegmentation(label_map, log_probability, coarse.labels)


def _labelled(slices: Tensor, coarse: CoarseSegmentation, indices: list[int], encoder: SliceEncoder) -> LabelledSlices:
    """Give some slices as network input, with the labels found on them."""
    masks = fit_slices(torch.from_numpy(coarse.label_map[indices])[:, None], encoder.image_size, "nearest")[:, 0]
    return LabelledSlices(encoder.network_input(slices, indices), masks)


def _confident_slices(coarse: CoarseSegmentation) -> list[int]:
    """List the more confident half, by mean probability of the patches found, of the slices that hold a label."""
    held = np.flatnonzero(coarse.label_map.any((1, 2))).tolist()
    confidence = {}
    for index in held:
        best, winner = coarse.log_probability[index].float().max(0)
        confidence[index] = float(best.exp()[winner > 0].mean()) if (winner > 0).any() else 0.0
    count = min(round(CONFIDENT_SHARE * len(held) + 0.5), MOST_SLICES)
    return sorted(sorted(held, key=lambda index: -confidence[index])[:count])


def _largest(masks: Tensor, labels: int) -> list[int]:
    """List, for every label found, the slice of masks (B, H, W) on which it is largest."""
    areas = [(masks == label).flatten(1).sum(1) for label in range(1, 1 + labels)]
    return sorted({int(area.argmax()) for area in areas if area.any()})


def _one_slice_a_label(support: SupportSet) -> SupportSet:
    return support.take(_largest(support.masks, len(support.labels)))
