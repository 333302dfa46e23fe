"""The training loss of a batch that several processes share."""

from __future__ import annotations

from torch import Tensor

from protoseg.networks.alpnet import EpisodeLoss, EpisodeOutput
from protoseg.workflows.processes import mean_over_processes

__all__ = ["GlobalEpisodeLoss"]


class GlobalEpisodeLoss(EpisodeLoss):
    """`EpisodeLoss` of the episodes of all processes, as if one process had them all.

    Its value is the same in each; the mean of the gradients over processes, which data-parallel training takes, is
    that of the whole batch. The processes must have equally many episodes.
    """

    def forward(self, output: EpisodeOutput, target: Tensor) -> Tensor:
        """Compute the scalar loss, see `EpisodeLoss`."""
        own = super().forward(output, target)
        return own + (mean_over_processes(own) - own.detach())

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Weigh this process's pixels; divide by the mean weight of a process instead of its own."""
        weight = self.class_weights(logits)[target].sum()
        return super().cross_entropy(logits, target) * (weight / mean_over_processes(weight))
