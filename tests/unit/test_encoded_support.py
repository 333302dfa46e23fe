"""A support is encoded and made into prototypes once for many scans, and anew when it, or the weights, are others."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from protoseg.engine.encoded_support import EncodedSupport
from protoseg.engine.one_shot import segment
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SliceOrigin, SupportSet
from protoseg.labels import LabelSet
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.networks.alpnet import ALPNet


class Colors(nn.Module):
    """Blocks of 4 x 4 pixels, told by their gray values."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        gray = nn.functional.avg_pool2d(images[:, :1] * self.weight, 4)
        return torch.cat([gray, 1 - gray] * 2, dim=1)


@pytest.fixture
def encoder() -> SliceEncoder:
    return SliceEncoder(ALPNet(encoder=Colors(), matching=KernelMatching(scale=30)), 16)


@pytest.fixture
def support() -> SupportSet:
    masks = torch.zeros(2, 16, 16, dtype=torch.uint8)
    masks[0, 4:12, 4:8], masks[1, 4:8, 4:12] = 1, 1
    images = masks[:, None].float().expand(-1, 3, -1, -1)
    return SupportSet(LabelSet({"liver": 1}), images, masks, {"liver": 1}, (SliceOrigin("a", 0), SliceOrigin("a", 1)))


def test_many_scans_have_one(encoder: SliceEncoder, support: SupportSet, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    build = KernelMatching.build
    monkeypatch.setattr(KernelMatching, "build", lambda self, *args: built.append(args) or build(self, *args))
    monkeypatch.setattr("protoseg.engine.matched_volume.MatchedVolume._cues", lambda *_: {})  # it builds others
    volume = support.images[:, :1].permute(1, 3, 2, 0)
    once = [segment(volume, support, encoder).label_map for _ in range(3)]
    assert len(built) == 1
    assert (once[0] == once[1]).all()
    assert (once[0] == once[2]).all()
    assert once[0].any()


def test_copies_of_an_encoder_share_it(encoder: SliceEncoder, support: SupportSet) -> None:
    first = EncodedSupport.of(support, encoder, 8)
    assert EncodedSupport.of(support, encoder.of_size(32), 8) is first
    assert EncodedSupport.of(support, encoder.with_cache(encoder.cache), 1) is first


def test_another_support_or_other_weights_are_encoded_anew(encoder: SliceEncoder, support: SupportSet) -> None:
    first = EncodedSupport.of(support, encoder, 8)
    drawn = replace(support, masks=1 - support.masks)
    other = EncodedSupport.of(drawn, encoder, 8)
    assert not torch.equal(other.prototypes.membership, first.prototypes.membership)
    assert EncodedSupport.of(support, encoder, 8) is not first  # one at a time
    with torch.no_grad():
        encoder.network.encoder.weight *= 2
    trained = EncodedSupport.of(support, encoder.of_network(encoder.network), 8)
    assert not torch.equal(trained.features, first.features)


def test_halves_are_of_the_channels_alone(encoder: SliceEncoder, support: SupportSet) -> None:
    encoded = EncodedSupport.of(support, encoder, 8)
    assert [half.patches.shape for half in encoded.halves] == [(1, 2, 16, 2)] * 2
    assert all(half.basis is None for half in encoded.halves)  # of two channels too little is saved
    torch.testing.assert_close(encoded.halves[0].patches, encoded.halves[1].patches)
