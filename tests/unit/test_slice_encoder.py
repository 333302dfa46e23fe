"""One thing encodes slices: what it gives does not depend on how they come, and comes from the cache a second time."""

import torch
from torch import Tensor, nn

from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.slice_adapter import SliceAdapter

SLICES = torch.randn(5, 1, 12, 16, generator=torch.Generator().manual_seed(0))


class Blocks(nn.Module):
    """Means over blocks of 4 x 4 pixels, of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images * self.weight, 4)


def test_slices_are_encoded_once() -> None:
    encoder = SliceEncoder(ALPNet(encoder=Blocks()), 16)
    features = encoder.encode_slices(SLICES, [0, 3, 4], batch_size=2)
    assert features.shape == (3, 3, 4, 4)
    assert (encoder.cache.hits, encoder.cache.misses) == (0, 3)
    assert torch.equal(encoder.encode(encoder.network_input(SLICES, [3])), features[[1]])
    assert torch.equal(encoder.encode_slices(SLICES, range(3, 5)), features[1:])
    assert (encoder.cache.hits, encoder.cache.misses) == (3, 3)
    assert not encoder.network.training


def test_a_slice_adapter_sees_the_neighbours() -> None:
    plain, adapted = (
        SliceEncoder(ALPNet(encoder=Blocks(), slice_adapter=adapter), 16) for adapter in (None, SliceAdapter(layers=1))
    )
    assert (plain.adjacent_slices, adapted.adjacent_slices) == (False, True)
    one, three = (encoder.network_input(SLICES, [2])[0] for encoder in (plain, adapted))
    assert torch.equal(one[0], one[2])
    assert torch.equal(one[1], three[1])
    assert torch.equal(three[2], adapted.network_input(SLICES, [3])[0, 1])


def test_another_size_or_network_leaves_the_first_as_it_was() -> None:
    first, cache = SliceEncoder(ALPNet(encoder=Blocks()), 16), FeatureCache()
    other = first.of_size(8).of_network(ALPNet(encoder=Blocks()), cache)
    assert (first.image_size, other.image_size) == (16, 8)
    assert other.cache is cache is not first.cache
    assert first.of_network(other.network).cache is first.cache
    assert other.encode_slices(SLICES, [0]).shape == (1, 3, 2, 2)
    assert first.fingerprint() == other.fingerprint() == first.network.encoding_fingerprint()
