"""Test-time training on labels that are wrong on purpose: what the guard is there for."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from protoseg.engine.adaptation.episodes import LabelledSlices
from protoseg.engine.adaptation.guard import ReverseGuard
from protoseg.engine.adaptation.test_time import Adaptation
from protoseg.errors import InputError
from protoseg.networks.alpnet import ALPNet

__all__ = ["CORRUPTIONS", "CorruptedAdaptation", "Corruption"]

Corruption = Literal["shifted", "half removed", "random"]
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)

SHIFT = 20  # pixels of the network's input, down and to the right
BLOCKS = 16  # each way, of random labels


class CorruptedAdaptation(Adaptation):
    """Learns from the slices of a volume as `Adaptation` does, after their predicted masks were corrupted.

    Args:
        corruption: kind of corruption.
        guarded: True for a `ReverseGuard` that watches, as always outside of studies.
        scope: "volume".
        **arguments: arguments of `Adaptation`.

    Raises:
        InputError: an unknown corruption.
    """

    def __init__(
        self, *, corruption: Corruption, guarded: bool, scope: Literal["volume"] = "volume", **arguments: Any
    ) -> None:
        if corruption not in CORRUPTIONS:
            raise InputError(f"The corruption is '{corruption}'; choose one of {', '.join(CORRUPTIONS)}.")
        super().__init__(scope=scope, **arguments)
        self.corruption, self.guarded = corruption, guarded

    def to_slices(self, network: ALPNet, slices: LabelledSlices, guard: ReverseGuard | None = None) -> ALPNet:
        """Corrupt the masks, then train as `Adaptation.to_slices` does."""
        wrong = LabelledSlices(slices.images, _corrupted(slices.masks, self.corruption, self.seed))
        return super().to_slices(network, wrong, guard if self.guarded else None)


def _corrupted(masks: Tensor, corruption: Corruption, seed: int) -> Tensor:
    """Corrupt masks (B, size, size): moved, without their right half, or with random labels in square blocks."""
    if corruption == "shifted":
        return masks.roll((SHIFT, SHIFT), dims=(1, 2))
    size = masks.shape[-1]
    if corruption == "half removed":
        return masks * (torch.arange(size) < size // 2)
    random = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, int(masks.max()) + 1, (len(masks), BLOCKS, BLOCKS), generator=random).to(masks)
    place = torch.arange(size) * BLOCKS // size
    return blocks[:, place[:, None], place]
