"""DINOv2 as published: patch tokens of tiny official models, and the shapes of the released checkpoints."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from protoseg.errors import InputError
from protoseg.networks.dinov2 import official_to_timm, resample_positions
from protoseg.networks.encoders import TimmEncoder

VECTORS = Path(__file__).parents[1] / "data" / "dinov2_features.npz"
TINY = {"embed_dim": 48, "depth": 2, "num_heads": 3}
MODELS = {
    "plain": "vit_small_patch14_dinov2.lvd142m",
    "plain_rect": "vit_small_patch14_dinov2.lvd142m",
    "registers": "vit_small_patch14_reg4_dinov2.lvd142m",
}
SIZES = {"small": (384, 12), "base": (768, 12), "large": (1024, 24), "giant": (1536, 40)}  # width, depth


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    with np.load(VECTORS) as file:
        return dict(file)


def official_state(vectors: dict[str, np.ndarray], case: str) -> dict[str, Tensor]:
    start = f"{case}/state_dict/"
    return {
        name.removeprefix(start): torch.from_numpy(array) for name, array in vectors.items() if name.startswith(start)
    }


def normalised_image(vectors: dict[str, np.ndarray], case: str) -> Tensor:
    return (torch.from_numpy(vectors[f"{case}/image_uint8"]).float() / 255 - 0.45) / 0.225


@pytest.fixture
def plain(vectors: dict[str, np.ndarray], tmp_path: Path) -> TimmEncoder:
    torch.save(official_state(vectors, "plain"), tmp_path / "plain.pth")
    return TimmEncoder(MODELS["plain"], weights=tmp_path / "plain.pth", **TINY).eval()


@pytest.mark.parametrize("case", MODELS)
def test_patch_tokens_are_those_of_the_official_code(vectors: dict[str, np.ndarray], case: str, tmp_path: Path) -> None:
    torch.save(official_state(vectors, case), tmp_path / "official.pth")
    encoder = TimmEncoder(MODELS[case], weights=tmp_path / "official.pth", **TINY).eval()
    with torch.no_grad():
        features = encoder(normalised_image(vectors, case))
    tokens = features.flatten(2).transpose(1, 2).numpy()
    np.testing.assert_allclose(tokens, vectors[f"{case}/patch_tokens"], atol=1e-4, rtol=0)


def test_class_position_is_folded_exactly(vectors: dict[str, np.ndarray]) -> None:
    official = official_state(vectors, "registers")
    converted = official_to_timm(official)
    assert torch.equal(converted["cls_token"][0, 0], official["cls_token"][0, 0] + official["pos_embed"][0, 0])
    assert torch.equal(converted["pos_embed"], official["pos_embed"][:, 1:])
    assert torch.equal(converted["reg_token"], official["register_tokens"])
    assert "mask_token" in official  # the input is left as it was


@pytest.mark.parametrize(("offset", "antialias"), [(0.1, False), (0.0, True)])
def test_resampling_keeps_a_constant_and_gives_the_size(offset: float, antialias: bool) -> None:
    for size in [(37, 37), (18, 18), (16, 20), (1, 50), (48, 48)]:
        resampled = resample_positions(torch.full((1, 37, 37, 2), 3.0), size, offset=offset, antialias=antialias)
        assert resampled.shape == (1, *size, 2)
        torch.testing.assert_close(resampled, torch.full_like(resampled, 3.0))


class TestPositionsAreResampledOnce:
    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
        calls: list[tuple[int, int]] = []

        def counted(positions: Tensor, size: tuple[int, int], **options: object) -> Tensor:
            calls.append(size)
            return resample_positions(positions, size, **options)

        monkeypatch.setattr("protoseg.networks.dinov2.resample_positions", counted)
        return calls

    def test_per_size(self, plain: TimmEncoder, calls: list[tuple[int, int]]) -> None:
        frozen = plain.frozen(torch.float32)
        for height, width in [(28, 42), (28, 42), (42, 28), (28, 42)]:
            image = torch.rand(1, 3, height, width)
            with torch.no_grad():
                assert torch.equal(frozen(image), plain(image))
        assert calls == [(2, 3), (2, 3), (2, 3), (3, 2), (3, 2), (2, 3)]

    def test_but_again_when_it_trains(self, plain: TimmEncoder, calls: list[tuple[int, int]]) -> None:
        for _ in range(2):
            plain(torch.zeros(1, 3, 28, 28)).sum().backward()
        assert calls == [(2, 2), (2, 2)]
        assert plain.model.pos_embed.grad.abs().sum() > 0

    def test_and_a_frozen_encoder_keeps_its_own(self, plain: TimmEncoder) -> None:
        image, other = torch.zeros(1, 3, 28, 42), TimmEncoder(MODELS["plain"], **TINY).eval()
        with torch.no_grad():
            before, expected = plain(image), other(image)
            frozen = plain.frozen(torch.float32)
            plain.load_state_dict(other.state_dict())
            assert torch.equal(plain(image), expected)
            assert torch.equal(frozen(image), before)
        assert not torch.equal(before, expected)


def official_layout(width: int, depth: int, *, registers: int, swiglu: bool) -> dict[str, Tensor]:
    """The names and shapes of a released checkpoint, without its numbers ("meta" tensors)."""
    hidden = (int(4 * width * 2 / 3) + 7) // 8 * 8
    first, second = (("w12", 2 * hidden), ("w3", hidden)) if swiglu else (("fc1", 4 * width), ("fc2", 4 * width))
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1370, width),
        **({"register_tokens": (1, registers, width)} if registers else {}),
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, 14, 14),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    block: dict[str, tuple[int, ...]] = {
        "norm1.weight": (width,),
        "norm1.bias": (width,),
        "attn.qkv.weight": (3 * width, width),
        "attn.qkv.bias": (3 * width,),
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
        "ls1.gamma": (width,),
        "norm2.weight": (width,),
        "norm2.bias": (width,),
        f"mlp.{first[0]}.weight": (first[1], width),
        f"mlp.{first[0]}.bias": (first[1],),
        f"mlp.{second[0]}.weight": (width, second[1]),
        f"mlp.{second[0]}.bias": (width,),
        "ls2.gamma": (width,),
    }
    for index in range(depth):
        shapes |= {f"blocks.{index}.{name}": shape for name, shape in block.items()}
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def save_official(path: Path, size: str, registers: int = 0) -> Path:
    width, depth = SIZES[size]
    torch.save(official_layout(width, depth, registers=registers, swiglu=size == "giant"), path)
    return path


@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("size", SIZES)
def test_released_shapes_load_strictly(tmp_path: Path, size: str, registers: int) -> None:
    path = save_official(tmp_path / "official.pth", size, registers)
    with torch.device("meta"):
        name = f"vit_{size}_patch14_{'reg4_' if registers else ''}dinov2.lvd142m"
        encoder = TimmEncoder(name, weights=path)
        assert encoder(torch.empty(1, 3, 252, 252)).shape == (1, SIZES[size][0], 18, 18)


def test_checkpoint_of_another_size_is_refused(tmp_path: Path) -> None:
    path = save_official(tmp_path / "dinov2_vits14_pretrain.pth", "small")
    with torch.device("meta"), pytest.raises(InputError) as caught:
        TimmEncoder("vit_large_patch14_dinov2.lvd142m", weights=path)
    assert str(caught.value) == (
        f"{path} does not fit vit_large_patch14_dinov2.lvd142m: "
        "168 missing (blocks.12.norm1.weight, blocks.12.norm1.bias, blocks.12.attn.qkv.weight, ...); "
        "174 of another shape (cls_token (1, 1, 384) instead of (1, 1, 1024), "
        "pos_embed (1, 1370, 384) instead of (1, 1370, 1024), "
        "patch_embed.proj.weight (384, 3, 14, 14) instead of (1024, 3, 14, 14), ...). "
        "The file holds 174 tensors beginning with cls_token, pos_embed, patch_embed.proj.weight "
        "(a ViT-S/14: 384 wide, 12 blocks, 0 registers); "
        "the model has 342 tensors beginning with cls_token, pos_embed, patch_embed.proj.weight "
        "(a ViT-L/14: 1024 wide, 24 blocks, 0 registers). "
        "Give the weights of this model, or choose the model that the file was made for."
    )


@pytest.mark.parametrize(("in_file", "expected"), [(4, "unexpected"), (0, "missing")])
def test_registers_have_to_agree(tmp_path: Path, in_file: int, expected: str) -> None:
    path = save_official(tmp_path / "official.pth", "small", in_file)
    name = f"vit_small_patch14_{'' if in_file else 'reg4_'}dinov2.lvd142m"
    with torch.device("meta"), pytest.raises(InputError, match=rf"1 {expected} \(reg_token\)"):
        TimmEncoder(name, weights=path)


def test_missing_and_unexpected_keys_are_named(tmp_path: Path) -> None:
    state = official_layout(384, 12, registers=0, swiglu=False)
    state["blocks.3.ls9.gamma"] = state.pop("blocks.3.ls1.gamma")
    torch.save(state, tmp_path / "official.pth")
    with torch.device("meta"), pytest.raises(InputError) as caught:
        TimmEncoder("vit_small_patch14_dinov2.lvd142m", weights=tmp_path / "official.pth")
    assert "1 missing (blocks.3.ls1.gamma); 1 unexpected (blocks.3.ls9.gamma)." in str(caught.value)
