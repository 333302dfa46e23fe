"""Prototypes in fewer dimensions give the votes of all of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from protoseg.errors import InputError
from protoseg.matching.adaptive_prototypes import AdaptivePrototypes
from protoseg.matching.kernel_matching import KernelMatching

CHANNELS, SIDE = 96, 12


def features(rank: int, count: int, generator: torch.Generator) -> Tensor:
    """Slices (count, C, h, w) whose patches lie in some directions of all."""
    directions = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=generator))[0][:, :rank]
    return torch.einsum("cr,nrhw->nchw", directions, torch.randn(count, rank, SIDE, SIDE, generator=generator))


def masks_of(*boxes: tuple[slice, slice]) -> Tensor:
    """Masks (1, L, 1, H, W) of one slice."""
    masks = torch.zeros(1, len(boxes), 1, SIDE, SIDE)
    for number, box in enumerate(boxes):
        masks[0, number, 0][box] = 1
    return masks


def test_votes_are_the_same_where_the_support_has_few_directions():
    generator = torch.Generator().manual_seed(0)
    support, matching = features(10, 1, generator), KernelMatching(scale=30, selectivity=3)
    prototypes = matching.build(support[None], masks_of((slice(2, 6), slice(2, 6)), (slice(8, 9), slice(8, 10))))
    reduced = matching.reduce(prototypes)
    # The query has all directions, most of which say nothing about the support.
    query = support[None] + 0.1 * torch.randn(1, 2, CHANNELS, SIDE, SIDE, generator=generator)
    assert reduced.patches.shape[-1] == 16 and reduced.basis is not None
    torch.testing.assert_close(
        matching.evidence(query, reduced), matching.evidence(query, prototypes), rtol=1e-4, atol=1e-7
    )


def test_a_class_of_few_patches_keeps_its_directions():
    generator = torch.Generator().manual_seed(0)
    small = (slice(0, 1), slice(0, 1))
    support = features(12, 1, generator)
    support[0, :, 0, 0] = torch.randn(CHANNELS, generator=generator)  # in all directions: it is like nothing else
    matching = KernelMatching(energy=0.999)
    reduced = matching.reduce(matching.build(support[None], masks_of(small)))
    # One of 144 patches has less of the squared length than may go; of its class it has all.
    patch = reduced.patches[0, 0, 0]
    assert patch.norm() > 0.99


def test_prototypes_without_few_directions_stay_as_they_are():
    generator = torch.Generator().manual_seed(0)
    matching = KernelMatching()
    prototypes = matching.build(features(CHANNELS, 1, generator)[None], masks_of((slice(2, 6), slice(2, 6))))
    assert matching.reduce(prototypes) is prototypes


def test_all_of_the_energy_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    matching = KernelMatching(energy=1)
    prototypes = matching.build(features(4, 1, generator)[None], masks_of((slice(2, 6), slice(2, 6))))
    assert matching.reduce(prototypes) is prototypes


def test_slices_that_serve_and_labels_are_chosen_among_reduced_prototypes_too():
    generator = torch.Generator().manual_seed(0)
    support, matching = features(10, 3, generator), KernelMatching()
    masks = torch.cat([masks_of((slice(2, 6), slice(2, 6)), (slice(8, 9), slice(8, 10)))] * 3, dim=2)
    prototypes = matching.build(support[None], masks)
    reduced, query = matching.reduce(prototypes), support[None, :1]
    for choose in (lambda some: some.serve(torch.tensor([0, 2])), lambda some: some.only(1)):
        found, expected = (matching.evidence(query, choose(some)) for some in (reduced, prototypes))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_published_matching_reduces_nothing():
    generator = torch.Generator().manual_seed(0)
    matching = AdaptivePrototypes()
    prototypes = matching.build(features(4, 1, generator)[None], masks_of((slice(2, 6), slice(2, 6))))
    assert matching.reduce(prototypes) is prototypes


@pytest.mark.parametrize("energy", [0.0, 1.5])
def test_an_energy_that_is_no_share_is_refused(energy):
    message = rf"^energy of KernelMatching is {energy}; it must be above 0 and at most 1\.$"
    with pytest.raises(InputError, match=message):
        KernelMatching(energy=energy)


def test_features_that_are_not_finite_are_refused():
    generator = torch.Generator().manual_seed(0)
    support, matching = features(4, 1, generator)[None], KernelMatching()
    support[0, 0, 0, 0, 0] = torch.nan
    prototypes = matching.build(support, masks_of((slice(2, 6), slice(2, 6))))
    with pytest.raises(InputError, match=r"^The features are not finite\. .* use other weights\.$"):
        matching.reduce(prototypes)
