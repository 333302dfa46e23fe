"""The average of weights follows them, slower and slower, and goes on where it was kept."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from protoseg.workflows.handlers.weight_average import WeightAverage


def follow(average: WeightAverage, network: nn.Linear, values: list[float]) -> list[float]:
    """The average's weight after each of the values that the network's takes on."""
    found = []
    for value in values:
        nn.init.constant_(network.weight, value)
        average.update(SimpleNamespace(network=network))  # type: ignore[arg-type]
        found.append(average.network.weight.item())
    return found


@pytest.fixture
def network() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(1, 1, bias=False)


def test_it_follows_fast_at_first_and_slower_then(network: nn.Linear) -> None:
    found = follow(WeightAverage(network=network, decay=0.9), network, [0.0] + [1.0] * 300)
    gaps = [1 - value for value in found[1:]]
    assert found[0] == 0  # the first weights as they are
    ratios = [later / earlier for earlier, later in pairwise(gaps[:12])]
    assert ratios[0] == pytest.approx(3 / 12, rel=1e-4) and ratios == sorted(ratios)
    assert found[-1] == pytest.approx(1, abs=1e-3)


def test_it_neither_trains_nor_is_trained(network: nn.Linear) -> None:
    average = WeightAverage(network=network)
    follow(average, network, [1.0, 2.0])
    assert network.weight.item() == 2 and network.weight.requires_grad
    assert not average.network.weight.requires_grad


def test_it_goes_on_where_it_was_kept(network: nn.Linear) -> None:
    whole = follow(WeightAverage(network=network), network, [1.0, 3.0, 2.0, 5.0])
    first, second = WeightAverage(network=network), WeightAverage(network=network)
    follow(first, network, [1.0, 3.0])
    second.load_state_dict(first.state_dict())
    assert follow(second, network, [2.0, 5.0]) == whole[2:]
    assert torch.equal(second.network.weight, torch.tensor([[whole[-1]]]))
