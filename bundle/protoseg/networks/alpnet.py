"""ALPNet: an encoder, an optional slice adapter, and a matching of query with support.

Source: SSL-ALPNet (Ouyang et al., ECCV 2020) and DINOv2-ALPNet (arXiv 2403.03273).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.matching.matching import Matching
from protoseg.networks.frozen import FrozenEncoder
from protoseg.ops.fingerprint import weights_fingerprint
from protoseg.ops.precision import autocast

__all__ = ["ALPNet", "EpisodeLoss", "EpisodeOutput", "alignment_loss"]

BACKGROUND_WEIGHT = 0.05  # of the cross entropy, as published: the label's pixels are few among the background's
IGNORED = -100


class EpisodeOutput(NamedTuple):
    """What a training step needs of a batch of episodes."""

    logits: Tensor  # E x Q x (1 + L) x H x W
    alignment_loss: Tensor  # scalar


class ALPNet(nn.Module):
    """One-shot segmentation network: it segments a query slice by the prototypes of a labelled support.

    Args:
        encoder: `(B, 3, H, W) -> (B, C, h, w)`.
        matching: `AdaptivePrototypes` (published, the default) or another `Matching`.
        slice_adapter: three adjacent slices -> the encoder's input; without it each slice is given three times.
        precision: "auto", "float32", "bfloat16" or "float16" for the encoder; the matching is always float32.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        matching: Matching | None = None,
        slice_adapter: nn.Module | None = None,
        precision: str = "float32",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.matching = AdaptivePrototypes() if matching is None else matching
        self.slice_adapter = slice_adapter
        self.precision = precision

    def encode(self, slices: Tensor) -> Tensor:
        """Features (B, C, h, w), float32, of slices (B, 3, H, W): three adjacent slices, or one slice repeated."""
        with autocast(slices.device, self.precision):
            if self.slice_adapter is not None:
                slices = self.slice_adapter(slices)
            return self.encoder(slices).float()

    def freeze(self) -> FrozenEncoder:
        """Make a copy of what encodes, as it is now, for inference; whoever changes weights freezes anew."""
        return FrozenEncoder(
            encoder=self.encoder,
            slice_adapter=self.slice_adapter,
            precision=self.precision,
            fingerprint=self.encoding_fingerprint(),
        )

    def encoding_fingerprint(self) -> str:
        """Compute digits that stand for all that `encode` depends on, number format and device aside.

        It reads every weight; a frozen encoder knows its own.
        """
        return "-".join(weights_fingerprint(part) for part in (self.slice_adapter, self.encoder) if part is not None)

    def forward(
        self, images: Tensor, support_images: Tensor | None = None, support_masks: Tensor | None = None
    ) -> Tensor | EpisodeOutput:
        """Features of plain slices, or the segmentation of the query slices of episodes.

        Args:
            images: (B, 3, H, W) to be encoded; or, with a support, the query slices (E, Q, 3, H, W).
            support_images: (E, S, 3, H, W).
            support_masks: (E, L, S, H, W), 0 or 1; labels of one episode do not overlap.

        Returns:
            (B, C, h, w) features without a support, else an `EpisodeOutput`.
        """
        if support_images is None or support_masks is None:
            return self.encode(images)
        shots, queries = support_images.shape[1], images.shape[1]
        features = self.encode(torch.cat([support_images, images], dim=1).flatten(0, 1))
        support, query = features.unflatten(0, (len(images), shots + queries)).split([shots, queries], dim=1)
        logits = self.matching.match(query, self.matching.build(support, support_masks))
        aligned = alignment_loss(self.matching, support, query, logits, support_masks)
        return EpisodeOutput(_resize(logits, support_masks.shape[-2:]), aligned)


def alignment_loss(matching: Matching, support: Tensor, query: Tensor, logits: Tensor, masks: Tensor) -> Tensor:
    """Prototype alignment: the query under its own prediction, as support, must give back the support's masks.

    Each label is matched alone against the predicted background; one that was predicted nowhere does not count.
    Cross entropy with equal weights, averaged over labels, shots and episodes. Source: PANet (Wang et al., ICCV
    2019, section 3.4).

    Args:
        matching: what made the logits.
        support: E x S x C x h x w, features.
        query: E x Q x C x h x w, features.
        logits: E x Q x (1 + L) x h x w, of the query.
        masks: E x L x S x H x W, 0 or 1, the ground truth on the support.

    Returns:
        A scalar.
    """
    episodes, labels, shots = masks.shape[:3]
    size = masks.shape[-2:]
    predicted = F.one_hot(logits.argmax(2), 1 + labels).permute(0, 4, 1, 2, 3).float()  # E x (1 + L) x Q x h x w
    found = predicted[:, 1:].flatten(2).any(2)  # E x L
    prototypes = matching.build(query, predicted[:, 1:])
    per_label = []
    for label in range(labels):
        prediction = _resize(matching.match(support, prototypes.only(label)), size)  # E x S x 2 x H x W
        target = masks[:, label].long().masked_fill((masks.sum(1) - masks[:, label]) > 0, IGNORED)
        loss = F.cross_entropy(prediction.flatten(0, 1), target.flatten(0, 1), reduction="none", ignore_index=IGNORED)
        counted = (target != IGNORED).flatten(0, 1).sum((1, 2)).clamp(min=1)
        per_label.append((loss.sum((1, 2)) / counted).reshape(episodes, shots).mean(1))
    return (torch.stack(per_label, dim=1) * found).mean()


class EpisodeLoss(nn.Module):
    """Weighted cross entropy on the query plus the alignment loss (weights as published).

    Args:
        alignment_weight: factor of the alignment loss; 0 leaves it out.
    """

    def __init__(self, *, alignment_weight: float = 1.0) -> None:
        super().__init__()
        self.alignment_weight = alignment_weight

    def forward(self, output: EpisodeOutput, target: Tensor) -> Tensor:
        """Scalar loss of an `EpisodeOutput` against query labels (E, Q, H, W), 0 = background, 1.. = label."""
        entropy = self.cross_entropy(output.logits.flatten(0, 1), target.flatten(0, 1).long())
        return entropy + self.alignment_weight * output.alignment_loss

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean over pixels, weighted by class, of logits (B, 1 + L, H, W) against labels (B, H, W)."""
        return F.cross_entropy(logits, target, weight=self.class_weights(logits))

    def class_weights(self, logits: Tensor) -> Tensor:
        """Weights (1 + L) of the background and of each label."""
        weights = torch.ones(logits.shape[1], device=logits.device)
        weights[0] = BACKGROUND_WEIGHT
        return weights


def _resize(maps: Tensor, size: torch.Size) -> Tensor:
    """Bilinear resize of (E, Q, K, h, w) to (E, Q, K, H, W)."""
    resized = F.interpolate(maps.flatten(0, 1), size=size, mode="bilinear", align_corners=False)
    return resized.unflatten(0, maps.shape[:2])
