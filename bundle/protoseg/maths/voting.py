"""Cell voting: every support cell votes for the labels drawn in it.

A query cell asks all cells of the support; each answers with the share of every label in it, weighted by
``softmax(scale * cosine)`` over all of them. Labels and background share one softmax, so a look-alike cell of one
organ is counter-evidence for the others. Unlike pooled prototypes no cell is discarded, boundary cells count by
their share, and organs too small for a pooled prototype keep their vote.

What the support does not show has to be taken for something, too. One more vote for the background, as of a cell of
a fixed cosine, outvotes the support where nothing in it looks like the query.

It is a Nadaraya-Watson estimate, the attention read-out of matching networks (Vinyals et al., NeurIPS 2016) on
dense features.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from protoseg.errors import InputError
from protoseg.maths.matching import Matching, Prototypes, unit

__all__ = ["CellVoting"]

PROBABILITY_FLOOR = 1e-4  # keeps the logarithm finite; below it a label is out of the question anyway


class CellVoting(Matching):
    """Matching by a weighted vote of all support cells.

    Args:
        scale: inverse temperature of the cosine similarity; higher lets only the nearest cells vote. At most 60,
            beyond which sums of ``exp`` may leave the range of float32.
        novelty: cosine of the vote for the background that does not come from the support, -1 to 1; None: no such
            vote.

    Raises:
        InputError: either is out of its range.
    """

    def __init__(self, *, scale: float = 30.0, novelty: float | None = None) -> None:
        super().__init__()
        if not 0 < scale <= 60:
            raise InputError(f"scale of CellVoting is {scale}; it must lie between 0 and 60.")
        if novelty is not None and not -1 <= novelty <= 1:
            raise InputError(f"novelty of CellVoting is {novelty}; it must lie between -1 and 1, or be null.")
        self.scale = scale
        self.novelty = novelty

    @property
    def novel_vote(self) -> float:
        """Weight of the vote that does not come from the support."""
        return 0.0 if self.novelty is None else math.exp(self.scale * self.novelty)

    def build(self, features: Tensor, masks: Tensor) -> Prototypes:
        """One prototype a feature cell; a class owns the share of the cell that its mask covers."""
        size = (features.shape[-2], features.shape[-1])
        features = features.float()
        shares = F.adaptive_avg_pool2d(masks.flatten(0, 2)[:, None].float(), size).reshape(*masks.shape[:3], *size)
        background = (1 - shares.sum(1, keepdim=True)).clamp(min=0)
        return Prototypes(
            cells=unit(features.flatten(-2).transpose(-1, -2)),
            membership=torch.cat([background, shares], dim=1).flatten(-2),
            present=shares.flatten(-2).any(-1),
        )

    def match(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Log-probabilities (E, Q, 1 + L, h, w) of query cells (E, Q, C, h, w)."""
        vectors = self.scale * unit(query.float().flatten(-2), dim=2)
        classes = torch.arange(prototypes.membership.shape[1], device=query.device)
        votes = self.novel_vote * (classes == 0)[:, None]
        for part in prototypes.parts():
            weights = torch.einsum("esnc,eqcx->eqsnx", part.cells, vectors).exp_()
            votes = votes + torch.einsum("eksn,eqsnx->eqkx", part.membership, weights)
        shares = votes / votes.sum(2, keepdim=True)
        return (shares + PROBABILITY_FLOOR).log().unflatten(-1, query.shape[-2:])
