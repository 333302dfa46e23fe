"""Transformer blocks in bfloat16 give what timm's own forward pass gives."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from protoseg.networks import vit_blocks
from protoseg.networks.encoders import TimmEncoder
from protoseg.networks.lora import adapt
from protoseg.networks.vit_blocks import packed_blocks, transform, transform_packed
from protoseg.ops import chunking, private_torch
from protoseg.ops.packed_linear import PackedLinear


def blocks_of(**options: object) -> nn.Sequential:
    """Two blocks with weights that do something: as they begin, they add next to nothing."""
    torch.manual_seed(0)
    vit = VisionTransformer(embed_dim=32, depth=2, num_heads=2, num_classes=0, **options).eval()  # type: ignore[arg-type]
    for name, parameter in vit.blocks.named_parameters():
        nn.init.normal_(parameter, std=0.2, mean=1.0 if name.endswith(("norm1.weight", "norm2.weight")) else 0.0)
    return vit.blocks


def in_bfloat16(work: Callable[[], Tensor]) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return work()


def off(actual: Tensor, expected: Tensor) -> float:
    """Mean difference, in standard deviations of what is expected."""
    return float((actual - expected).abs().mean() / expected.std())


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"init_values": 1e-5}, {"qkv_bias": False}, {"qk_norm": True}])
@pytest.mark.parametrize("step_bytes", [1, chunking.STEP_BYTES], ids=["one by one", "at once"])
def test_bfloat16_is_as_near_to_float32_as_timms_own_pass(
    options: dict[str, object], step_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = blocks_of(**options)
    tokens = torch.randn(3, 7, 32)
    given = tokens.clone()
    monkeypatch.setattr("protoseg.ops.chunking.STEP_BYTES", step_bytes)
    exact = blocks(tokens)
    theirs = off(in_bfloat16(lambda: blocks(tokens)), exact)
    ours = off(in_bfloat16(lambda: transform(blocks, tokens))[:, :7], exact)
    assert 0 < ours < 1.2 * theirs < 0.02
    assert torch.equal(tokens, given)


@torch.no_grad()
def test_float32_is_timms_own_pass() -> None:
    blocks = blocks_of()
    tokens = torch.randn(2, 7, 32)
    assert torch.equal(transform(blocks, tokens), blocks(tokens))


@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_go_through_added_tokens(frozen: bool) -> None:
    blocks = blocks_of().requires_grad_(not frozen)
    tokens = torch.randn(2, 7, 32, requires_grad=True)
    in_bfloat16(lambda: transform(blocks, tokens))[:, :7].float().square().sum().backward()
    assert tokens.grad is not None
    blocks(leaf := tokens.detach().clone().requires_grad_()).square().sum().backward()
    assert leaf.grad is not None
    assert off(tokens.grad, leaf.grad) < 0.02


@torch.no_grad()
def test_adapters_are_heeded() -> None:
    """LoRA replaces layers; a pass that took their weights alone would leave the adapters out."""
    torch.manual_seed(0)
    encoder = TimmEncoder("vit_small_patch14_dinov2", depth=1, embed_dim=32, num_heads=2, img_size=28).eval()
    for parameter in encoder.parameters():
        parameter.normal_(std=0.5)
    image = torch.randn(1, 3, 28, 28)
    before = in_bfloat16(lambda: encoder(image))
    adapt(encoder, tuning="lora").eval()
    for name, parameter in encoder.named_parameters():
        if "lora_" in name:
            parameter.normal_(std=0.5)
    assert off(in_bfloat16(lambda: encoder(image)), encoder(image)) < 0.05
    assert off(before, encoder(image)) > 0.1


@torch.no_grad()
def test_changed_weights_are_heeded() -> None:
    blocks = blocks_of()
    tokens = torch.randn(1, 7, 32)
    in_bfloat16(lambda: transform(blocks, tokens))
    blocks[0].mlp.fc1.weight.data *= -1  # which PyTorch does not count as a write
    assert off(in_bfloat16(lambda: transform(blocks, tokens))[:, :7], blocks(tokens)) < 0.02


@torch.no_grad()
def test_packed_blocks_give_the_same_and_pack_once(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = blocks_of()
    tokens = torch.randn(1, 7, 32)
    alone = in_bfloat16(lambda: transform(blocks, tokens))
    made: list[nn.Linear] = []

    class Counted(PackedLinear):
        def __init__(self, layer: nn.Linear, **how: Any) -> None:
            made.append(layer)
            super().__init__(layer, **how)

    monkeypatch.setattr(vit_blocks, "PackedLinear", Counted)
    packed = packed_blocks(blocks, torch.bfloat16)
    assert packed is not None
    twice = [in_bfloat16(lambda: transform_packed(packed, tokens)) for _ in range(2)]
    assert len(made) == len(set(made)) == 8
    assert all(torch.equal(one, alone) for one in twice)
    in_bfloat16(lambda: transform(blocks, tokens))
    assert len(made) == 16


def test_blocks_are_packed_only_where_that_changes_nothing() -> None:
    assert packed_blocks(blocks_of(), torch.float32) is None
    assert packed_blocks(blocks_of(qk_norm=True), torch.bfloat16) is None
    assert packed_blocks(blocks_of().to("meta"), torch.bfloat16) is None


@torch.no_grad()
def test_added_keys_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = blocks_of()
    tokens = torch.randn(1, 7, 32)
    with_nine_more = in_bfloat16(lambda: transform(blocks, tokens))[:, :7]
    monkeypatch.setattr(vit_blocks, "KEY_STEP", 1)
    assert off(with_nine_more, in_bfloat16(lambda: transform(blocks, tokens))) < 0.003


def without_packing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the private operators away, as another processor or another release of PyTorch would."""
    if how == "processor":
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    if how == "absent":
        monkeypatch.setattr(torch.ops, "mkldnn", object())
    if how == "arguments":
        monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda inputs, weight: inputs)
    if how == "results":
        monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda inputs, *_: inputs)


@torch.no_grad()
@pytest.mark.parametrize("lacking", ["nothing", "processor", "absent", "arguments", "results"])
@pytest.mark.parametrize("activation", ["none", "gelu"])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_layer_gives_what_the_layer_gives(
    lacking: str, activation: Literal["none", "gelu"], bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(48, 64, bias=bias)
    inputs = torch.randn(3, 5, 48).bfloat16()
    without_packing(lacking, monkeypatch)
    assert lacking == "nothing" or private_torch.packed_operators() is None
    packed = PackedLinear(layer, activation=activation)
    expected = layer.bfloat16()(inputs)
    torch.testing.assert_close(packed(inputs), nn.functional.gelu(expected) if activation == "gelu" else expected)
