"""Shallow features beside an encoder's: their share of the cosine, what they show, and unchanged checkpoints."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from protoseg.errors import InputError
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.encoders import Encoder, TimmEncoder
from protoseg.networks.fpn import PyramidEncoder
from protoseg.networks.handcrafted_features import SHALLOW_CHANNELS, WithShallowFeatures, shallow_features
from protoseg.networks.lora import adapt, merge
from protoseg.networks.weights import with_weights

CONFIGS = Path(__file__).parents[2] / "bundle" / "configs"


def tiny_pyramid() -> PyramidEncoder:
    return PyramidEncoder(channels=16, widths=(8, 8, 16, 16, 24))


def tiny_dinov2() -> TimmEncoder:
    return TimmEncoder("vit_small_patch14_dinov2", embed_dim=48, depth=2, num_heads=3)


@pytest.mark.parametrize(("encoder", "size"), [(tiny_pyramid, 64), (tiny_dinov2, 56)])
def test_any_encoder_is_lengthened(encoder: type[Encoder], size: int) -> None:
    inner = encoder()
    features = WithShallowFeatures(inner)(torch.randn(2, 3, size, size))
    assert features.shape == (2, inner.channels + SHALLOW_CHANNELS, size // inner.stride, size // inner.stride)
    torch.testing.assert_close(features.norm(dim=1), torch.ones_like(features[:, 0]))


@settings(deadline=None, max_examples=15)
@given(weight=st.floats(0.01, 10), seed=st.integers(0, 1000))
def test_the_cosine_is_the_weighted_mean_of_both(weight: float, seed: int) -> None:
    torch.manual_seed(seed)
    encoder, images = tiny_pyramid().eval(), torch.randn(2, 3, 32, 32)
    both = F.cosine_similarity(*WithShallowFeatures(encoder, weight=weight)(images), dim=0)
    deep, shallow = (F.cosine_similarity(*maps, dim=0) for maps in (encoder(images), shallow_features(images, (4, 4))))
    torch.testing.assert_close(both, (deep + weight * shallow) / (1 + weight), atol=1e-5, rtol=1e-4)


def test_what_they_are_by_hand() -> None:
    image = torch.zeros(1, 3, 4, 8)
    image[..., 4:] = 3.0
    image[..., ::2, :4] = 2.0
    features = shallow_features(image, (1, 2))[0, :, 0]  # 20 x 2 cells
    gradient = (9 * 2 + 2 * 5**0.5 + 13**0.5 + 3) / 16  # 2 between rows, 1 or 3 between the halves
    per_channel = {0: (1.0, 3.0), 3: (2.0, 2.0), 12: (1.0, 0.0), 15: (2 * gradient, 0.0)}
    for first, values in per_channel.items():  # mean, mean around, standard deviation, gradient
        expected = torch.tensor([values] * 3) / 3**0.5
        torch.testing.assert_close(features[first : first + 3], expected, atol=2e-4, rtol=0)
    assert features[18:].tolist() == [[-1.0, 1.0], [-1.0, -1.0]]


def test_a_checkpoint_of_the_encoder_alone_fits_and_comes_back(tmp_path: Path) -> None:
    plain = ALPNet(encoder=tiny_pyramid())
    torch.save(plain.state_dict(), tmp_path / "model.pt")
    wrapped = ALPNet(encoder=WithShallowFeatures(tiny_pyramid()))
    with_weights(wrapped, tmp_path / "model.pt")
    for network in (wrapped, copy.deepcopy(wrapped)):
        state = network.state_dict()
        assert state.keys() == plain.state_dict().keys()
        assert all(torch.equal(state[name], tensor) for name, tensor in plain.state_dict().items())
    with pytest.raises(InputError, match="does not fit ALPNet: 1 missing"):
        torch.save({k: v for k, v in plain.state_dict().items() if k != "encoder.out.bias"}, tmp_path / "model.pt")
        with_weights(wrapped, tmp_path / "model.pt")


def test_features_of_other_weights_are_not_mistaken_for_these() -> None:
    encoder = tiny_pyramid()
    networks = [encoder, WithShallowFeatures(encoder), WithShallowFeatures(encoder, weight=1.0)]
    assert len({ALPNet(encoder=part).encoding_fingerprint() for part in networks}) == 3


def test_adapters_come_and_go() -> None:
    torch.manual_seed(0)
    encoder, image = WithShallowFeatures(tiny_dinov2()).eval(), torch.randn(1, 3, 28, 28)
    before, names = encoder(image), list(encoder.state_dict())
    merged = merge(adapt(encoder, tuning="lora"))
    torch.testing.assert_close(merged(image), before)
    assert list(merged.state_dict()) == names


def test_a_weight_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"weight of the shallow features is 0; it must be above 0\."):
        WithShallowFeatures(tiny_pyramid(), weight=0)


@pytest.mark.parametrize("main", ["train.yaml", "inference.yaml"])
def test_the_override_file_wraps_the_encoder(main: str) -> None:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / main), str(CONFIGS / "shallow.yaml")])
    parser["encoder#encoder"] = {"_target_": "protoseg.networks.fpn.PyramidEncoder", "channels": 16}
    encoder = parser.get_parsed_content("network_def").encoder
    assert isinstance(encoder, WithShallowFeatures)
    assert encoder.encoder is parser.get_parsed_content("encoder")
