"""The one-shot engine: a support and a volume in, a label map with confidences out.

Each slice of the volume is encoded once and matched with all labels at once; the labels compete with each other and
with the background in one arg max, so they never overlap and an empty slice stays empty. Scores live at feature
resolution and are brought to the volume's own grid a few slices at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from protoseg.maths.slices import axial_slices, network_input, unfit_slices
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.maths.alpnet import ALPNet
from protoseg.maths.components import ComponentRule, keep_most_confident
from protoseg.maths.matching import Prototypes

__all__ = ["OneShotInferer", "Prediction", "SupportChoice", "segment"]

SupportChoice = Literal["nearest", "all"]

DESCRIPTOR_GRID = 4  # slice descriptors are features pooled to 4 x 4: coarse enough to compare two people


@dataclass(frozen=True)
class Prediction:
    """What the engine says about a volume of S slices of H x W pixels."""

    label_map: NDArray[np.uint8]  # S x H x W, label values of the support
    confidence: dict[str, float]  # mean probability of each label's voxels; 0 where it was not found


class OneShotInferer(Inferer):
    """Segments whole volumes from a support; the `inferer` of a MONAI evaluator.

    Args:
        support: what to look for.
        image_size: edge of the network's input in pixels, as the support was prepared.
        batch_size: slices encoded together.
        choice: which support slices serve a query slice, decided from the images alone: "nearest", for every label
            the slice that looks most like the query's; "all", all of them.
        components: which 3D components of a label to keep: "one", "support" (as many as the support has) or "none"
            (no filter).
        progress: show a progress bar over the slices.
    """

    def __init__(
        self,
        *,
        support: SupportSet,
        image_size: int,
        batch_size: int = 8,
        choice: SupportChoice = "nearest",
        components: ComponentRule = "support",
        progress: bool = False,
    ) -> None:
        super().__init__()
        if choice not in ("nearest", "all"):
            raise InputError(f"choice is '{choice}'; choose 'nearest' or 'all'.")
        if components not in ("none", "one", "support"):
            raise InputError(f"components is '{components}'; choose 'none', 'one' or 'support'.")
        self.support = support
        self.image_size = image_size
        self.batch_size = batch_size
        self.choice: SupportChoice = choice
        self.components: ComponentRule = components
        self.progress = progress

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> MetaTensor:
        """Segment one volume.

        Args:
            inputs: (1, C, X, Y, Z), normalised, axes L, P, S; a `MetaTensor` keeps its metadata.
            network: the `ALPNet`.
            *args: not used; MONAI's interface.
            **kwargs: not used; MONAI's interface.

        Returns:
            (1, 1, X, Y, Z) float32 label map with the input's metadata and, under "confidence", the mean
            probability of every label (a tensor of one value).
        """
        prediction = segment(
            inputs[0],
            self.support,
            network,
            image_size=self.image_size,
            batch_size=self.batch_size,
            choice=self.choice,
            components=self.components,
            progress=self.progress,
        )
        label_map = torch.from_numpy(prediction.label_map.transpose(2, 1, 0))[None, None].float()
        meta = dict(inputs.meta) if isinstance(inputs, MetaTensor) else {}
        # MONAI takes batched metadata apart along its first axis, and this is a batch of one.
        confidence = {name: torch.tensor([value]) for name, value in prediction.confidence.items()}
        return MetaTensor(label_map, meta={**meta, "confidence": confidence})


@torch.no_grad()
def segment(
    volume: Tensor,
    support: SupportSet,
    network: ALPNet,
    *,
    image_size: int,
    batch_size: int = 8,
    choice: SupportChoice = "nearest",
    components: ComponentRule = "support",
    progress: bool = False,
) -> Prediction:
    """Segment every slice of a volume (C, X, Y, Z), axes L, P, S; see `OneShotInferer` for the arguments."""
    network.eval()
    device = next(network.parameters()).device
    support_features = _encode(network, support.images, batch_size, device)
    masks = support.one_hot()[None].to(device)
    prototypes = network.matching.build(support_features[None], masks)

    slices = axial_slices(volume)
    height, width = slices.shape[-2:]
    winner = np.zeros((len(slices), height, width), np.uint8)
    # Probability of the winner in steps of 1/255: a float map per label would not fit for a large volume.
    certainty = np.zeros_like(winner)
    adjacent = network.slice_adapter is not None
    for start in tqdm(range(0, len(slices), batch_size), desc="Segmenting", unit="batch", disable=not progress):
        batch = range(start, min(start + batch_size, len(slices)))
        images = network_input(slices, batch, size=image_size, adjacent=adjacent)
        features = network.encode(images.to(device))
        logits = _match(network, features, prototypes, support_features, choice)
        for index, slice_logits in zip(batch, logits):
            probability = unfit_slices(slice_logits[None], height, width).softmax(1)[0]
            best, label = probability.max(0)
            winner[index] = label.cpu().numpy()
            certainty[index] = (best * 255).round().byte().cpu().numpy()
    return _finish(winner, certainty, support, components)


def _encode(network: ALPNet, images: Tensor, batch_size: int, device: torch.device) -> Tensor:
    return torch.cat([network.encode(batch.to(device)) for batch in images.split(batch_size)])


def _match(
    network: ALPNet, features: Tensor, prototypes: Prototypes, support_features: Tensor, choice: SupportChoice
) -> Tensor:
    """Logits (B, 1 + L, h, w) of query features (B, C, h, w)."""
    if choice == "all":
        return torch.cat([network.matching.match(one[None, None], prototypes)[0] for one in features])
    similarity = _descriptors(features) @ _descriptors(support_features).T  # B x N
    matched = []
    for one, chosen in zip(features, _nearest(similarity, prototypes.present[0])):
        matched.append(network.matching.match(one[None, None], prototypes.select(chosen))[0])
    return torch.cat(matched)


def _descriptors(features: Tensor) -> Tensor:
    """Unit-length descriptors of whole slices, from features (B, C, h, w)."""
    pooled = F.adaptive_avg_pool2d(F.normalize(features, dim=1), DESCRIPTOR_GRID)
    return F.normalize(pooled.flatten(1), dim=1)


def _nearest(similarity: Tensor, present: Tensor) -> Iterator[Tensor]:
    """For every query slice, the support slices that are most alike for some label: sorted indices.

    Args:
        similarity: B x N.
        present: L x N, which labels a support slice shows.
    """
    for row in similarity:
        per_label = row.expand(len(present), -1).masked_fill(~present, -torch.inf)
        yield per_label.argmax(1)[present.any(1)].unique()


def _finish(
    winner: NDArray[np.uint8], certainty: NDArray[np.uint8], support: SupportSet, components: ComponentRule
) -> Prediction:
    """Filter components and number labels by the support's values."""
    label_map = np.zeros_like(winner)
    confidence = {}
    for position, (name, value) in enumerate(support.labels.items(), start=1):
        mask = winner == position
        if components != "none":
            count = support.components[name] if components == "support" else 1
            mask = keep_most_confident(mask, certainty, count=count)
        label_map[mask] = value
        confidence[name] = float(certainty[mask].mean()) / 255 if mask.any() else 0.0
    return Prediction(label_map, confidence)
