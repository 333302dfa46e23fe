"""Weights of single pyramids become those of an ensemble that encodes as they do, or one pyramid between them."""

from pathlib import Path

import pytest
import torch

from protoseg.errors import InputError
from protoseg.matching.kernel_matching import KernelMatching
from protoseg.matching.matching import unit
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.fpn import FPNEncoder, fpn_encoder
from protoseg.networks.header import make_header, read_header
from protoseg.networks.joined_weights import average_weights, join_weights
from protoseg.networks.weights import load_weights, read_state, save_weights

SIZES = [{"channels": 16, "widths": [8, 8, 16, 16, 24]}, {"channels": 24, "widths": [8, 8, 8, 8, 8]}]


@pytest.fixture
def networks() -> list[ALPNet]:
    torch.manual_seed(0)
    return [
        ALPNet(encoder=FPNEncoder(**size), matching=KernelMatching(rejection_threshold=0.5)).eval() for size in SIZES
    ]


@pytest.fixture
def files(networks: list[ALPNet], tmp_path: Path) -> list[Path]:
    first, second = tmp_path / "first.pt", tmp_path / "average.pt"
    save_weights(networks[0], first, header=make_header(networks[0], image_size=128, origin={"recipe": "mine"}))
    averaged = {f"module.{name}": tensor for name, tensor in networks[1].state_dict().items()}
    torch.save({"network": {"n_averaged": torch.tensor(3), **averaged}}, second)
    return [first, second]


@torch.no_grad()
def test_features_lie_side_by_side(networks: list[ALPNet], files: list[Path], tmp_path: Path) -> None:
    header = join_weights(files, tmp_path / "joined.pt")
    assert header == read_header(tmp_path / "joined.pt")
    assert (header["image_size"], header["rejection_threshold"], header["recipe"]) == (128, 0.5, "mine")
    joined = ALPNet(encoder=fpn_encoder(header["members"])).eval()
    load_weights(joined, tmp_path / "joined.pt")
    image = torch.randn(2, 3, 32, 32)
    expected = torch.cat([unit(network.encode(image), dim=1) for network in networks], dim=1)
    torch.testing.assert_close(joined.encode(image), expected, atol=0.01, rtol=0)  # of half precision


def test_what_cannot_be_joined_is_refused(networks: list[ALPNet], files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^1 file of weights to join; expected at least two"):
        join_weights(files[:1], tmp_path / "joined.pt")
    torch.save({"encoder.blocks.0.weight": torch.zeros(1)}, tmp_path / "vit.pt")
    with pytest.raises(
        InputError, match=r"vit\.pt holds 0 pyramids; expected weights whose encoder is a single FPNEnc"
    ):
        join_weights([files[0], tmp_path / "vit.pt"], tmp_path / "joined.pt")
    torch.save({**networks[0].state_dict(), "slice_adapter.weight": torch.zeros(1)}, tmp_path / "more.pt")
    with pytest.raises(InputError, match=r"more\.pt holds besides, slice_adapter\.weight; expected"):
        join_weights([files[0], tmp_path / "more.pt"], tmp_path / "joined.pt")
    assert not (tmp_path / "joined.pt").exists()


def test_joined_weights_are_not_joined_again(files: list[Path], tmp_path: Path) -> None:
    join_weights(files, tmp_path / "joined.pt")
    with pytest.raises(InputError, match=r"joined\.pt holds 2 pyramids"):
        join_weights([files[0], tmp_path / "joined.pt"], tmp_path / "again.pt")


def test_the_mean_of_weights_lies_between_them(networks: list[ALPNet], files: list[Path], tmp_path: Path) -> None:
    other = {f"module.{name}": tensor + 1 for name, tensor in networks[0].state_dict().items()}
    torch.save({"network": {"n_averaged": torch.tensor(3), **other}}, tmp_path / "other.pt")
    average_weights([files[0], tmp_path / "other.pt"], [3, 1], tmp_path / "mean.pt")
    assert read_header(tmp_path / "mean.pt") == read_header(files[0])
    found = read_state(tmp_path / "mean.pt")
    expected = {name: tensor + 0.25 for name, tensor in networks[0].state_dict().items()}
    torch.testing.assert_close(found, expected)


def test_what_has_no_mean_is_refused(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^1 file of weights to average; expected at least two\.$"):
        average_weights(files[:1], [1], tmp_path / "mean.pt")
    with pytest.raises(InputError, match=r"^shares are 1 -1; expected 2 numbers above 0, one for each file\.$"):
        average_weights(files, [1, -1], tmp_path / "mean.pt")
    with pytest.raises(
        InputError, match=r"average\.pt holds other tensors than .*first\.pt; expected weights of the same"
    ):
        average_weights(files, [1, 1], tmp_path / "mean.pt")
    assert not (tmp_path / "mean.pt").exists()
