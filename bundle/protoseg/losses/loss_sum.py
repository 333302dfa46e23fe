"""Several losses of the same features at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from protoseg.errors import InputError

__all__ = ["LossSum"]


class LossSum(nn.Module):
    """Weighted sum of losses.

    Args:
        losses: losses, each of features and target.
        weights: one weight for each loss.

    Raises:
        InputError: not one weight for every loss.
    """

    def __init__(self, losses: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        if not losses or len(losses) != len(weights):
            raise InputError(f"LossSum has {len(losses)} losses and {len(weights)} weights; expected one each.")
        self.losses = nn.ModuleList(losses)
        self.weights = list(weights)

    def forward(self, features: object, target: Tensor) -> Tensor:
        """Compute the scalar loss."""
        parts = [weight * loss(features, target) for loss, weight in zip(self.losses, self.weights)]
        return torch.stack(parts).sum()
