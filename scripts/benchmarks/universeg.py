"""UniverSeg's network (Butoi et al., ICCV 2023, section 3.2), with random weights: for its time and memory alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["UniverSeg"]

FEATURES = 64  # of every block, as published
LEVELS = 4


class UniverSeg(nn.Module):
    """A U-Net in which a target and each support slice, with its mask, look at each other at every level."""

    def __init__(self) -> None:
        super().__init__()
        widths = [(1, 2), *[(FEATURES, FEATURES)] * (LEVELS - 1)]
        self.encoder = nn.ModuleList(CrossBlock(*width) for width in widths)
        self.decoder = nn.ModuleList(CrossBlock(2 * FEATURES, 2 * FEATURES) for _ in range(LEVELS - 1))
        self.output = nn.Conv2d(FEATURES, 1, 1)

    def forward(self, target: Tensor, support: Tensor, masks: Tensor) -> Tensor:
        """Compute logits (B, 1, H, W) of targets (B, 1, H, W), by support (B, S, 1, H, W) and masks (B, S, 1, H, W)."""
        support = torch.cat([support, masks], dim=2)
        passed: list[tuple[Tensor, Tensor]] = []
        for level, block in enumerate(self.encoder):
            if level:
                passed.append((target, support))
                target, support = F.max_pool2d(target, 2), _by_slice(support, lambda maps: F.max_pool2d(maps, 2))
            target, support = block(target, support)
        for block, (target_before, support_before) in zip(self.decoder, reversed(passed)):
            target = torch.cat([_doubled(target), target_before], dim=1)
            support = torch.cat([_by_slice(support, _doubled), support_before], dim=2)
            target, support = block(target, support)
        logits: Tensor = self.output(target)
        return logits


class CrossBlock(nn.Module):
    """A convolution of the target with each support slice, whose mean over the support is the new target."""

    def __init__(self, target_channels: int, support_channels: int) -> None:
        super().__init__()
        self.cross = nn.Conv2d(target_channels + support_channels, FEATURES, 3, padding=1)
        self.target = nn.Sequential(nn.Conv2d(FEATURES, FEATURES, 3, padding=1), nn.LeakyReLU())
        self.support = nn.Sequential(nn.Conv2d(FEATURES, FEATURES, 3, padding=1), nn.LeakyReLU())

    def forward(self, target: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the new target (B, C, H, W) and support (B, S, C, H, W)."""
        pairs = torch.cat([target[:, None].expand(-1, support.shape[1], -1, -1, -1), support], dim=2)
        crossed = _by_slice(pairs, self.cross)
        return self.target(crossed.mean(1)), _by_slice(crossed, self.support)


def _by_slice(maps: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    return function(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])


def _doubled(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)
