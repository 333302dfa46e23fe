"""The vote against the formula of its docstring, written down in double precision."""

from dataclasses import replace

import pytest
import torch

from protoseg.engine.contrast import explained
from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.matching.matching import Prototypes


@pytest.fixture
def prototypes() -> Prototypes:
    torch.manual_seed(0)
    masks = (torch.rand(2, 2, 4, 12, 12) > 0.7).float()
    return KernelMatching().build(torch.randn(2, 4, 5, 6, 6), masks)


def plain_votes(query: torch.Tensor, prototypes: Prototypes, *, scale: float, slice_scale: float) -> torch.Tensor:
    """Sum of votes by episode, query slice, class, support slice and query patch."""
    vectors = torch.nn.functional.normalize(query.double().flatten(-2), dim=2)
    cosine = torch.einsum("esnc,eqcx->eqsnx", prototypes.patches.double(), vectors)
    exponent = scale * (cosine - 1)
    if prototypes.likeness is not None:
        unlike = prototypes.likeness.amax(1, keepdim=True) - prototypes.likeness
        exponent = exponent - slice_scale * unlike.double()[:, None, :, None, None]
    return torch.einsum("eksn,eqsnx->eqksx", prototypes.membership.double(), exponent.exp())


@pytest.mark.parametrize("likeness", [None, torch.tensor([[0.9, 0.2, 0.7, 0.9], [0.1, 0.3, 0.2, 0.0]])])
def test_evidence_is_the_average_of_all_votes(prototypes, likeness):
    matching = KernelMatching(scale=10, slice_scale=3)
    query, prototypes = torch.randn(2, 3, 5, 6, 6), replace(prototypes, likeness=likeness)
    votes = plain_votes(query, prototypes, scale=10, slice_scale=3).sum(3)
    against = votes[:, :, :1].expand(-1, -1, 2, -1) / 4
    shown = prototypes.present.sum(2)[:, None, :, None]
    torch.testing.assert_close(
        matching.evidence(query, prototypes).flatten(-2), torch.cat([against, votes[:, :, 1:] / shown], 2).float()
    )


def test_slices_that_leave_a_label_out_say_nothing_against_it(prototypes):
    known = torch.tensor([[[True, False, True, True], [False, False, True, False]]]).expand(2, -1, -1)
    matching, query = KernelMatching(scale=10), torch.randn(2, 3, 5, 6, 6)
    prototypes = replace(prototypes, known=known)
    background = plain_votes(query, prototypes, scale=10, slice_scale=0)[:, :, 0]
    against = matching.evidence(query, prototypes).flatten(-2)[:, :, :2]
    torch.testing.assert_close(against[:, :, 0], background[:, :, [0, 2, 3]].mean(2).float())
    torch.testing.assert_close(against[:, :, 1], background[:, :, 2].float())


@pytest.mark.parametrize("scores", [[1, 0.5, 1, 0.2], [0.1, 0.2, 0.3, 0.1], [1, 1, 1, 1]])
def test_a_weight_multiplies_the_votes_of_its_slice(prototypes, scores):
    matching, query = KernelMatching(scale=10), torch.randn(2, 3, 5, 6, 6)
    weights = torch.tensor([scores, scores[::-1]], dtype=torch.float32)
    weighted = replace(prototypes, weights=weights)
    votes = (plain_votes(query, prototypes, scale=10, slice_scale=0) * weights[:, None, None, :, None]).sum(3)
    against = votes[:, :, :1].expand(-1, -1, 2, -1) / weights.sum(1).clamp(min=1)[:, None, None, None]
    shown = (prototypes.present * weights[:, None]).sum(2).clamp(min=1)[:, None, :, None]
    evidence = matching.evidence(query, weighted)
    torch.testing.assert_close(evidence.flatten(-2), torch.cat([against, votes[:, :, 1:] / shown], 2).float())
    if min(scores) == 1:
        assert torch.equal(evidence, matching.evidence(query, prototypes)), "to the bit, as without weights"
    few = torch.tensor([1, 3])
    assert torch.equal(matching.match(query, weighted.serve(few)), matching.match(query, weighted.select(few)))


def test_a_slice_of_next_to_no_weight_is_as_good_as_not_there(prototypes):
    matching, query = KernelMatching(scale=10, rejection_threshold=0.5), torch.randn(2, 3, 5, 6, 6)
    light = replace(prototypes, weights=torch.tensor([1, 1, 1, 1e-7]).expand(2, -1))
    without = prototypes.select(torch.tensor([0, 1, 2]))
    assert without.present.any(2).all(), "no label is on the light slice alone"
    torch.testing.assert_close(matching.match(query, light), matching.match(query, without), atol=1e-5, rtol=1e-4)


def test_patches_that_are_like_nothing_leave_the_decision_to_the_rejection_vote(prototypes):
    matching = KernelMatching(scale=60, selectivity=4, rejection_threshold=0.8)
    opposite = -prototypes.patches[:, :1, :1].transpose(-1, -2).unflatten(-1, (1, 1))
    prototypes = replace(prototypes, patches=prototypes.patches[:, :1, :1].expand(-1, 4, 36, -1))
    probability = matching.match(opposite, prototypes).exp()
    torch.testing.assert_close(probability[:, :, 0], torch.ones(2, 1, 1, 1), atol=0.01, rtol=0)


def test_votes_are_the_same_a_few_patches_at_a_time(monkeypatch):
    torch.manual_seed(0)
    matching = KernelMatching(scale=10)
    features, query = torch.randn(2, 1, 3, 5, 6, 6)
    prototypes = matching.build(features, (torch.rand(1, 2, 3, 12, 12) > 0.7).float())
    whole = matching.match(query, prototypes)
    monkeypatch.setattr("protoseg.matching.kernel_matching.PATCHES_AT_ONCE", 7)
    torch.testing.assert_close(matching.match(query, prototypes), whole)


@pytest.mark.parametrize("matching", [KernelMatching(scale=10, slice_scale=3, selectivity=2), AdaptivePrototypes()])
@pytest.mark.parametrize("chosen", [[0], [1, 3], [0, 1, 2, 3]])
@pytest.mark.parametrize("partly_known", [False, True])
def test_slices_that_serve_vote_as_if_the_others_were_not_there(matching, chosen, partly_known):
    torch.manual_seed(0)
    masks = (torch.rand(1, 3, 4, 24, 24) > 0.6).float()
    whole = matching.eval().build(torch.randn(1, 4, 5, 6, 6), masks)
    known = torch.rand(1, 3, 4) > 0.3 if partly_known else None
    whole = replace(whole, likeness=torch.rand(1, 4), known=known)
    query, indices = torch.randn(1, 2, 5, 6, 6), torch.tensor(chosen)
    served = whole.serve(indices)
    assert served.patches is whole.patches, "a support of hundreds of slices is not copied for each slice"
    assert torch.equal(matching.evidence(query, served), matching.evidence(query, whole.select(indices)))
    assert torch.equal(matching.match(query, served.only(1)), matching.match(query, whole.select(indices).only(1)))
    assert torch.equal(explained(query[0, 0], served), explained(query[0, 0], whole.select(indices)))
