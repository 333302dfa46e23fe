"""The contrastive loss on pairs of labelled slices: patches of one structure are alike, in either slice."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from protoseg.losses.matching import PairFeatures, label_shares
from protoseg.matching.matching import unit
from protoseg.moved import renamed_arguments

__all__ = ["ContrastivePairLoss", "contrast", "draw_patches"]

LEAST_SHARE = 0.5  # of a patch that its structure must fill; patches on borders are left out
UNCLEAR = -1


@renamed_arguments(cells="patches")
class ContrastivePairLoss(nn.Module):
    """Supervised contrast between the patches of a pair, both slices together.

    Every patch of a structure is pulled towards the other patches of it and pushed away from all else. The background
    is many things: its patches are contrasted with, but need not be alike. Patches are drawn by torch's generator, the
    same number of each structure where there are enough, so that large ones do not outvote the small.
    Source: supervised contrastive learning (Khosla et al., arXiv 2004.11362), equation 2.

    Args:
        labels: the highest label value.
        temperature: divisor of the cosine similarity.
        patches: largest number of patches drawn of each structure and of the background.
    """

    def __init__(self, *, labels: int, temperature: float = 0.1, patches: int = 32) -> None:
        super().__init__()
        self.labels = labels
        self.temperature = temperature
        self.patches = patches

    def forward(self, features: PairFeatures, target: Tensor) -> Tensor:
        """Compute the scalar loss of `PairFeatures` whose query has the labels (E, 1, H, W), 0 = background."""
        size = (features.support.shape[-2], features.support.shape[-1])
        shares = [label_shares(labels, self.labels, size) for labels in (features.support_labels, target[:, 0])]
        share, label = torch.cat([part.flatten(2) for part in shares], dim=2).max(1)  # E x P, P = 2 h w
        drawn, counted = draw_patches(label.masked_fill(share < LEAST_SHARE, UNCLEAR), self.patches)  # E x M
        vectors = torch.cat([features.support.flatten(2), features.query.flatten(2)], dim=2)  # E x C x P
        vectors = vectors.gather(2, drawn[:, None].expand(-1, vectors.shape[1], -1))
        with torch.autocast(target.device.type, enabled=False):  # the similarities are exponents
            vectors = unit(vectors.float(), dim=1)
            similarity = torch.bmm(vectors.transpose(1, 2), vectors) / self.temperature  # E x M x M
        return contrast(similarity, label.gather(1, drawn), counted)


def draw_patches(labels: Tensor, patches: int) -> tuple[Tensor, Tensor]:
    """Draw patches of every label, up to a number of each.

    Args:
        labels: (E, P) labels of the patches; those below 0 are not drawn.
        patches: largest number of patches of one label in one row.

    Returns:
        Indices of patches (E, M), and (E, M) True where they count; rows with fewer are filled up with others.
    """
    shuffled = (labels + torch.rand(labels.shape, dtype=torch.float64, device=labels.device)).argsort(1)
    in_order = labels.gather(1, shuffled)
    rank = torch.arange(labels.shape[1], device=labels.device) - torch.searchsorted(in_order, in_order)
    drawn = (rank < patches) & (in_order >= 0)
    most = int(drawn.sum(1).max())
    first = drawn.int().argsort(dim=1, descending=True, stable=True)[:, :most]
    return shuffled.gather(1, first), drawn.gather(1, first)


def contrast(similarity: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
    """Average, over patches, the cross entropy of their similarities (E, M, M) to the others of their label.

    `labels` (E, M) and `counted` (E, M) are those of the patches; patches of the background, label 0, and the only ones
    of their label are not averaged over. 0 where no patch is left.
    """
    others = counted[:, None] & ~torch.eye(labels.shape[1], dtype=torch.bool, device=labels.device)
    alike = others & (labels[:, None] == labels[..., None])
    # Finite: a row without others would have no gradient.
    log_share = similarity.masked_fill(~others, torch.finfo(similarity.dtype).min).log_softmax(2)
    number = alike.sum(2)
    entropy = -log_share.masked_fill(~alike, 0.0).sum(2) / number.clamp(min=1)
    asking = counted & (labels > 0) & (number > 0)
    return (entropy * asking).sum() / asking.sum().clamp(min=1)
