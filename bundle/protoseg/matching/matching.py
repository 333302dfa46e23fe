"""The interface of matching a query with a support."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

__all__ = ["Matching", "Prototypes", "unit"]

NORM_FLOOR = 1e-4
SLICES_AT_ONCE, PATCHES_AT_ONCE = 16, 16 * 1024


@dataclass(frozen=True)
class Prototypes:
    """Unit-length prototypes of a support and the classes they belong to; class 0 is the background."""

    patches: Tensor  # E x S x N x C, or x K in a basis
    membership: Tensor  # E x (1 + L) x S x N, the share of each prototype that counts for the class
    present: Tensor  # E x L x S, True where the label is drawn on the slice
    likeness: Tensor | None = None  # E x S, cosine of each slice to the query's; None: not known
    known: Tensor | None = None  # E x L x S, False where the label was left out, there or not; None: all True
    weights: Tensor | None = None  # E x S, 0 to 1, by which the votes of each slice are multiplied; None: 1
    chosen: tuple[int, ...] | None = None  # support slices that serve; None: all
    basis: Tensor | None = None  # E x C x K, in which patches are given; None: in the channels of the features
    emphasis: Tensor | None = None  # E x L, by which the votes for each label are multiplied; None: 1

    @property
    def serving(self) -> tuple[int, ...]:
        """Indices of the support slices that serve."""
        return tuple(range(self.patches.shape[1])) if self.chosen is None else self.chosen

    def serve(self, slices: Tensor) -> Prototypes:
        """Let only some support slices serve, as `select`, but without a copy of their patches, which are large."""
        return replace(self, chosen=tuple(slices.tolist()))

    def select(self, slices: Tensor) -> Prototypes:
        """Keep only the prototypes of some support slices, given by their indices, in order and each once."""
        if self.chosen is None and len(slices) == self.patches.shape[1]:
            return self
        return replace(
            self,
            patches=self.patches[:, slices],
            membership=self.membership[:, :, slices],
            present=self.present[:, :, slices],
            likeness=None if self.likeness is None else self.likeness[:, slices],
            known=None if self.known is None else self.known[:, :, slices],
            weights=None if self.weights is None else self.weights[:, slices],
            chosen=None,
        )

    def only(self, label: int) -> Prototypes:
        """Keep the prototypes of the background and one label (counted from 0)."""
        return replace(
            self,
            membership=self.membership[:, [0, 1 + label]],
            present=self.present[:, [label]],
            known=None if self.known is None else self.known[:, [label]],
            emphasis=None if self.emphasis is None else self.emphasis[:, [label]],
        )

    def of_channels(self, channels: slice) -> Prototypes:
        """Keep only some channels of the features."""
        return replace(self, patches=unit(self.patches[..., channels]))

    def parts(self) -> Iterator[Prototypes]:
        """Split by a few support slices at a time: the similarities of hundreds would not fit into memory."""
        slices_at_once = min(SLICES_AT_ONCE, max(1, PATCHES_AT_ONCE // self.patches.shape[2]))
        for slices in torch.tensor(self.serving, device=self.patches.device).split(slices_at_once):
            yield self.select(slices)


class Matching(nn.Module, ABC):
    """Turns a labelled support into prototypes, and query features into class scores.

    Two steps, because a support is built once and matched with every slice of every scan.
    """

    @abstractmethod
    def build(self, features: Tensor, masks: Tensor, known: Tensor | None = None) -> Prototypes:
        """Make prototypes of a support.

        Args:
            features: (E, S, C, h, w) features of the support.
            masks: (E, L, S, H, W) masks, 0 or 1, at image resolution.
            known: (E, L, S) mask, False where a label was not labelled: the slice may show it all the same. None for
                True everywhere.
        """

    def reduce(self, prototypes: Prototypes) -> Prototypes:
        """Make prototypes cheaper to match with, where that changes next to nothing; `evidence` alone takes them."""
        return prototypes

    @abstractmethod
    def match(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Compute logits (E, Q, 1 + L, h, w) of query features (E, Q, C, h, w); class 0 is the background."""

    def evidence(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Collect the input of `decide`: a volume's slices are matched before they are compared."""
        return self.match(query, prototypes)

    def decide(self, evidence: Tensor, unlikeness: Tensor | None = None) -> Tensor:
        """Make logits (E, Q, 1 + L, h, w) from `evidence`.

        Args:
            evidence: (E, Q, any, h, w) output of `evidence`.
            unlikeness: (E, Q) difference of each slice's cosine to the support from that of the slice of the same
                volume that is most like the support; by default 0.
        """
        return evidence


def unit(vectors: Tensor, dim: int = -1) -> Tensor:
    """Scale vectors to unit length; shorter ones than 1e-4 are divided by 1e-4, as published."""
    # As F.normalize, which takes eight times as long except along the last axis. The bound comes before the root,
    # whose slope at 0 has no end.
    return vectors / vectors.square().sum(dim, keepdim=True).clamp(min=NORM_FLOOR**2).sqrt()
