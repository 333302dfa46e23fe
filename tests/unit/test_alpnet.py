from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from protoseg.matching.adaptive_prototypes import ABSENT, AdaptivePrototypes
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet, EpisodeLoss, EpisodeOutput, alignment_loss

MATCHINGS = [
    AdaptivePrototypes(),
    KernelMatching(),
    KernelMatching(rejection_threshold=0.7),
    KernelMatching(selectivity=3.0, rejection_threshold=0.7),
]


def random_episode(seed, *, episodes=1, labels=2, shots=2, queries=3, size=8, scale=4):
    """Features (E, S | Q, 6, size, size) and masks (E, L, S, size * scale, ...) of labels that do not overlap."""
    generator = torch.Generator().manual_seed(seed)
    support = torch.randn(episodes, shots, 6, size, size, generator=generator)
    query = torch.randn(episodes, queries, 6, size, size, generator=generator)
    coarse = torch.randint(0, labels + 1, (episodes, shots, 2, 2), generator=generator)
    drawn = coarse.repeat_interleave(size * scale // 2, -1).repeat_interleave(size * scale // 2, -2)
    masks = torch.stack([(drawn == label).float() for label in range(1, labels + 1)], dim=1)
    return support, query, masks


@pytest.mark.parametrize("matching", MATCHINGS)
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16))
def test_queries_and_episodes_do_not_see_each_other(matching, seed):
    support, query, masks = random_episode(seed, episodes=2)
    together = matching.match(query, matching.build(support, masks))
    for episode in range(2):
        prototypes = matching.build(support[[episode]], masks[[episode]])
        for index in range(query.shape[1]):
            alone = matching.match(query[[episode]][:, [index]], prototypes)
            torch.testing.assert_close(alone[0, 0], together[episode, index], atol=1e-4, rtol=1e-5)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16))
def test_a_label_scores_the_same_whatever_the_other_labels(seed):
    """One pass for all labels gives each label the score of a pass of its own; only the background changes."""
    matching = AdaptivePrototypes().eval()
    support, query, masks = random_episode(seed)
    together = matching.match(query, matching.build(support, masks))
    for label in range(masks.shape[1]):
        alone = matching.match(query, matching.build(support, masks[:, [label]]))
        torch.testing.assert_close(alone[:, :, 1], together[:, :, 1 + label], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("matching", MATCHINGS)
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16))
def test_order_of_shots_does_not_matter(matching, seed):
    support, query, masks = random_episode(seed, shots=3)
    order = torch.randperm(3, generator=torch.Generator().manual_seed(seed))
    forward = matching.match(query, matching.build(support, masks))
    shuffled = matching.match(query, matching.build(support[:, order], masks[:, :, order]))
    torch.testing.assert_close(forward, shuffled, atol=1e-4, rtol=1e-5)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16))
def test_votes_are_probabilities(seed):
    support, query, masks = random_episode(seed)
    matching = KernelMatching(scale=30)
    votes = matching.match(query, matching.build(support, masks)).exp().sum(2)
    torch.testing.assert_close(votes, torch.ones_like(votes), atol=1e-3, rtol=0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**16), rejection_threshold=st.floats(-1, 1))
def test_the_vote_against_the_support_speaks_for_the_background_alone(seed, rejection_threshold):
    support, query, masks = random_episode(seed)
    without, within = KernelMatching(), KernelMatching(rejection_threshold=rejection_threshold)
    before = without.match(query, without.build(support, masks)).exp()
    after = within.match(query, within.build(support, masks)).exp()
    assert (after[:, :, 0] >= before[:, :, 0] - 1e-6).all()
    assert (after[:, :, 1:] <= before[:, :, 1:] + 1e-6).all()
    torch.testing.assert_close(after.sum(2), torch.ones_like(after[:, :, 0]), atol=1e-3, rtol=0)


def test_what_the_support_does_not_show_is_background():
    support, unseen = torch.eye(3)[:2].T.view(1, 1, 3, 1, 2), torch.tensor([0.5, 0.6, 0.7]).view(1, 1, 3, 1, 1)
    masks = torch.tensor([0.0, 1.0]).view(1, 1, 1, 1, 2)
    for rejection_threshold, winner in ((None, 1), (0.5, 1), (0.8, 0)):  # the cosine to the label is 0.57
        matching = KernelMatching(rejection_threshold=rejection_threshold)
        prototypes = matching.build(support, masks)
        assert matching.match(unseen, prototypes)[0, 0].argmax(0).item() == winner
        assert matching.match(support[..., 1:], prototypes)[0, 0].argmax(0).item() == 1


