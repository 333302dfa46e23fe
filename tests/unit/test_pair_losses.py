"""Losses on pairs of labelled slices: low where structures match, and blind to what should not matter."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from protoseg.errors import InputError
from protoseg.losses.contrastive_pair import ContrastivePairLoss, contrast, draw_patches
from protoseg.losses.loss_sum import LossSum
from protoseg.losses.matching import MatchingLoss, PairFeatures, label_shares
from protoseg.matching.kernel_matching import KernelMatching

LABELS = 3
PATCHES, STRIDE = 8, 4
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "matching": lambda: MatchingLoss(labels=LABELS, backdrop=[0]),
    "contrastive": lambda: ContrastivePairLoss(labels=LABELS),
}


@pytest.fixture(params=LOSSES)
def loss(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return LOSSES[request.param]()


def quarters(pairs: int = 2) -> Tensor:
    """Labels (E, 32, 32): background and three structures, a quarter each."""
    patches = torch.zeros(pairs, PATCHES, PATCHES, dtype=torch.long)
    patches[:, :4, 4:], patches[:, 4:, :4], patches[:, 4:, 4:] = 1, 2, 3
    return patches.repeat_interleave(STRIDE, 1).repeat_interleave(STRIDE, 2)


def telling(labels: Tensor) -> Tensor:
    """Features (E, 1 + LABELS, 8, 8) that tell the labels apart, with some noise."""
    shares = label_shares(labels, LABELS, (PATCHES, PATCHES))
    return shares + 0.1 * torch.randn(shares.shape, generator=torch.Generator().manual_seed(1))


def evaluate(loss: nn.Module, support: Tensor, query: Tensor, labels: Tensor, target: Tensor) -> Tensor:
    torch.manual_seed(2)
    value: Tensor = loss(PairFeatures(support, query, labels), target[:, None])
    return value


def test_features_that_match_cost_less_than_those_that_do_not(loss: nn.Module) -> None:
    labels, features = quarters(), telling(quarters())
    matching = evaluate(loss, features, features, labels, labels)
    swapped = evaluate(loss, features, features.flip(1), labels, labels)
    assert matching < 0.7 * swapped


def test_learning_lowers_it(loss: nn.Module) -> None:
    labels = quarters()
    support, query = (nn.Parameter(torch.randn(2, 6, PATCHES, PATCHES)) for _ in range(2))
    optimizer = torch.optim.Adam([support, query], lr=0.1)
    values = []
    for _ in range(20):
        value = evaluate(loss, support, query, labels, labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]


@settings(deadline=None, max_examples=10)
@given(name=st.sampled_from(sorted(LOSSES)), seed=st.integers(0, 1000), factor=st.floats(0.1, 10))
def test_only_the_direction_of_features_counts(name: str, seed: int, factor: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    loss, labels = LOSSES[name](), quarters()
    support, query = torch.randn(2, 2, 5, PATCHES, PATCHES, generator=generator)
    turned, _ = torch.linalg.qr(torch.randn(5, 5, generator=generator))
    changed = [factor * torch.einsum("dc,echw->edhw", turned, features) for features in (support, query)]
    expected = evaluate(loss, support, query, labels, labels)
    torch.testing.assert_close(evaluate(loss, *changed, labels, labels), expected, atol=2e-4, rtol=1e-4)


def test_half_precision_changes_little(loss: nn.Module) -> None:
    labels, features = quarters(), telling(quarters())
    expected = evaluate(loss, features, features, labels, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(evaluate(loss, features, features, labels, labels), expected)
        half = evaluate(loss, features.bfloat16(), features.bfloat16(), labels, labels)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, expected, atol=0.02, rtol=0.02)


def test_a_slice_without_any_structure_leaves_gradients_finite(loss: nn.Module) -> None:
    labels, features = quarters(), telling(quarters()).requires_grad_()
    value = evaluate(loss, features, features, torch.zeros_like(labels), labels)
    value.backward()
    assert value.isfinite()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_a_sum_weighs_its_losses() -> None:
    features = PairFeatures(
        *torch.randn(2, 2, 5, PATCHES, PATCHES, generator=torch.Generator().manual_seed(0)), quarters()
    )
    target = quarters()[:, None]
    one, other = MatchingLoss(labels=LABELS, scale=10.0), MatchingLoss(labels=LABELS, scale=30.0)
    expected = 0.5 * one(features, target) + 2 * other(features, target)
    torch.testing.assert_close(LossSum([one, other], [0.5, 2.0])(features, target), expected)
    with pytest.raises(InputError, match=r"^LossSum has 2 losses and 1 weights; expected one each\.$"):
        LossSum([one, other], [1.0])


def test_shares_of_labels_in_patches() -> None:
    labels = torch.tensor([[[0, 1, 2, 2], [1, 1, 2, 2]]])
    assert label_shares(labels, 2, (1, 2)).tolist() == [[[[0.25, 0.0]], [[0.75, 0.0]], [[0.0, 1.0]]]]


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), highest=st.integers(1, 120), rows=st.integers(1, 3), columns=st.integers(1, 3))
def test_label_shares_are_the_mean_of_masks(seed: int, highest: int, rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, highest + 1, (2, 4 * rows, 4 * columns), generator=generator)
    masks = F.one_hot(labels, 1 + highest).permute(0, 3, 1, 2).float()
    assert torch.equal(label_shares(labels, highest, (4, 4)), F.avg_pool2d(masks, (rows, columns)))


def test_matching_ignores_what_the_other_slice_lacks() -> None:
    labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
    matching = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])  # 1 x C=2 x 1 x 2
    loss = MatchingLoss(labels=3)
    good = loss(PairFeatures(matching, matching, labels), labels[:, None])
    bad = loss(PairFeatures(matching, matching.flip(3), labels), labels[:, None])
    assert good < 1e-4 < 5 < bad
    lacking = loss(PairFeatures(matching, matching, labels), (3 * labels)[:, None])
    assert lacking < 1e-4


def test_in_matching_a_structure_that_the_support_lacks_must_look_like_the_backdrop() -> None:
    support_labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
    query_labels = torch.tensor([[[0, 0, 2, 2], [0, 0, 2, 2]]])
    like_background = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])
    like_the_other = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])
    loss = MatchingLoss(labels=2, backdrop=[0])
    shares = label_shares(support_labels, 2, (1, 2)), label_shares(query_labels, 2, (1, 2))
    losses = [
        loss._one_way(*shares, loss._weights(like_the_other, query)) for query in (like_background, like_the_other)
    ]
    assert losses[0] < 1e-3 < 4 < losses[1]


def test_in_matching_a_structure_that_the_support_lacks_may_look_like_nothing_in_it() -> None:
    support_labels = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1]]])
    query_labels = torch.tensor([[[2, 2, 2, 2], [2, 2, 2, 2]]])
    shares = label_shares(support_labels, 2, (1, 2)), label_shares(query_labels, 2, (1, 2))
    support = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    like_nothing = torch.tensor([0.0, 0.1, 1.0]).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    for rejection_threshold, low in ((None, False), (0.5, True)):
        loss = MatchingLoss(labels=2, backdrop=[0], rejection_threshold=rejection_threshold)
        value = loss._one_way(*shares, loss._weights(torch.cat(support, dim=3), like_nothing))
        assert (value < 0.01) == low


def test_matching_votes_as_cell_voting_does() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 1 + LABELS, (2, PATCHES, PATCHES), generator=generator)
    support, query = torch.randn(2, 2, 5, PATCHES, PATCHES, generator=generator)
    shares = label_shares(labels, LABELS, (PATCHES, PATCHES))
    voting = KernelMatching(scale=20.0)
    log_votes = voting.match(query[:, None], voting.build(support[:, None], shares[:, 1:, None]))[:, 0]
    # With every structure in every slice, the same area everywhere makes all patches count alike.
    sought = torch.full_like(shares, 1 / (1 + LABELS))
    expected = -(sought * log_votes).sum() / sought.sum()
    loss = MatchingLoss(labels=LABELS)
    torch.testing.assert_close(loss._one_way(shares, sought, loss._weights(support, query)), expected)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), patches=st.integers(1, 12))
def test_equally_many_patches_of_each_label_are_drawn(seed: int, patches: int) -> None:
    torch.manual_seed(seed)
    labels = torch.randint(-1, 4, (3, 40))
    drawn, counted = draw_patches(labels, patches)
    for row in range(3):
        chosen = drawn[row][counted[row]]
        assert chosen.unique().numel() == chosen.numel()
        expected = [min(patches, int((labels[row] == label).sum())) for label in range(4)]
        assert labels[row][chosen].bincount(minlength=4).tolist() == expected


def test_contrast_of_three_cells_by_hand() -> None:
    similarity = torch.tensor([[[9.0, 2.0, 0.0], [2.0, 9.0, 1.0], [0.0, 1.0, 9.0]]])
    labels, counted = torch.tensor([[1, 1, 0]]), torch.ones(1, 3, dtype=torch.bool)
    first, second = (torch.tensor(entropy).exp().log1p() for entropy in (-2.0, -1.0))  # -log(e^2 / (e^2 + e^0)), ...
    torch.testing.assert_close(contrast(similarity, labels, counted), (first + second) / 2)
    assert contrast(similarity, torch.zeros_like(labels), counted) == 0
