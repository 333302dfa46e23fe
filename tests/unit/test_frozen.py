"""A frozen encoder gives what the network gave, and neither its features nor their name follow the network."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch import Tensor, nn

from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.run_encoder import RunEncoder
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.networks.alpnet import ALPNet
from protoseg.networks.encoders import TimmEncoder
from protoseg.networks.fpn import FPNEncoder
from protoseg.networks.lora import adapt
from protoseg.networks.slice_adapter import SliceAdapter
from protoseg.ops.private_torch import cpu_multiplies_bfloat16, lerp_all

SIZE = 28
SLICES = torch.randn(5, 1, 12, 16, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def fpn() -> FPNEncoder:
    return FPNEncoder(channels=8, widths=(8, 8, 8, 8, 8))


def vit() -> TimmEncoder:
    encoder = TimmEncoder("vit_small_patch14_dinov2", depth=2, embed_dim=32, num_heads=2, img_size=42, init_values=0.5)
    for name, parameter in encoder.named_parameters():
        if not name.endswith("gamma"):
            nn.init.normal_(parameter, std=0.2)
    return encoder


def lora() -> TimmEncoder:
    encoder = vit()
    adapt(encoder, tuning="lora")
    for name, parameter in encoder.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.5)
    return encoder


def network(encoder: Callable[[], nn.Module] = vit, precision: str = "bfloat16", **parts: Any) -> ALPNet:
    torch.manual_seed(0)
    return ALPNet(encoder=encoder(), precision=precision, **parts).eval()


def spoil(net: ALPNet) -> None:
    """Change every weight in a way that PyTorch does not count as a write."""
    for parameter in net.parameters():
        parameter.data.add_(0.1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("encoder", [fpn, vit, lora])
def test_it_gives_what_the_network_gives_and_goes_on_giving_it(
    encoder: Callable[[], nn.Module], precision: str
) -> None:
    size = 32 if encoder is fpn else SIZE
    images = torch.nn.functional.interpolate(IMAGES, (size, size))
    net = network(encoder, precision)
    with torch.no_grad():
        expected = net.encode(images)
    frozen, name = net.freeze(), net.encoding_fingerprint()
    assert torch.equal(frozen.encode_alike(images), expected)
    spoil(net)
    assert torch.equal(frozen.encode_alike(images), expected)
    assert frozen.encoding_fingerprint() == name != net.encoding_fingerprint()
    with torch.no_grad():
        changed = net.encode(images)
    assert torch.equal(net.freeze().encode_alike(images), changed)
    assert not torch.equal(changed, expected)


def test_the_slice_adapter_is_frozen_too() -> None:
    net = network(slice_adapter=SliceAdapter(layers=1))
    frozen = net.freeze()
    before = frozen.encode_alike(IMAGES)
    for parameter in net.slice_adapter.parameters():  # type: ignore[union-attr]
        parameter.data.add_(0.1)
    assert torch.equal(frozen.encode_alike(IMAGES), before)
    assert not torch.equal(net.freeze().encode_alike(IMAGES), before)


def test_the_network_is_left_to_be_trained() -> None:
    net = network(precision="float32").train()
    net.freeze().encode_alike(IMAGES)
    assert net.training
    net.encode(IMAGES).sum().backward()
    assert all(parameter.grad is not None for name, parameter in net.encoder.named_parameters() if "mask" not in name)


def test_packed_weights_take_the_place_of_the_copied() -> None:
    net = network()
    frozen = net.freeze()
    kept = sum(parameter.numel() for parameter in frozen.parameters())
    blocks = sum(parameter.numel() for parameter in net.encoder.model.blocks.parameters())
    assert kept <= sum(parameter.numel() for parameter in net.parameters()) - blocks


def test_features_of_old_weights_are_never_served_for_new(tmp_path: Path) -> None:
    """Neither from memory nor from disk, whichever encoder made them, and whenever it did."""
    net, cache = network(), FeatureCache(folder=tmp_path)
    old = SliceEncoder(net, SIZE, cache)
    first = old.encode_slices(SLICES, [0])
    spoil(net)
    new = old.of_network(net)
    late = old.encode_slices(SLICES, [1])  # of the weights that were, though the network has others now
    for encoder in (new, SliceEncoder(net, SIZE, FeatureCache(folder=tmp_path))):
        fresh = SliceEncoder(net, SIZE).encode_slices(SLICES, [0, 1])
        found = encoder.encode_slices(SLICES, [0, 1])
        assert torch.equal(found, fresh)
        assert not any(torch.equal(a, b) for a, b in zip(found, torch.cat([first, late])))
    assert torch.equal(old.encode_slices(SLICES, [0, 1]), torch.cat([first, late]))
    assert torch.equal(SliceEncoder(network(), SIZE).encode_slices(SLICES, [0, 1]), torch.cat([first, late]))


class Frozen:
    """Counts how often networks are frozen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        freeze = ALPNet.freeze

        def counted(net: ALPNet) -> Any:
            self.count += 1
            return freeze(net)

        monkeypatch.setattr(ALPNet, "freeze", counted)


