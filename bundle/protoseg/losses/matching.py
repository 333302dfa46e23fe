"""The matching loss: two labelled slices must find each other's structures, all of them at once.

Every patch of one slice asks the patches of the other as in `KernelMatching`; cross entropy against the shares of the
structures in the patch. Structures count alike whatever their size. One that only the asking slice shows must be
matched to something common, not to another organ: a support rarely shows everything that a scan holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from protoseg.matching.kernel_matching import PROBABILITY_FLOOR, KernelMatching
from protoseg.matching.matching import unit
from protoseg.moved import renamed_arguments

__all__ = ["PRESENT", "MatchingLoss", "PairEncoding", "PairFeatures", "label_shares"]

SMALLEST_AREA = 20.0  # patches in a batch; smaller structures are not weighted up any further
PRESENT = 1.0  # patches that a structure must fill on a slice to be looked for on the other


class PairFeatures(NamedTuple):
    """The features and labels of a batch of pairs."""

    support: Tensor  # E x C x h x w
    query: Tensor  # E x C x h x w
    support_labels: Tensor  # E x H x W


class PairEncoding:
    """Encodes the two slices of labelled episodes; the trainer's `inferer`."""

    def __call__(
        self, images: Tensor, network: nn.Module, *, support_images: Tensor, support_masks: Tensor
    ) -> PairFeatures:
        """Encode query (E, 1, 3, H, W) and support (E, 1, 3, H, W), whose labels are (E, 1, 1, H, W)."""
        support, query = network(torch.cat([support_images, images]).flatten(0, 1)).chunk(2)
        return PairFeatures(support, query, support_masks[:, 0, 0])


@renamed_arguments(novelty="rejection_threshold")
class MatchingLoss(nn.Module):
    """Cross entropy of kernel matching, both ways.

    Args:
        labels: the highest label value.
        backdrop: values, 0 included, that a structure missing from the other slice may be matched to; where there are
            none, such structures do not count.
        scale: inverse temperature of the votes, see `KernelMatching`.
        rejection_threshold: rejection threshold of the votes, see `KernelMatching`; with one, a structure missing from
            the other slice may also be matched to nothing in it.
    """

    def __init__(
        self,
        *,
        labels: int,
        backdrop: Sequence[int] = (),
        scale: float = 20.0,
        rejection_threshold: float | None = None,
    ) -> None:
        super().__init__()
        self.labels = labels
        self.backdrop = list(backdrop)
        self.voting = KernelMatching(scale=scale, rejection_threshold=rejection_threshold)

    def forward(self, features: PairFeatures, target: Tensor) -> Tensor:
        """Compute the scalar loss of `PairFeatures` whose query has the labels (E, 1, H, W), 0 = background."""
        size = (features.support.shape[-2], features.support.shape[-1])
        support_shares = label_shares(features.support_labels, self.labels, size)
        query_shares = label_shares(target[:, 0], self.labels, size)
        with torch.autocast(target.device.type, enabled=False):  # the votes are exponential
            weights = self._weights(features.support, features.query)
            there = self._one_way(support_shares, query_shares, weights)
            back = self._one_way(query_shares, support_shares, weights.transpose(1, 2))
        return (there + back) / 2

    def _weights(self, support: Tensor, query: Tensor) -> Tensor:
        """Weights of the votes between patches (E, support patches, query patches), the same both ways."""
        vectors = self.voting.scale * unit(support.float().flatten(2), dim=1)
        cosines = torch.bmm(vectors.transpose(1, 2), unit(query.float().flatten(2), dim=1))
        return (cosines - self.voting.scale).exp()

    def _one_way(self, support_shares: Tensor, query_shares: Tensor, weights: Tensor) -> Tensor:
        votes = torch.bmm(support_shares.flatten(2), weights)  # E x (1 + labels) x query patches
        novel = self.voting.rejection_vote
        total = votes.sum(1, keepdim=True) + novel
        shares = (votes / total).unflatten(2, query_shares.shape[-2:])
        log_votes = (shares + PROBABILITY_FLOOR).log()
        support_area = support_shares.sum((-2, -1), keepdim=True)
        sought, foreign = query_shares * (support_area >= PRESENT), query_shares * (support_area == 0)
        weight = _balanced(sought)
        loss = -(weight * log_votes).sum()
        if self.backdrop:
            unclaimed = (novel / total).unflatten(2, query_shares.shape[-2:])
            common = (shares[:, self.backdrop].sum(1, keepdim=True) + unclaimed + PROBABILITY_FLOOR).log()
            foreign_weight = _balanced(foreign)
            loss = loss - (foreign_weight * common).sum()
            weight = weight + foreign_weight
        return loss / weight.sum()


def _balanced(shares: Tensor) -> Tensor:
    """Weights of the shares (E, K, h, w) that make every label of the batch count alike."""
    return shares / (shares.sum((0, 2, 3), keepdim=True) + SMALLEST_AREA)


def label_shares(labels: Tensor, highest: int, size: tuple[int, int]) -> Tensor:
    """Compute the share of every label (E, 1 + highest, h, w) in the patches of label maps (E, H, W).

    H and W are multiples of h and w.
    """
    episodes, height, width = labels.shape
    rows, columns = height // size[0], width // size[1]
    patches = labels.long().reshape(episodes, size[0], rows, size[1], columns).transpose(2, 3).flatten(3)
    counts = torch.zeros(*patches.shape[:3], 1 + highest, device=labels.device)
    counts.scatter_add_(3, patches, torch.ones_like(patches, dtype=counts.dtype))
    return counts.permute(0, 3, 1, 2) / (rows * columns)