def test_a_selective_vote_goes_by_the_most_alike_cell_and_not_by_how_many_there_are():
    label, other, query = (torch.tensor([x, y, z]) for x, y, z in ((0.96, 0.28, 0.0), (0.8, 0.0, 0.6), (1.0, 0.0, 0.0)))
    # One patch of the label and 400 of the background.
    support = torch.stack([label, *[other] * 400]).T[None, None, :, None]
    masks = torch.tensor([1.0, *[0.0] * 400]).view(1, 1, 1, 1, -1)
    for selectivity, winner in ((1.0, 0), (4.0, 1)):
        matching = KernelMatching(selectivity=selectivity)
        found = matching.match(query.view(1, 1, 3, 1, 1), matching.build(support, masks))
        assert found[0, 0].argmax(0).item() == winner


def test_more_of_the_same_support_changes_nothing():
    support, query, masks = random_episode(5, shots=1)
    matching = KernelMatching(selectivity=3.0, rejection_threshold=0.76)
    once = matching.match(query, matching.build(support, masks))
    twice = matching.match(query, matching.build(support.repeat(1, 3, 1, 1, 1), masks.repeat(1, 1, 3, 1, 1)))
    torch.testing.assert_close(once, twice, atol=1e-4, rtol=1e-4)


def test_slices_without_a_label_do_not_outvote_it():
    """A patch between label and background; one slice shows the label, and more and more background alone."""
    label, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    query = torch.tensor([0.72, 0.69]).view(1, 1, 2, 1, 1)
    matching = KernelMatching(selectivity=3.0)
    for more in (0, 3, 30):
        support = torch.stack([torch.stack([label, other], dim=1), *[torch.stack([other, other], dim=1)] * more])
        masks = torch.zeros(1, 1, 1 + more, 1, 2)
        masks[0, 0, 0, 0, 0] = 1
        found = matching.match(query, matching.build(support[None, :, :, None], masks))
        assert found[0, 0].argmax(0).item() == 1, more


def test_slices_that_look_like_the_query_count_for_more():
    """The same patch is the label on one slice and background on the other."""
    support = torch.eye(2).T.view(1, 1, 2, 1, 2).expand(1, 2, 2, 1, 2)
    masks = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])[None, None]
    query = torch.tensor([1.0, 0.0]).view(1, 1, 2, 1, 1)
    matching = KernelMatching(selectivity=3.0, slice_scale=20.0)
    prototypes = matching.build(support, masks)
    for likeness, winner in (((0.9, 0.7), 1), ((0.7, 0.9), 0)):
        found = matching.match(query, replace(prototypes, likeness=torch.tensor([likeness])))
        assert found[0, 0].argmax(0).item() == winner


def test_an_unlike_slice_must_look_more_like_the_support():
    support, query = torch.eye(2).T.view(1, 1, 2, 1, 2), torch.tensor([0.8, 0.6]).view(1, 1, 2, 1, 1)
    masks = torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2)
    matching = KernelMatching(selectivity=3.0, rejection_threshold=0.76, rejection_slope=2.0, rejection_rise=0.12)
    evidence = matching.evidence(query, matching.build(support, masks))
    winners = [matching.decide(evidence, torch.tensor([[u]]))[0, 0].argmax(0).item() for u in (0.0, 0.01, 0.04, 9.0)]
    assert winners == [1, 1, 0, 0], "the cosine to the label is 0.8, the bound 0.76, 0.78, 0.84 and 0.88"
    torch.testing.assert_close(matching.decide(evidence), matching.decide(evidence, torch.zeros(1, 1)), atol=0, rtol=0)
    bounded = (matching.decide(evidence, torch.tensor([[unlikeness]])) for unlikeness in (0.06, 9.0))
    torch.testing.assert_close(*bounded)


def test_a_slice_that_was_not_labelled_for_a_label_says_nothing_against_it():
    """Slice 0 shows both and was labelled for the first label, slice 1 shows both and was labelled for the second."""
    first, second, other = torch.eye(3)
    patches = torch.stack([first, second, other]).T  # 3 x 3 patches
    support = patches[None, None, :, None].expand(1, 2, 3, 1, 3)
    masks = torch.zeros(1, 2, 2, 1, 3)
    masks[0, 0, 0, 0, 0] = masks[0, 1, 1, 0, 1] = 1
    query = patches[None, None, :, None]
    matching = KernelMatching(scale=30.0, selectivity=3.0, rejection_threshold=0.76)
    known = torch.tensor([[[True, False], [False, True]]])
    found = matching.match(query, matching.build(support, masks, known))[0, 0, :, 0]
    assert found.argmax(0).tolist() == [1, 2, 0]
    assert found.exp().amax(0).min() > 0.99
    doubted = matching.match(query, matching.build(support, masks))[0, 0, :, 0].exp()
    assert doubted[0, :2].min() > 0.4, "as if both slices were labelled for both"


