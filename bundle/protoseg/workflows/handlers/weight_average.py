"""The exponential moving average of a network's weights over its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from protoseg.ops.private_torch import lerp_all

__all__ = ["WeightAverage"]

Tensors = tuple[Tensor, ...] | list[Tensor]


class WeightAverage:
    """Averages a network's weights as it trains; in a long run, the average is better than the weights themselves.

    After n steps the average keeps (1 + n) / (10 + n) of itself and `decay` at most, so that it forgets the first fast.
    An Ignite handler; a `TrainingCheckpoint` attaches and keeps it.
    Source: Polyak and Juditsky 1992; the ramp is that of TensorFlow's `ExponentialMovingAverage`.

    Args:
        network: network that is trained.
        decay: share of the average that each step keeps.
    """

    def __init__(self, *, network: nn.Module, decay: float = 0.9995) -> None:
        self._average = AveragedModel(network, multi_avg_fn=_ramped_average(decay)).requires_grad_(False)

    @property
    def network(self) -> nn.Module:
        """Network with averaged weights."""
        return self._average.module

    def attach(self, engine: Engine) -> None:
        """Follow the weights from iteration to iteration."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.update)

    def update(self, engine: Engine) -> None:
        """Add the weights of an iteration."""
        self._average.update_parameters(engine.network)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """Give the state that a resumed run needs."""
        return self._average.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._average.load_state_dict(state)


def _ramped_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    @torch.no_grad()
    def update(average: Tensors, current: Tensors, count: Tensor | int) -> None:
        steps = int(count)
        share = 1 - min(decay, (1 + steps) / (10 + steps))
        lerp_all(average, current, share)

    return update
