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

BACKGROUND_WEIGHT = 0.05  # weight in the cross entropy, as published: background pixels far outnumber the label's
IGNORED = -100


class EpisodeOutput(NamedTuple):
    """Outputs for a batch of episodes that a training step needs."""

    logits: Tensor  # E x Q x (1 + L) x H x W
    alignment_loss: Tensor  # scalar


class ALPNet(nn.Module):
    """One-shot segmentation network: it segments a query slice by the prototypes of a labelled support.

    Args:
        encoder: encoder `(B, 3, H, W) -> (B, C, h, w)`.
        matching: `AdaptivePrototypes` (published, the default) or another `Matching`.
        slice_adapter: module that turns three adjacent slices into the encoder's input; without it each slice is
            repeated three times.
        precision: "auto", "float32", "bfloat16" or "float16", number format of the encoder; the matching is always
            float32.
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
        """Encode slices (B, 3, H, W), three adjacent ones or one repeated, to features (B, C, h, w), float32."""
        with autocast(slices.device, self.precision):
            if self.slice_adapter is not None:
                slices = self.slice_adapter(slices)
            return self.encoder(slices).float()

    def freeze(self) -> FrozenEncoder:
        """Copy the encoding parts as they are now, for inference; freeze again after weights have changed."""
        return FrozenEncoder(
            encoder=self.encoder,
            slice_adapter=self.slice_adapter,
            precision=self.precision,
            fingerprint=self.encoding_fingerprint(),
        )

    def encoding_fingerprint(self) -> str:
        """Compute digits that stand for everything `encode` depends on, except number format and device.

        It reads every weight; a frozen encoder knows its own.
        """
        return "-".join(weights_fingerprint(part) for part in (self.slice_adapter, self.encoder) if part is not None)

    def forward(
        self, images: Tensor, support_images: Tensor | None = None, support_masks: Tensor | None = None
    ) -> Tensor | EpisodeOutput:
        """Encode plain slices, or segment the query slices of episodes.

        Args:
            images: (B, 3, H, W) slices to encode; or, with a support, the query slices (E, Q, 3, H, W).
            support_images: (E, S, 3, H, W) slices of the support.
            support_masks: (E, L, S, H, W) masks of the support, 0 or 1; labels of one episode do not overlap.

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
    """Compute the prototype alignment: the query, as support under its own prediction, must give the support's masks.

    Each label is matched alone against the predicted background; a label predicted nowhere does not count.
    Cross entropy with equal weights, averaged over labels, shots and episodes. Source: PANet (Wang et al., ICCV
    2019, section 3.4).

    Args:
        matching: matching that made the logits.
        support: (E, S, C, h, w) features of the support.
        query: (E, Q, C, h, w) features of the query.
        logits: (E, Q, 1 + L, h, w) logits of the query.
        masks: (E, L, S, H, W) ground truth on the support, 0 or 1.

    Returns:
        Scalar loss.
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
        """Compute the loss of an `EpisodeOutput` against query labels (E, Q, H, W), 0 = background, 1.. = label."""
        entropy = self.cross_entropy(output.logits.flatten(0, 1), target.flatten(0, 1).long())
        return entropy + self.alignment_weight * output.alignment_loss

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Average the class-weighted cross entropy of logits (B, 1 + L, H, W) and labels (B, H, W) over pixels."""
        return F.cross_entropy(logits, target, weight=self.class_weights(logits))

    def class_weights(self, logits: Tensor) -> Tensor:
        """Give the weights (1 + L) of the background and of each label."""
        weights = torch.ones(logits.shape[1], device=logits.device)
        weights[0] = BACKGROUND_WEIGHT
        return weights


def _resize(maps: Tensor, size: torch.Size) -> Tensor:
    """Resize maps (E, Q, K, h, w) bilinearly to (E, Q, K, H, W)."""
    resized = F.interpolate(maps.flatten(0, 1), size=size, mode="bilinear", align_corners=False)
    return resized.unflatten(0, maps.shape[:2])