def test_to_know_all_labels_is_the_ordinary_vote():
    support, query, masks = random_episode(5, shots=3)
    matching = KernelMatching(selectivity=3.0, rejection_threshold=0.76)
    ordinary = matching.match(query, matching.build(support, masks))
    known = torch.ones(masks.shape[:3], dtype=torch.bool)
    torch.testing.assert_close(ordinary, matching.match(query, matching.build(support, masks, known)))


def test_votes_stay_finite_where_nothing_is_alike():
    support, query = torch.ones(1, 1, 2, 1, 2), -torch.ones(1, 1, 2, 1, 1)
    matching = KernelMatching(scale=60.0, selectivity=4.0)
    found = matching.match(query, matching.build(support, torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2)))
    assert found.isfinite().all()


def test_selected_slices_match_as_if_they_were_alone():
    support, query, masks = random_episode(3, shots=3)
    for matching in MATCHINGS:
        all_slices = matching.build(support, masks)
        chosen = torch.tensor([0, 2])
        alone = matching.build(support[:, chosen], masks[:, :, chosen])
        torch.testing.assert_close(
            matching.match(query, all_slices.select(chosen)),
            matching.match(query, alone),
            atol=1e-5,
            rtol=1e-5,
        )


def test_a_label_on_no_support_slice_scores_lowest():
    support, query, masks = random_episode(0)
    masks[:, 1] = 0
    scores = AdaptivePrototypes().match(query, AdaptivePrototypes().build(support, masks))
    assert (scores[:, :, 2] == ABSENT).all()
    assert (scores[:, :, 1] > ABSENT).all()


def test_a_structure_smaller_than_the_sampling_grid_keeps_its_prototype():
    support, query, masks = random_episode(0, labels=1, shots=1)
    masks.zero_()
    masks[..., 2, 2] = 1  # nearest neighbor samples pixels 0, 4, 8, ...
    for matching in MATCHINGS:
        assert matching.build(support, masks).present.all()
        own_patch = support[:, :, :, 0, 0, None, None].expand_as(query[:, :1])
        scores = matching.match(own_patch, matching.build(support, masks))
        assert torch.isfinite(scores).all()
    assert matching.match(own_patch, matching.build(support, masks))[0, 0, 1].exp().min() > 0.01


def test_alignment_ignores_labels_that_were_predicted_nowhere():
    support, query, masks = random_episode(1)
    logits = torch.zeros(1, 3, 3, 8, 8)
    logits[:, :, 0] = 1  # background everywhere
    assert alignment_loss(AdaptivePrototypes(), support, query, logits, masks) == 0


@pytest.mark.parametrize("matching", MATCHINGS)
def test_the_loss_trains_the_encoder(matching):
    torch.manual_seed(0)
    network = ALPNet(encoder=nn.Conv2d(3, 6, 4, stride=4), matching=matching).train()
    images = torch.rand(2, 2, 3, 32, 32)
    masks = torch.zeros(2, 1, 1, 32, 32)
    masks[..., 8:24, 8:24] = 1
    output = network(images[:, 1:], images[:, :1], masks)
    assert output.logits.shape == (2, 1, 2, 32, 32)
    EpisodeLoss()(output, masks[:, 0].long()).backward()
    assert network.encoder.weight.grad.abs().sum() > 0


def test_the_loss_weighs_the_background_as_published():
    logits = torch.zeros(1, 1, 2, 1, 2)
    logits[0, 0, 1, 0] = torch.tensor([0.0, 1.0])
    target = torch.tensor([[[[0, 1]]]])
    background, foreground = torch.log(torch.tensor(2.0)), torch.log1p(torch.exp(torch.tensor(-1.0)))
    expected = (0.05 * background + foreground) / 1.05
    output = EpisodeOutput(logits, torch.tensor(0.5))
    torch.testing.assert_close(EpisodeLoss(alignment_weight=0.0)(output, target), expected)
    torch.testing.assert_close(EpisodeLoss()(output, target), expected + 0.5)


def test_without_a_support_the_network_encodes():
    network = ALPNet(encoder=nn.Conv2d(3, 6, 4, stride=4))
    assert network(torch.rand(2, 3, 32, 24)).shape == (2, 6, 8, 6)


def test_many_support_slices_vote_as_few_do(monkeypatch):
    support, query, masks = random_episode(5, shots=5)
    at_once = [matching.match(query, matching.build(support, masks)) for matching in MATCHINGS]
    monkeypatch.setattr("protoseg.matching.matching.SLICES_AT_ONCE", 2)
    for matching, expected in zip(MATCHINGS, at_once):
        in_parts = matching.match(query, matching.build(support, masks))
        torch.testing.assert_close(in_parts, expected, atol=1e-5, rtol=1e-5)
