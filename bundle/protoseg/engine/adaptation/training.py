"""Trains a copy of a network briefly, within limits of steps and seconds, and returns its best state."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.optim import Optimizer

from protoseg.engine.adaptation.episodes import Episode
from protoseg.engine.adaptation.guard import ReverseGuard
from protoseg.errors import InputError
from protoseg.networks import lora
from protoseg.networks.alpnet import ALPNet, EpisodeLoss
from protoseg.networks.encoder import Encoder

__all__ = ["ShortTraining"]

logger = logging.getLogger(__name__)

CHECK_INTERVAL = 5  # steps between two checks by the guard, each of which costs about three steps


@dataclass(frozen=True)
class ShortTraining:
    """Settings of a short training.

    Args:
        steps: number of optimizer steps, one episode each.
        optimizer: function that makes an optimizer of parameters.
        tuning: part of the encoder that is trained, "lora" or "full", see `protoseg.networks.lora.adapt`.
        rank: rank of LoRA.
        seconds: limit of the training time; a step that would exceed it, at the pace of the slowest so far, is not
            begun. None for no limit.
        seed: seed of LoRA's initial weights.
        clock: function that tells the time in seconds.

    Raises:
        InputError: there is less than one step, or the tuning is unknown.
    """

    steps: int
    optimizer: Callable[[Sequence[nn.Parameter]], Optimizer]
    tuning: str = "lora"
    rank: int = 8
    seconds: float | None = None
    seed: int = 0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps of adaptation is {self.steps}; it must be at least 1.")
        if self.tuning not in ("lora", "full"):
            raise InputError(f"tuning of adaptation is '{self.tuning}'; choose 'lora' or 'full'.")

    def adapted(self, network: ALPNet, episodes: Iterator[Episode], guard: ReverseGuard | None = None) -> ALPNet:
        """Train a copy of a network for inference; with a guard, give the best that it saw, which may be the network.

        The training loss is the published one (`EpisodeLoss`). The network and the global random state are left as they
        are. It takes no more memory than training on two slices, and a copy of the weights.
        """
        deadline = None if self.seconds is None else self.clock() + self.seconds
        device = next(network.parameters()).device
        forked = [device] if device.type == "cuda" else []
        # MONAI's evaluators switch gradients off.
        with torch.enable_grad(), torch.random.fork_rng(devices=forked):
            torch.manual_seed(self.seed)
            adapted = self._trainable_copy(network)
            weights = [weight for weight in adapted.parameters() if weight.requires_grad]
            better = self._train(adapted, weights, episodes, guard, deadline)
        if not better:
            return network
        adapted.encoder = lora.merge(cast(Encoder, adapted.encoder))
        return adapted.requires_grad_(False).eval()

    def _trainable_copy(self, network: ALPNet) -> ALPNet:
        adapted = copy.deepcopy(network).eval()  # the statistics of two slices are too poor for normalization
        adapted.encoder = lora.adapt(lora.merge(cast(Encoder, adapted.encoder)), tuning=self.tuning, rank=self.rank)
        if adapted.slice_adapter is not None:
            adapted.slice_adapter.requires_grad_(self.tuning == "full")
        if adapted.precision == "float16":  # small gradients vanish in it
            adapted.precision = "auto"
        return adapted

    def _train(
        self,
        network: ALPNet,
        weights: list[nn.Parameter],
        episodes: Iterator[Episode],
        guard: ReverseGuard | None,
        deadline: float | None,
    ) -> bool:
        """Train in place; return False if the weights are no better than at first."""
        loss_function, optimizer = EpisodeLoss(), self.optimizer(weights)
        device = weights[0].device
        best = None if guard is None else _Best(weights, guard)
        longest = 0.0
        for step in range(1, 1 + self.steps):
            began = self.clock()
            if deadline is not None and began + longest > deadline:
                break
            episode = next(episodes, None)
            if episode is None:
                break
            query, support, masks, labels = episode.to(device)
            network.matching.train()  # published: coarser prototypes than in evaluation
            loss = loss_function(network(query, support, masks), labels)
            if not loss.isfinite():
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if best is not None and step % CHECK_INTERVAL == 0 and not best.consider(network, step):
                break
            longest = max(longest, self.clock() - began)
        return best is None or best.restore()


class _Best:
    """The weights with the highest estimate of a guard so far."""

    def __init__(self, weights: list[nn.Parameter], guard: ReverseGuard) -> None:
        self.weights, self.guard = weights, guard
        self.estimate, self.step = guard.start, 0
        self.values: list[torch.Tensor] = []

    def consider(self, network: ALPNet, step: int) -> bool:
        """Remember the weights if they are better; return False if the guard calls for an end."""
        estimate = self.guard.check(network)
        if estimate is not None and estimate > self.estimate:
            self.estimate, self.step = estimate, step
            self.values = [weight.detach().clone() for weight in self.weights]
        return estimate is not None

    @torch.no_grad()
    def restore(self) -> bool:
        """Restore the best weights; return False if none were better than the first."""
        logger.info(
            "Adaptation: %d steps kept, estimated Dice %.3f, before %.3f", self.step, self.estimate, self.guard.start
        )
        for weight, value in zip(self.weights, self.values):
            weight.copy_(value)
        return self.step > 0
