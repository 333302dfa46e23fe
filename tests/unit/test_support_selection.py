import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.engine.scan_coverage import scan_descriptors
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import support_from_scan
from protoseg.engine.support_selection import keep_most_useful
from protoseg.errors import InputError
from protoseg.matching.coreset import k_center_greedy, rank, slice_descriptors, uncovered
from protoseg.networks.alpnet import ALPNet

EAST, NORTH, WEST = torch.eye(2)[0], torch.eye(2)[1], -torch.eye(2)[0]


class Brightness(torch.nn.Module):
    """Patches (B, 3, 2, 2): how bright each quarter is, how dark, and 1."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, image):
        mean = torch.nn.functional.adaptive_avg_pool2d(image[:, :1], 2) * self.scale
        return torch.cat([mean, -mean, torch.ones_like(mean)], dim=1)


NETWORK = ALPNet(encoder=Brightness())


def support(brightness, liver, spleen=()):
    """One slice of each brightness; liver's area on every slice, spleen of one pixel on some."""
    image = torch.tensor(brightness).expand(1, 8, 8, len(brightness)).clone()
    drawn = torch.zeros(1, 8, 8, len(brightness))
    for index, area in enumerate(liver):
        drawn[0, :area, 0, index] = 1
    for index in spleen:
        drawn[0, 7, 7, index] = 2
    labels = {"liver": 1, "spleen": 2} if spleen else {"liver": 1}
    return support_from_scan(image, drawn, labels, image_size=8, scan="a", slices="all")


def kept(chosen):
    return [origin.slice_index for origin in chosen.origins]


def test_descriptors_tell_where_a_slice_is_bright():
    features = torch.zeros(2, 2, 4, 4)
    features[0, 0], features[1, 1] = 3, 5
    descriptors = slice_descriptors(features)
    assert torch.allclose(descriptors @ descriptors.T, torch.eye(2))


def test_what_is_not_covered():
    assert uncovered(torch.stack([EAST, NORTH, WEST]), EAST[None]).tolist() == [0, 1, 2]
    assert uncovered(torch.stack([EAST, WEST]), torch.zeros(0, 2)).tolist() == [torch.inf, torch.inf]


def test_each_next_one_is_the_farthest():
    descriptors = torch.stack([EAST, EAST, NORTH, WEST])
    assert k_center_greedy(descriptors, start=0, limit=2) == [0, 3]
    assert k_center_greedy(descriptors, start=1, limit=9) == [1, 3, 2], "the twin of the first adds nothing"


@settings(deadline=None, max_examples=30)
@given(count=st.integers(2, 9), limit=st.integers(1, 9), seed=st.integers(0, 99))
def test_more_cover_better(count, limit, seed):
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    descriptors = torch.nn.functional.normalize(points, dim=1)
    chosen = k_center_greedy(descriptors, start=0, limit=limit)
    assert len(chosen) == len(set(chosen)) == min(limit, count)
    gaps = [float(uncovered(descriptors, descriptors[chosen[:n]]).max()) for n in range(1, len(chosen) + 1)]
    assert gaps == sorted(gaps, reverse=True)


def test_orders_take_turns():
    assert rank([5, 1, 2], [5, 3], []) == [5, 1, 3, 2]


def test_the_largest_slice_and_the_most_different_one_are_kept():
    # Slice 1 is largest, 3 looks least like it.
    chosen = keep_most_useful(support([0.1, 0.0, 0.2, 9.0], [1, 4, 2, 1]), SliceEncoder(NETWORK, 8), limit=2)
    assert kept(chosen) == [1, 3]
    assert chosen.labels == {"liver": 1}
    assert chosen.masks.sum((1, 2)).tolist() == [4, 1]


def test_every_label_keeps_a_slice():
    drawn = support([0.0, 1.0, 5.0], [4, 2, 1], spleen=[1])
    assert kept(keep_most_useful(drawn, SliceEncoder(NETWORK, 8), limit=1)) == [0, 1]


def test_a_label_can_be_limited_alone():
    drawn = support([0.0, 1.0, 5.0, 9.0], [4, 2, 1, 1], spleen=[1, 2, 3])
    chosen = keep_most_useful(drawn, SliceEncoder(NETWORK, 8), limit=9, limits={"liver": 1, "spleen": 2})
    assert kept(chosen) == [0, 1, 3]


def test_a_small_support_is_kept_as_it_is():
    whole = support([0.0, 1.0], [4, 2])
    assert keep_most_useful(whole, SliceEncoder(NETWORK, 8), limit=2) is whole


@pytest.mark.parametrize(("limit", "limits"), [(0, {}), (3, {"liver": 0})])
def test_a_limit_of_nothing_is_refused(limit, limits):
    with pytest.raises(InputError, match="is 0; it must be at least 1"):
        keep_most_useful(support([0.0], [1]), SliceEncoder(NETWORK, 8), limit=limit, limits=limits)


def test_a_scan_is_described_by_slices_at_equal_distances():
    volume = torch.arange(9.0).expand(1, 8, 8, 9)
    descriptors = scan_descriptors(volume, SliceEncoder(NETWORK, 8), slices=3)
    whole = scan_descriptors(volume, SliceEncoder(NETWORK, 8))
    assert len(whole) == 9
    assert torch.equal(descriptors, whole[[0, 4, 8]])
