"""The encoder contract, timm's and torchvision's checkpoints, and the override files of the encoders."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_resnet101

from protoseg.errors import InputError
from protoseg.networks.deeplab import DeepLabEncoder
from protoseg.networks.encoder import Encoder
from protoseg.networks.encoder_table import ENCODERS, SHIPPED, input_size, named_encoder
from protoseg.networks.encoders import TimmEncoder
from protoseg.networks.fpn import FPNEncoder, FPNEnsemble, coordinates
from protoseg.networks.weights import load_weights
from protoseg.ops.fingerprint import weights_fingerprint

TINY_VIT = {"embed_dim": 48, "depth": 2, "num_heads": 3}
KINDS: dict[str, tuple[Callable[[], Encoder], int, int]] = {  # how to build it, channels, stride
    "dinov2": (lambda: TimmEncoder("vit_small_patch14_dinov2", **TINY_VIT), 48, 14),
    "dinov2_reg": (lambda: TimmEncoder("vit_small_patch14_reg4_dinov2", **TINY_VIT), 48, 14),
    "dinov3": (lambda: TimmEncoder("vit_small_patch16_dinov3", **TINY_VIT), 48, 16),
    "dino": (lambda: TimmEncoder("vit_small_patch16_224.dino", **TINY_VIT), 48, 16),
    "mae": (lambda: TimmEncoder("vit_base_patch16_224.mae", **TINY_VIT), 48, 16),
    "clip": (lambda: TimmEncoder("vit_base_patch16_clip_224", **TINY_VIT), 48, 16),
    "convnext": (lambda: TimmEncoder("convnext_atto", dims=(8, 16, 24, 32)), 24, 16),
    "resnet": (lambda: TimmEncoder("resnet10t", channels=(8, 16, 24, 32), closest_stride=8), 16, 8),
    "fpn": (lambda: tiny_fpn(), 16, 8),
    "fpn_ensemble": (lambda: FPNEnsemble([tiny_fpn(), tiny_fpn()]), 32, 8),
}


def tiny_fpn() -> FPNEncoder:
    return FPNEncoder(channels=16, widths=(8, 8, 16, 16, 24))


@pytest.fixture(scope="module")
def encoders() -> dict[str, Encoder]:
    torch.manual_seed(0)
    return {kind: build().eval() for kind, (build, _, _) in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=5)
@given(rows=st.integers(1, 4), columns=st.integers(1, 4), batch=st.integers(1, 2))
def test_every_multiple_of_the_stride_is_encoded(
    encoders: dict[str, Encoder], kind: str, rows: int, columns: int, batch: int
) -> None:
    encoder, (_, channels, stride) = encoders[kind], KINDS[kind]
    with torch.no_grad():
        features = encoder(torch.randn(batch, 3, rows * stride, columns * stride))
    assert (encoder.channels, encoder.stride) == (channels, stride)
    assert features.shape == (batch, channels, rows, columns)
    assert features.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_takes_part(kind: str) -> None:
    encoder = KINDS[kind][0]().train()
    size = 4 * encoder.stride
    encoder(torch.randn(2, 3, size, size)).square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_sizes_off_the_stride_are_refused(encoders: dict[str, Encoder]) -> None:
    with pytest.raises(InputError) as caught:
        encoders["dinov2"](torch.zeros(1, 3, 250, 5))
    assert str(caught.value) == (
        "The image is 250 x 5 pixels (H x W), but the encoder takes multiples of 14: "
        "the nearest size is 252 x 14. Set image_size accordingly."
    )
    with pytest.raises(InputError, match=r"got the shape \(1, 1, 28, 28\); expected \(B, 3, H, W\)"):
        encoders["dinov2"](torch.zeros(1, 1, 28, 28))


@pytest.mark.parametrize(("closest", "stride", "channels"), [(1, 4, 8), (8, 8, 16), (20, 16, 24), (99, 32, 32)])
def test_feature_map_of_the_closest_stride(closest: int, stride: int, channels: int) -> None:
    encoder = TimmEncoder("convnext_atto", dims=(8, 16, 24, 32), closest_stride=closest)
    assert (encoder.stride, encoder.channels) == (stride, channels)
    assert encoder(torch.zeros(1, 3, 64, 32)).shape == (1, channels, 64 // stride, 32 // stride)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_timm_checkpoint_gives_timm_tokens(tmp_path: Path, suffix: str) -> None:
    reference = timm.create_model("vit_tiny_patch16_224", num_classes=10, **TINY_VIT).eval()
    path = tmp_path / f"vit{suffix}"
    (torch.save if suffix == ".pth" else save_file)(reference.state_dict(), path)
    encoder = TimmEncoder("vit_tiny_patch16_224", weights=path, **TINY_VIT).eval()
    image = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        tokens = reference.forward_features(image)[:, 1:]
        torch.testing.assert_close(encoder(image).flatten(2).transpose(1, 2), tokens)


def test_grad_checkpointing_changes_no_gradient() -> None:
    plain = TimmEncoder("vit_small_patch14_dinov2", **TINY_VIT)
    frugal = TimmEncoder("vit_small_patch14_dinov2", grad_checkpointing=True, **TINY_VIT)
    frugal.load_state_dict(plain.state_dict())
    image = torch.randn(1, 3, 28, 42)
    for encoder in (plain, frugal):
        encoder(image).square().sum().backward()
    for expected, actual in zip(plain.parameters(), frugal.parameters()):
        torch.testing.assert_close(actual.grad, expected.grad)


def test_unknown_name_is_answered_with_close_ones() -> None:
    with pytest.raises(InputError) as caught:
        TimmEncoder("vit_smal_patch14_dinov2.lvd142m")
    assert "has no model named 'vit_smal_patch14_dinov2.lvd142m'. Did you mean vit_small_patch14_dinov2" in str(
        caught.value
    )


def test_absent_weights_name_the_publishers_file(tmp_path: Path) -> None:
    path = tmp_path / "dinov2_vits14_pretrain.pth"
    with pytest.raises(InputError) as caught:
        TimmEncoder("vit_small_patch14_dinov2.lvd142m", weights=path)
    assert str(caught.value) == (
        f"Weights file {path} does not exist. "
        "Get https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth "
        "and save it there, or set weights to where you keep it."
    )


def test_pretrained_without_internet_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        TimmEncoder("vit_small_patch14_reg4_dinov2.lvd142m", pretrained=True, cache_dir=tmp_path)
    assert str(caught.value) == (
        "The weights of vit_small_patch14_reg4_dinov2.lvd142m could not be fetched. "
        "Get https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_reg4_pretrain.pth, "
        "save it as bundle/models/dinov2_vits14_reg4_pretrain.pth, "
        "and pass weights='bundle/models/dinov2_vits14_reg4_pretrain.pth' instead of pretrained."
    )


def test_fpn_has_three_to_four_million_parameters() -> None:
    encoder = FPNEncoder()
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 3_403_400
    assert (encoder.channels, encoder.stride) == (128, 8)


@torch.no_grad()
def test_the_cosines_of_an_ensemble_are_the_means_of_its_members() -> None:
    members, image = [tiny_fpn().eval(), tiny_fpn().eval()], torch.randn(1, 3, 32, 32)

    def cosines(encoder: Encoder) -> torch.Tensor:
        patches = torch.nn.functional.normalize(encoder(image)[0].flatten(1), dim=0)
        return patches.T @ patches

    torch.testing.assert_close(cosines(FPNEnsemble(members)), (cosines(members[0]) + cosines(members[1])) / 2)


def test_fpn_in_channels_last_gives_the_same() -> None:
    encoder, image = tiny_fpn().eval(), torch.randn(2, 3, 64, 40)
    with torch.no_grad():
        expected = encoder(image)
        actual = encoder.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


def test_coordinates_are_x_then_y_from_minus_one_to_one() -> None:
    x, y = coordinates(torch.zeros(1, 3, 3, 2))[0]
    assert x.tolist() == [[-1, 1], [-1, 1], [-1, 1]]
    assert y.tolist() == [[-1, -1], [0, 0], [1, 1]]


def test_deeplab_takes_torchvisions_checkpoint_without_its_heads(tmp_path: Path) -> None:
    # On the "meta" device shapes are checked without the 160 MB of numbers.
    path = tmp_path / "deeplab.pth"
    with torch.device("meta"):
        published = deeplabv3_resnet101(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
        torch.save(published.state_dict(), path)
        encoder = DeepLabEncoder(weights=path)
        assert encoder(torch.zeros(2, 3, 64, 72)).shape == (2, 256, 8, 9)
        torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
        with pytest.raises(InputError, match=r"does not fit the ResNet-101 of DeepLabv3: 623 missing \(bn1\.weight"):
            DeepLabEncoder(weights=path)


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"network": state, "epoch": torch.tensor(3)}])
def test_own_checkpoint_comes_back(tmp_path: Path, wrap: Callable[[dict[str, Tensor]], object]) -> None:
    trained, fresh = tiny_fpn(), tiny_fpn()
    torch.save(wrap(trained.state_dict()), tmp_path / "model.pt")
    load_weights(fresh, tmp_path / "model.pt")
    for expected, actual in zip(trained.parameters(), fresh.parameters()):
        assert torch.equal(expected, actual)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "(0 bytes) cannot be read as a checkpoint"),
        (b"<!DOCTYPE html><html>404</html>", "(31 bytes) cannot be read as a checkpoint"),
        ({"network": [1, 2]}, "holds no state dict. Expected names mapped to tensors"),
        ({"network": nn.Linear(1, 1)}, "or holds objects other than tensors"),
    ],
)
def test_damaged_checkpoints_are_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "model.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputError) as caught:
        load_weights(tiny_fpn(), path)
    assert str(caught.value).startswith(f"Weights file {path}")
    assert message in str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@settings(deadline=None, max_examples=15)
@given(share=st.floats(0, 0.999))
def test_truncated_checkpoints_are_refused(tmp_path_factory: pytest.TempPathFactory, suffix: str, share: float) -> None:
    path = tmp_path_factory.mktemp("cut") / f"model{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(nn.Linear(20, 30).state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"cannot be read as a checkpoint: it is cut short"):
        load_weights(nn.Linear(20, 30), path)


def test_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weight": torch.zeros(2, 5), "scale": torch.zeros(1)}, path)
    with pytest.raises(InputError) as caught:
        load_weights(nn.Linear(3, 2), path)
    assert str(caught.value) == (
        f"{path} does not fit Linear: 1 missing (bias); 1 unexpected (scale); "
        "1 of another shape (weight (2, 5) instead of (2, 3)). "
        "The file holds 2 tensors beginning with weight, scale; "
        "the model has 2 tensors beginning with weight, bias. "
        "Give the weights of this model, or choose the model that the file was made for."
    )


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_of_the_table_is_built(name: str, tmp_path: Path) -> None:
    entry = ENCODERS[name]
    if entry.file:
        with pytest.raises(InputError) as caught:
            named_encoder(name, models=tmp_path)
        assert str(caught.value).startswith(f"Weights file {tmp_path / entry.file} does not exist. Get ")
        with pytest.raises(InputError, match=r"^Weights file mine\.pth does not exist"):
            named_encoder(name, models=tmp_path, weights="mine.pth")
    assert entry.licence and entry.source and bool(entry.file) == (name != SHIPPED)
    with torch.device("meta"):
        encoder = named_encoder(name, models=tmp_path, network_weights="of the whole network")
    assert entry.image_size % encoder.stride == 0
    images = torch.zeros(1, 3, entry.image_size, entry.image_size, device="meta")
    assert encoder(images).shape[1] == encoder.channels
    if entry.file.endswith(".safetensors"):
        assert entry.file == f"{entry.model}.safetensors"


def test_an_encoder_by_name_takes_options_and_one_that_is_made_stays(tmp_path: Path) -> None:
    encoder = named_encoder("fpn", models=tmp_path, channels=16, widths=(8, 8, 8, 8, 8))
    assert encoder.channels == 16
    assert named_encoder(encoder, models=tmp_path) is encoder


def test_the_header_of_the_weights_says_how_large_the_shipped_encoder_is(tmp_path: Path) -> None:
    header = {"members": [{"channels": 16, "widths": [8, 8, 8, 8, 8]}, {"channels": 24, "widths": [8, 8, 8, 8, 8]}]}
    encoder = named_encoder("fpn", models=tmp_path, header=header)
    assert isinstance(encoder, FPNEnsemble) and encoder.channels == 40


@pytest.mark.parametrize(
    ("header", "encoder", "size"),
    [({}, "fpn", 256), ({}, "dinov2_vits14", 252), ({"image_size": 128}, "dinov2_vits14", 128), ({}, nn.ReLU(), 256)],
)
def test_the_input_is_as_large_as_the_weights_say_or_as_usual(
    header: dict[str, int], encoder: str | nn.Module, size: int
) -> None:
    assert input_size(header, encoder) == size


def test_coordinates_are_dropped_in_training_only():
    torch.manual_seed(0)
    encoder = FPNEncoder(channels=8, widths=(8, 8, 8, 8, 8), coordinate_dropout=0.5)
    images = torch.zeros(1, 3, 32, 32).expand(40, 3, 32, 32)
    with torch.no_grad():
        features = encoder(images)
        kinds = torch.unique(features.flatten(1).mul(1e3).round(), dim=0)
        assert len(kinds) == 2  # with and without
        assert torch.equal(encoder.eval()(images)[0], encoder(images)[1])


def test_fpn_keeps_the_fingerprint_of_its_first_name() -> None:
    encoder = FPNEncoder(channels=8, widths=(8, 8, 8, 8, 8))
    for weight in encoder.state_dict().values():
        weight.zero_()
    assert weights_fingerprint(encoder) == "a33a39792a3720ed"
