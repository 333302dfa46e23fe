"""The episodic loss on pairs of labelled slices: one structure of each pair against all that is not it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from protoseg.losses.matching import PRESENT, PairFeatures, label_shares
from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.networks.alpnet import EpisodeLoss, EpisodeOutput, alignment_loss

__all__ = ["EpisodicPairLoss"]


class EpisodicPairLoss(nn.Module):
    """`EpisodeLoss` of one structure a pair, drawn by torch's generator from those that both slices show.

    A pair without such a structure does not count. Source: SSL-ALPNet (Ouyang et al., ECCV 2020, section 3).

    Args:
        labels: the highest label value.
        alignment_weight: factor of the alignment loss.
    """

    def __init__(self, *, labels: int, alignment_weight: float = 1.0) -> None:
        super().__init__()
        self.labels = labels
        self.matching = AdaptivePrototypes()
        self.episode_loss = EpisodeLoss(alignment_weight=alignment_weight)

    def forward(self, features: PairFeatures, target: Tensor) -> Tensor:
        """Scalar loss of `PairFeatures` whose query has the labels (E, 1, H, W), 0 = background."""
        size = (features.support.shape[-2], features.support.shape[-1])
        support_area = label_shares(features.support_labels, self.labels, size).sum((-2, -1))  # E x (1 + labels)
        query_area = label_shares(target[:, 0], self.labels, size).sum((-2, -1))
        common = (torch.minimum(support_area, query_area) >= PRESENT)[:, 1:]
        pairs = common.any(1)
        if not pairs.any():
            return 0.0 * (features.support.sum() + features.query.sum())
        drawn = 1 + torch.multinomial(common[pairs].float(), 1)[..., None]  # E x 1 x 1
        masks = (features.support_labels[pairs] == drawn)[:, None, None].float()  # E x 1 x 1 x H x W
        support, query = features.support[pairs][:, None], features.query[pairs][:, None]
        with torch.autocast(target.device.type, enabled=False):  # the scores are exponential
            logits = self.matching.match(query, self.matching.build(support, masks))  # E x 1 x 2 x h x w
            aligned = alignment_loss(self.matching, support, query, logits, masks)
            at_image_size = F.interpolate(logits[:, 0], size=masks.shape[-2:], mode="bilinear")[:, None]
            return self.episode_loss(EpisodeOutput(at_image_size, aligned), target[pairs] == drawn[:, None])
