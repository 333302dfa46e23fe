"""The adapter from adjacent slices to an encoder's input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.errors import InputError
from protoseg.networks.slice_adapter import SliceAdapter


@settings(deadline=None, max_examples=20)
@given(
    layers=st.sampled_from([1, 3]),
    slices=st.sampled_from([1, 3, 5]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
def test_untrained_adapter_repeats_the_middle_slice(layers: int, slices: int, height: int, width: int) -> None:
    image = torch.randn(2, slices, height, width)
    middle = image[:, slices // 2]
    assert torch.equal(SliceAdapter(layers=layers, slices=slices)(image), torch.stack([middle] * 3, dim=1))


@pytest.mark.parametrize(("layers", "parameters"), [(1, 12), (3, 64 + 272 + 51)])
def test_size(layers: int, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in SliceAdapter(layers=layers).parameters()) == parameters


@pytest.mark.parametrize("layers", [1, 3])
def test_neighbours_are_used_after_a_step(layers: int) -> None:
    torch.manual_seed(0)
    adapter, image = SliceAdapter(layers=layers), torch.randn(1, 3, 4, 4)
    optimizer = torch.optim.SGD(adapter.parameters(), lr=0.1)
    (adapter(image) - image).square().mean().backward()
    optimizer.step()
    neighbour = image.clone().requires_grad_()
    adapter(neighbour).sum().backward()
    assert neighbour.grad is not None and neighbour.grad[:, 0].abs().sum() > 0


def test_mixes_each_pixel_on_its_own() -> None:
    torch.manual_seed(0)
    adapter, image = SliceAdapter(layers=3), torch.randn(1, 3, 4, 4)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter)
    torch.testing.assert_close(adapter(image.flip(-1)), adapter(image).flip(-1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 2}, "SliceAdapter has layers=2; it is made with 1 or 3 layers."),
        ({"slices": 4}, "SliceAdapter has slices=4; the number has to be odd, one being in the middle."),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError) as caught:
        SliceAdapter(**arguments)
    assert str(caught.value) == message


def test_wrong_number_of_slices_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        SliceAdapter()(torch.zeros(2, 5, 4, 4))
    assert str(caught.value) == "SliceAdapter got an array of shape (2, 5, 4, 4); expected (B, 3, H, W)."
