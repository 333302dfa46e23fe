"""The one-shot engine: a support and a volume in, a label map with confidences out.

Each slice of the volume is encoded once and matched with all labels at once; the labels compete with each other and
with the background in one arg max, so they never overlap and an empty slice stays empty. Scores live at feature
resolution and are brought to the volume's own grid slice by slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.prediction import LabelFinding, Prediction
from protoseg.engine.quality import reverse_dice
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.maths.alpnet import ALPNet
from protoseg.maths.components import ComponentRule, keep_most_confident
from protoseg.maths.matching import Prototypes
from protoseg.maths.slices import axial_slices, fit_slices, network_input, unfit_slices

__all__ = ["OneShotSettings", "SupportChoice", "segment"]

SupportChoice = Literal["nearest", "all"]

DESCRIPTOR_GRID = 4  # slice descriptors are features pooled to 4 x 4: coarse enough to compare two people


@dataclass(frozen=True)
class OneShotSettings:
    """How to segment.

    Args:
        batch_size: slices encoded together.
        choice: which support slices serve a query slice, decided from the images alone: "nearest", for every label
            the slice that looks most like the query's; "all", all of them.
        components: which 3D components of a label to keep: "support" (as many as the support has), "one" or "none"
            (no filter).
        estimate_quality: segment the support in reverse to estimate each label's Dice.
        progress: show a progress bar over the slices.

    Raises:
        InputError: for an unknown choice or component rule, or a batch size below 1.
    """

    batch_size: int = 8
    choice: SupportChoice = "nearest"
    components: ComponentRule = "support"
    estimate_quality: bool = True
    progress: bool = False

    def __post_init__(self) -> None:
        if self.choice not in ("nearest", "all"):
            raise InputError(f"choice is '{self.choice}'; choose 'nearest' or 'all'.")
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
) -> Prediction:
    """Segment every slice of a volume.

    Args:
        volume: (C, X, Y, Z), normalised as the support was, axes L, P, S.
        support: what to look for.
        network: what to look with; it is put into evaluation mode.
        settings: how; the defaults of `OneShotSettings` when left out.
        cache: of features; a volume or support that was seen before is not encoded again.

    Raises:
        InputError: the support was made for another encoder.
    """
    settings = settings or OneShotSettings()
    network.eval()
    support.check_encoder(network)
    pass_ = _Pass(volume, support, network, settings, cache or FeatureCache())
    for start in tqdm(
        range(0, len(pass_.slices), settings.batch_size),
        "Segmenting",
        unit="batch",
        disable=not settings.progress,
        leave=None,  # under the bar of several volumes, each one's goes when it is done
    ):
        pass_.segment(range(start, min(start + settings.batch_size, len(pass_.slices))))
    return pass_.finish()


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
        self.adjacent = network.slice_adapter is not None
        batches = support.images.split(settings.batch_size)
        self.support_features = torch.cat([cache.encode(network, images) for images in batches])
        masks = support.one_hot().to(self.support_features.device)
        self.prototypes = network.matching.build(self.support_features[None], masks[None])
        self.descriptors = _descriptors(self.support_features)
        shape = (len(self.slices), *self.slices.shape[-2:])
        self.winner = np.zeros(shape, np.uint8)  # position of the label among the support's, from 1
        # Probability of the winner in steps of 1/255: a float map per label would not fit for a large volume.
        self.certainty = np.zeros(shape, np.uint8)
        self.serving = np.zeros((len(self.slices), len(support.labels)), int)  # support slice by query slice and label

    def segment(self, batch: range) -> None:
        """Encode, match and bring to the grid a few slices."""
        height, width = self.slices.shape[-2:]
        for index, features in zip(batch, self._encode(batch)):
            prototypes, self.serving[index] = self._choose(features)
            logits = self.network.matching.match(features[None, None], prototypes)[0, 0]
            self.winner[index], self.certainty[index] = _to_grid(logits, height, width)

    def finish(self) -> Prediction:
        """Filter components, number labels by the support's values, and say what was found."""
        label_map = np.zeros_like(self.winner)
        confidence: dict[str, float] = {}
        largest: dict[str, int] = {}  # slice on which a label is largest, for those that were found
        for position, (name, value) in enumerate(self.support.labels.items(), start=1):
            mask = self._keep_components(self.winner == position, name)
            label_map[mask] = value
            if mask.any():
                confidence[name] = float(self.certainty[mask].mean()) / 255
                largest[name] = int(mask.sum(axis=(1, 2)).argmax())
        estimates = self._estimate(label_map, sorted(set(largest.values())))
        findings = {name: LabelFinding(0.0, None, None) for name in self.support.labels}
        for column, name in enumerate(self.support.labels):
            if name in largest:
                origin = self.support.origins[self.serving[largest[name], column]]
                findings[name] = LabelFinding(confidence[name], estimates.get(name), origin)
        return Prediction(label_map, findings)

    def _keep_components(self, mask: NDArray[np.bool_], name: str) -> NDArray[np.bool_]:
        if self.settings.components == "none":
            return mask
        count = self.support.components[name] if self.settings.components == "support" else 1
        return keep_most_confident(mask, self.certainty, count=count)

    def _encode(self, batch: range | list[int]) -> Tensor:
        images = network_input(self.slices, batch, size=self.size, adjacent=self.adjacent)
        return self.cache.encode(self.network, images)

    def _choose(self, features: Tensor) -> tuple[Prototypes, NDArray[np.int64]]:
        """Prototypes for one query slice, and the support slice nearest to it for every label."""
        similarity = (self.descriptors @ _descriptors(features[None])[0]).cpu()
        present = self.prototypes.present[0].cpu()  # L x N
        nearest = similarity.expand(len(present), -1).masked_fill(~present, -torch.inf).argmax(1)
        if self.settings.choice == "all":
            return self.prototypes, nearest.numpy()
        chosen = nearest[present.any(1)].unique()
        return self.prototypes.select(chosen.to(features.device)), nearest.numpy()

    def _estimate(self, label_map: NDArray[np.uint8], indices: list[int]) -> dict[str, float]:
        """Estimated Dice by label, from the slices where the labels are largest."""
        if not indices or not self.settings.estimate_quality:
            return {}
        found = torch.from_numpy(label_map[indices])
        numbered = torch.zeros_like(found)
        for position, value in enumerate(self.support.labels.values(), start=1):
            numbered[found == value] = position
        masks = fit_slices(numbered[:, None], self.size, "nearest")[:, 0]
        return reverse_dice(self.network.matching, self._encode(indices), masks, self.support_features, self.support)


def _descriptors(features: Tensor) -> Tensor:
    """Unit-length descriptors of whole slices, from features (B, C, h, w)."""
    pooled = F.adaptive_avg_pool2d(F.normalize(features, dim=1), DESCRIPTOR_GRID)
    return F.normalize(pooled.flatten(1), dim=1)


def _to_grid(logits: Tensor, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Winning class and its probability (in 1/255) on the slice's own grid, from logits (1 + L, h, w).

    A label that loses to the background in every cell loses to it in every pixel between cells too, so only the
    others are brought to full resolution, and an empty slice costs nothing.
    """
    contenders = (logits[1:] > logits[0]).flatten(1).any(1).nonzero()[:, 0] + 1
    if not len(contenders):
        empty = np.zeros((height, width), np.uint8)
        return empty, empty
    classes = torch.cat([contenders.new_zeros(1), contenders])
    log_probability = logits.log_softmax(0)[None, classes]
    best, winner = unfit_slices(log_probability, height, width)[0].max(0)
    return classes[winner].byte().cpu().numpy(), (best.exp() * 255).round().byte().cpu().numpy()
