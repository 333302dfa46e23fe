"""What the matchings refuse, and gradients where nothing is alike."""

import pytest
import torch

from protoseg.errors import InputError
from protoseg.matching.kernel_matching import KernelMatching


@pytest.mark.parametrize("scale", [0, 61])
def test_a_scale_that_floats_cannot_hold_is_refused(scale):
    with pytest.raises(InputError, match=rf"^scale of KernelMatching is {scale}; it must lie between 0 and 60\.$"):
        KernelMatching(scale=scale)


@pytest.mark.parametrize("selectivity", [0.5, 5.0])
def test_a_selectivity_that_is_out_of_range_is_refused(selectivity):
    message = rf"^selectivity of KernelMatching is {selectivity}; it must lie between 1 and 4\.$"
    with pytest.raises(InputError, match=message):
        KernelMatching(selectivity=selectivity)


def test_a_rejection_threshold_that_falls_with_unlikeness_is_refused():
    message = r"^rejection_slope, rejection_rise and slice_scale of KernelMatching are -1\.0, 0\.1 and 0\.0; "
    with pytest.raises(InputError, match=message):
        KernelMatching(rejection_slope=-1.0, rejection_rise=0.1)


def test_a_rejection_threshold_that_is_no_cosine_is_refused():
    with pytest.raises(
        InputError, match=r"^rejection_threshold of KernelMatching is 1\.5; it must lie between -1 and 1, or be null\.$"
    ):
        KernelMatching(rejection_threshold=1.5)


def test_selective_votes_have_a_gradient_where_nothing_is_alike():
    """Votes underflow between opposite vectors."""
    matching = KernelMatching(scale=60.0, selectivity=4.0)
    support = torch.tensor([1.0, 0.0]).view(1, 1, 2, 1, 1)
    query = torch.tensor([-1.0, 1e-3]).view(1, 1, 2, 1, 1).requires_grad_()
    scores = matching.match(query, matching.build(support, torch.ones(1, 1, 1, 8, 8)))
    assert scores.isfinite().all()
    scores[0, 0, 1].sum().backward()
    assert query.grad.isfinite().all()
