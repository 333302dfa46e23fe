"""Kernel matching: every support patch votes for the labels drawn in it.

A query patch asks all patches of the support; each answers with the share of every label in it, weighted by
``exp(scale * selectivity * cosine)``. Labels and background share one normalization, so a look-alike patch of one
organ is counter-evidence for the others. Unlike pooled prototypes no patch is discarded, boundary patches count by
their share, and organs too small for a pooled prototype keep their vote.

The sum of a class is raised to the power of ``1 / selectivity``. A class that is drawn in few patches would be outvoted
by one that is drawn in many; a selective vote is decided by the patches that are most alike, of which every class has
some, and its probabilities stay as soft as those of ``exp(scale * cosine)``.

The votes of a class are averaged over the slices that show it: more support adds patches that are more alike, and
neither outvotes a label that few slices show nor the bound below. Slices that look like the query's count for more.
Slices may have weights below 1: their votes are multiplied by these, and count as so many slices in the average; fewer
than one are divided by one, so that little weight is little evidence.

A slice that was labelled for some labels only says nothing against the others: each label is held against the
background of those slices alone on which it would be drawn. The odds of all labels then share one normalization; where
every slice knows every label, this is the vote above.

What the support does not show has to be taken for something, too. One more vote for the background, as of a patch of
a certain cosine, outvotes the support where nothing in it looks like the query. On slices that look less like the
support than others of the volume more is new, and the bound is higher.

A small or thin label covers its patches in part, so that they vote for the rest as well, and it would be outvoted
everywhere. How much it lacks is seen on its own masks (`matching/small_labels.py`), and its votes are raised by that.

It is a Nadaraya-Watson estimate, the attention read-out of matching networks (Vinyals et al., NeurIPS 2016) on
dense features.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from protoseg.errors import InputError
from protoseg.matching.low_rank import low_rank
from protoseg.matching.matching import Matching, Prototypes, unit
from protoseg.matching.small_labels import area_log_odds
from protoseg.moved import renamed_arguments

__all__ = ["KernelMatching"]

PATCHES_AT_ONCE = 1024  # of support and of query: their weights stay in the processor's cache until they are summed
# Least exponent of a vote, which counts for nothing then: arithmetic with denormal numbers is six times as slow.
LEAST_EXPONENT = -80.0
AREA_CORRECTION = 1.0  # found on the suite, see docs/engine_defaults.md
PROBABILITY_FLOOR = 1e-4  # keeps the logarithm finite; below it a label is out of the question anyway


@renamed_arguments(novelty="rejection_threshold", novelty_slope="rejection_slope", novelty_rise="rejection_rise")
class KernelMatching(Matching):
    """Matching by a weighted vote of all support patches.

    Args:
        scale: inverse temperature of the cosine similarity, at most 60; the higher, the more certain the probabilities.
        rejection_threshold: cosine, -1 to 1, of the background's vote that does not come from the support; None for no
            such vote.
        selectivity: factor, 1 to 4, by which votes within a class favor the most similar patches more than `scale`
            says.
        rejection_slope: rise of `rejection_threshold` with the unlikeness of a slice, see `decide`.
        rejection_rise: largest rise of `rejection_threshold`.
        slice_scale: inverse temperature of the cosine between whole slices: the votes of a support slice count
            ``exp(slice_scale * (cosine - largest cosine))`` times; 0 to count all alike.
        energy: share, above 0 and at most 1, of the prototypes' squared length that `reduce` keeps; 1 to keep all.
        area_correction: share, 0 to 1, of the log odds that labels lack to be found with their own areas, by which
            their votes are raised; in training mode none.

    Raises:
        InputError: one is out of its range.
    """

    def __init__(
        self,
        *,
        scale: float = 30.0,
        rejection_threshold: float | None = None,
        selectivity: float = 1.0,
        rejection_slope: float = 0.0,
        rejection_rise: float = 0.0,
        slice_scale: float = 0.0,
        energy: float = 0.999,
        area_correction: float = AREA_CORRECTION,
    ) -> None:
        super().__init__()
        if not 0 < scale <= 60:
            raise InputError(f"scale of KernelMatching is {scale}; it must lie between 0 and 60.")
        if rejection_threshold is not None and not -1 <= rejection_threshold <= 1:
            raise InputError(
                f"rejection_threshold of KernelMatching is {rejection_threshold}; it must lie between -1 and 1, or be "
                "null."
            )
        if not 1 <= selectivity <= 4:
            raise InputError(f"selectivity of KernelMatching is {selectivity}; it must lie between 1 and 4.")
        if min(rejection_slope, rejection_rise, slice_scale) < 0:
            raise InputError(
                f"rejection_slope, rejection_rise and slice_scale of KernelMatching are {rejection_slope}, "
                f"{rejection_rise} and {slice_scale}; they must not be below 0."
            )
        if not 0 < energy <= 1:
            raise InputError(f"energy of KernelMatching is {energy}; it must be above 0 and at most 1.")
        if not 0 <= area_correction <= 1:
            raise InputError(f"area_correction of KernelMatching is {area_correction}; it must lie between 0 and 1.")
        self.scale = scale
        self.rejection_threshold = rejection_threshold
        self.selectivity = selectivity
        self.rejection_slope = rejection_slope
        self.rejection_rise = rejection_rise
        self.slice_scale = slice_scale
        self.energy = energy
        self.area_correction = area_correction

    @property
    def rejection_vote(self) -> float:
        """Weight of the vote that does not come from the support."""
        return (
            0.0
            if self.rejection_threshold is None
            else math.exp(self.scale * self.selectivity * (self.rejection_threshold - 1))
        )

    def build(self, features: Tensor, masks: Tensor, known: Tensor | None = None) -> Prototypes:
        """Make a prototype of every feature patch; a class owns the share of the patch that its mask covers."""
        size = (features.shape[-2], features.shape[-1])
        features = features.float()
        shares = F.adaptive_avg_pool2d(masks.flatten(0, 2)[:, None].float(), size).reshape(*masks.shape[:3], *size)
        background = (1 - shares.sum(1, keepdim=True)).clamp(min=0)
        return Prototypes(
            patches=unit(features.flatten(-2).transpose(-1, -2)),
            membership=torch.cat([background, shares], dim=1).flatten(-2),
            present=shares.flatten(-2).any(-1),
            known=known,
            emphasis=self._emphasis(masks, size),
        )

    def _emphasis(self, masks: Tensor, size: tuple[int, int]) -> Tensor | None:
        """Compute the factors (E, L) of the labels' votes by their masks (E, L, S, H, W); None for 1."""
        # Training is to make features that need no help; and masks of patches show no more than patches do.
        if self.training or not self.area_correction or masks.shape[-1] <= size[1]:
            return None
        return (self.selectivity * self.area_correction * area_log_odds(masks, size)).exp()

    def reduce(self, prototypes: Prototypes) -> Prototypes:
        """Express prototypes in the few directions that hold nearly all of them."""
        return prototypes if self.energy == 1 else low_rank(prototypes, self.energy)

    def evidence(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Average the votes of the support about query patches (E, Q, C, h, w); one of cosine 1 has the weight 1.

        Returns:
            (E, Q, 2 L, h, w): for every label the background's votes against it by slice that knows the label, then for
            every label the votes by slice that shows it.
        """
        vectors = unit(query.float().flatten(-2), dim=2).transpose(1, 2)  # E x C x Q x patches
        if prototypes.basis is not None:
            vectors = torch.einsum("eck,ecqn->ekqn", prototypes.basis, vectors)
        few = vectors.split(max(1, PATCHES_AT_ONCE // vectors.shape[2]), dim=-1)
        votes = torch.cat([self._votes(part, prototypes) for part in few], dim=-1)
        return votes.unflatten(-1, query.shape[-2:])

    def _votes(self, vectors: Tensor, prototypes: Prototypes) -> Tensor:
        """Average votes (E, Q, 2 L, patches) about a few patches of each slice, vectors (E, C, Q, patches)."""
        sharpness = self.scale * self.selectivity
        shape, vectors = vectors.shape[2:], sharpness * vectors.flatten(-2)
        against, votes = vectors.new_zeros(()), vectors.new_zeros(())
        serving = list(prototypes.serving)
        for index, offset in zip(serving, self._offsets(prototypes).unbind(1)):
            by_slice = vectors.new_zeros(())
            for patches, membership in zip(
                prototypes.patches[:, index].split(PATCHES_AT_ONCE, dim=1),
                prototypes.membership[:, :, index].split(PATCHES_AT_ONCE, dim=2),
            ):
                weights = torch.baddbmm(offset[:, None, None], patches, vectors).clamp_(min=LEAST_EXPONENT).exp_()
                by_slice = by_slice + membership @ weights  # E x (1 + L) x patches
            votes = votes + by_slice
            if prototypes.known is not None:
                against = against + prototypes.known[:, :, index, None] * by_slice[:, :1]
        background, labels = votes[:, :1], votes[:, 1:]
        if prototypes.known is None:
            against = background.expand_as(labels) / _weight_of(prototypes, torch.ones_like(prototypes.present))
        else:
            against = against / _weight_of(prototypes, prototypes.known)
        labels = labels / _weight_of(prototypes, prototypes.present)
        if prototypes.emphasis is not None:
            labels = labels * prototypes.emphasis[..., None]
        return torch.cat([against, labels], dim=1).unflatten(-1, shape).transpose(1, 2)

    def _offsets(self, prototypes: Prototypes) -> Tensor:
        """Give the offsets (E, slices) of the scaled cosines of the slices that serve: a vote weighs 1 at most."""
        serving = list(prototypes.serving)
        offsets = prototypes.patches.new_full(
            (prototypes.patches.shape[0], len(serving)), -self.scale * self.selectivity
        )
        if prototypes.weights is not None:
            offsets = offsets + prototypes.weights[:, serving].log()
        if prototypes.likeness is None:
            return offsets
        likeness = prototypes.likeness[:, serving]
        return offsets - self.slice_scale * (likeness.amax(1, keepdim=True) - likeness)

    def decide(self, evidence: Tensor, unlikeness: Tensor | None = None) -> Tensor:
        """Compute log-probabilities (E, Q, 1 + L, h, w) from `evidence`.

        Args:
            evidence: (E, Q, 2 L, h, w) votes of `evidence`.
            unlikeness: (E, Q) difference of each slice's cosine to the support from that of the slice of the same
                volume that is most like the support; by default 0.
        """
        novel = torch.full(evidence.shape[:2], self.rejection_vote, device=evidence.device)
        if unlikeness is not None:
            rise = (self.rejection_slope * unlikeness).clamp(max=self.rejection_rise)
            novel = novel * (self.scale * self.selectivity * rise.to(novel)).exp()
        against, votes = evidence.chunk(2, dim=2)
        background, labels = self._root(against + novel[..., None, None, None]), self._root(votes)
        # Odds of every label against its own background, times one background: 1 where all have the same.
        background, labels = background[:, :, :1], labels * (background[:, :, :1] / background)
        shares = torch.cat([background, labels], dim=2)
        shares = shares / shares.sum(2, keepdim=True)
        return (shares + PROBABILITY_FLOOR).log()

    def match(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Compute log-probabilities (E, Q, 1 + L, h, w) of query patches (E, Q, C, h, w)."""
        return self.decide(self.evidence(query, prototypes))

    def _root(self, votes: Tensor) -> Tensor:
        # A root has no gradient at 0, where exp underflows.
        return votes.clamp(min=torch.finfo(votes.dtype).tiny) ** (1 / self.selectivity)


def _weight_of(prototypes: Prototypes, which: Tensor) -> Tensor:
    """Sum the weights of those serving slices that are True in `which` (E, L, S), at least 1: (E, L, 1)."""
    serving = list(prototypes.serving)
    slices = which[:, :, serving]
    if prototypes.weights is not None:
        slices = slices * prototypes.weights[:, None, serving]
    return slices.sum(2).clamp(min=1)[..., None]
