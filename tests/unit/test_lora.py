"""Frozen, LoRA and full tuning of encoders."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from protoseg.errors import InputError
from protoseg.networks.encoder import Encoder
from protoseg.networks.encoders import TimmEncoder
from protoseg.networks.fpn import FPNEncoder
from protoseg.networks.lora import adapt, merge
from protoseg.networks.weights import load_weights

BUILD: dict[str, Callable[[], Encoder]] = {
    # LayerScale of 1 instead of 1e-5, so that what happens in the blocks is seen in the features.
    "vit": lambda: TimmEncoder(
        "vit_small_patch14_dinov2", embed_dim=48, depth=2, num_heads=3, init_values=1.0, img_size=56
    ),
    "dinov3": lambda: TimmEncoder("vit_small_patch16_dinov3", embed_dim=48, depth=1, num_heads=3, init_values=1.0),
    "resnet": lambda: TimmEncoder("resnet10t", channels=(8, 16, 24, 32), drop_path_rate=0.5),
    "convnext": lambda: TimmEncoder("convnext_atto", dims=(8, 16, 24, 32)),
    "fpn": lambda: FPNEncoder(channels=16, widths=(8, 8, 16, 16, 24)),
}


@pytest.fixture(params=BUILD)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    torch.manual_seed(0)
    return BUILD[request.param]()


def image_for(encoder: Encoder) -> torch.Tensor:
    return torch.randn(2, 3, 4 * encoder.stride, 3 * encoder.stride, generator=torch.Generator().manual_seed(1))


def randomise_adapters(encoder: Encoder) -> None:
    for name, parameter in encoder.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.1)


def test_frozen_has_nothing_to_train_and_never_changes(encoder: Encoder) -> None:
    state = copy.deepcopy(encoder.state_dict())
    adapted = adapt(encoder, tuning="frozen").train()
    first, second = adapted(image_for(encoder)), adapted(image_for(encoder))
    assert adapted is encoder
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(module.training for module in encoder.modules())
    assert torch.equal(first, second)
    assert all(torch.equal(state[name], tensor) for name, tensor in encoder.state_dict().items())


def test_full_trains_everything(encoder: Encoder) -> None:
    adapt(encoder, tuning="full").train()
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert all(module.training for module in encoder.modules())


def test_lora_starts_at_the_base_and_trains_adapters_only(encoder: Encoder) -> None:
    image, channels, stride = image_for(encoder), encoder.channels, encoder.stride
    base = encoder.eval()(image).detach()
    adapt(encoder, tuning="lora", rank=2, alpha=4).train()
    features = encoder(image)
    assert torch.equal(features, base)
    assert (encoder.channels, encoder.stride) == (channels, stride)
    features.square().sum().backward()
    trained = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
    assert trained and all(".lora_A." in name or ".lora_B." in name for name in trained)
    touched = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert touched == set(trained)


def test_merged_adapters_give_the_same_features_in_a_plain_state_dict(encoder: Encoder) -> None:
    image, names = image_for(encoder), list(encoder.state_dict())
    base = encoder.eval()(image)
    adapt(encoder, tuning="lora", rank=2)
    randomise_adapters(encoder)
    adapted = encoder(image)
    assert (adapted - base).abs().max() > 1e-3
    merged = merge(encoder)
    torch.testing.assert_close(merged(image), adapted, atol=1e-4, rtol=1e-3)
    assert list(merged.state_dict()) == names


def test_merged_encoder_can_be_adapted_again(recwarn: pytest.WarningsRecorder) -> None:
    encoder = merge(adapt(BUILD["vit"](), tuning="lora"))
    image = image_for(encoder)
    base = encoder(image)
    assert torch.equal(adapt(encoder, tuning="lora", rank=4)(image), base)
    assert not [warning for warning in recwarn if "peft_config" in str(warning.message)]


def test_lora_goes_on_the_attention_of_a_transformer() -> None:
    assert BUILD["vit"]().lora_targets == [
        "model.blocks.0.attn.qkv",
        "model.blocks.0.attn.proj",
        "model.blocks.1.attn.qkv",
        "model.blocks.1.attn.proj",
    ]


def test_lora_leaves_depthwise_convolutions_alone() -> None:
    targets = BUILD["convnext"]().lora_targets
    assert "model.stages.0.blocks.0.mlp.fc1" in targets
    assert not any("conv_dw" in name for name in targets)


def test_lora_trains_under_gradient_checkpointing() -> None:
    encoder = BUILD["vit"]()
    encoder.model.set_grad_checkpointing(True)
    adapt(encoder, tuning="lora", rank=2).train()
    encoder(image_for(encoder)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters() if parameter.requires_grad)


def test_checkpoint_of_other_tuning_is_explained(tmp_path: Path) -> None:
    torch.save(adapt(BUILD["fpn"](), tuning="lora").state_dict(), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"Only the file has LoRA adapters: set tuning to what"):
        load_weights(adapt(BUILD["fpn"](), tuning="frozen"), tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tuning": "lorra"}, "tuning is 'lorra'; expected one of frozen, lora, full. Did you mean 'lora'?"),
        ({"tuning": "x"}, "tuning is 'x'; expected one of frozen, lora, full."),
        ({"tuning": "lora", "rank": 0}, "rank is 0; LoRA needs a rank of at least 1."),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        adapt(BUILD["fpn"](), **arguments)
    assert str(caught.value) == message
