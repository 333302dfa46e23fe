"""The hybrid encoder: every cell sees the whole slice, and every parameter learns."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.errors import InputError
from protoseg.networks.hybrid import HybridEncoder
from protoseg.networks.lora import adapt


def tiny_hybrid() -> HybridEncoder:
    return HybridEncoder(channels=16, widths=(8, 8, 16, 16), depth=2, heads=2)


def test_it_has_about_six_million_parameters() -> None:
    encoder = HybridEncoder()
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 6_097_128
    assert (encoder.channels, encoder.stride) == (128, 8)


@settings(deadline=None, max_examples=10)
@given(rows=st.integers(1, 5), columns=st.integers(1, 5), batch=st.integers(1, 2))
def test_every_multiple_of_8_is_encoded(rows: int, columns: int, batch: int) -> None:
    with torch.no_grad():
        features = tiny_hybrid().eval()(torch.randn(batch, 3, 8 * rows, 8 * columns))
    assert features.shape == (batch, 16, rows, columns)
    assert features.isfinite().all()


def test_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="the nearest size is 24 x 16"):
        tiny_hybrid()(torch.zeros(1, 3, 23, 16))


def test_a_cell_sees_the_far_end_of_the_slice() -> None:
    torch.manual_seed(0)
    encoder, image = tiny_hybrid().eval(), torch.randn(1, 3, 256, 256, requires_grad=True)
    encoder(image)[..., 0, 0].sum().backward()
    assert image.grad is not None
    assert image.grad[..., -8:, -8:].abs().max() > 0


def test_every_parameter_learns() -> None:
    encoder = tiny_hybrid().train()
    encoder(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


def test_lora_adapts_the_attention() -> None:
    encoder = adapt(tiny_hybrid(), tuning="lora")
    trained = {name.split(".lora_")[0] for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained == {f"blocks.{block}.attn.{layer}" for block in (0, 1) for layer in ("qkv", "proj")}