def evaluator(encoder: RunEncoder, net: ALPNet, found: list[Tensor]) -> Engine:
    """An engine that encodes a slice in each of three iterations."""
    engine = Engine(lambda _, index: found.append(encoder.of(net, SIZE).encode_slices(SLICES, [index])))
    encoder.attach(engine)
    return engine


def test_an_inferer_in_an_evaluator_freezes_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    net, found, frozen = network(), list[Tensor](), Frozen(monkeypatch)
    encoder = RunEncoder(FeatureCache())
    engine = evaluator(encoder, net, found)
    engine.run([0, 1, 0])
    assert frozen.count == 1
    spoil(net)  # as training between two validations does
    engine.run([0, 1, 0])
    assert frozen.count == 2
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[3], SliceEncoder(net, SIZE).encode_slices(SLICES, [0]))
    assert not torch.equal(found[3], found[0])
    encoder.of(network(), SIZE)
    spoil(net)
    assert torch.equal(encoder.of(net, SIZE).encode(IMAGES), SliceEncoder(net, SIZE).encode(IMAGES))


def test_an_inferer_by_itself_freezes_at_every_call_unless_it_gets_what_is_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, frozen, cache = network(), Frozen(monkeypatch), FeatureCache()
    encoder = RunEncoder(cache)
    for _ in range(2):
        encoder.of(net, SIZE)
    assert frozen.count == 2
    ready = SliceEncoder(net, SIZE)
    given = encoder.of(ready, 2 * SIZE)
    assert (given.frozen, given.image_size, given.cache) == (ready.frozen, 2 * SIZE, cache)
    assert frozen.count == 3


@pytest.mark.parametrize("public", [False, True])
def test_averages_move_by_a_share(public: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if public:
        monkeypatch.delattr(torch, "_foreach_lerp_")
    averages, values = [torch.zeros(2), torch.ones(3)], [torch.ones(2), torch.zeros(3)]
    lerp_all(averages, values, 0.25)
    assert [tensor.tolist() for tensor in averages] == [[0.25, 0.25], [0.75, 0.75, 0.75]]


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"_is_amx_tile_supported": lambda: True, "_is_avx512_bf16_supported": lambda: False}, True),
        ({"_is_avx512_bf16_supported": lambda: True}, True),
        ({"_is_avx512_bf16_supported": lambda: False}, False),
        ({}, False),
    ],
)
def test_a_processor_of_which_pytorch_says_nothing_is_taken_for_one_without_bfloat16(
    processor: dict[str, Any], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "cpu", SimpleNamespace(**processor))
    assert cpu_multiplies_bfloat16() is expected


def test_private_names_of_pytorch_are_in_one_place() -> None:
    package = Path(__file__).parents[2] / "bundle" / "protoseg"
    # PyTorch's notes on extending it name the one that is left out.
    private = re.compile(r"torch\.(ops\.|cpu\._|_(?!C\.DisableTorchFunctionSubclass|_version__))")
    using = [file.name for file in package.rglob("*.py") if private.search(file.read_text("utf-8"))]
    assert using == ["private_torch.py"]
