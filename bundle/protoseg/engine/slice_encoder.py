"""Encodes the slices of a volume: the one place that knows network, input and cache."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from protoseg.engine.feature_cache import FeatureCache
from protoseg.matching.matching import Matching
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.slices import network_input

__all__ = ["SliceEncoder"]

BATCH = 8  # slices encoded together

Made = TypeVar("Made")


class SliceEncoder:
    """Encodes slices of volumes, each only once, with the weights that the network has at construction.

    It freezes the network's encoder (`ALPNet.freeze`): training the network on needs another one, see `of_network`.

    Args:
        network: network that encodes; it is put into evaluation mode.
        image_size: edge of the network's input in pixels.
        cache: cache of features, by default one of its own; a slice that was seen before is not encoded again.
    """

    def __init__(self, network: ALPNet, image_size: int, cache: FeatureCache | None = None) -> None:
        self.network = network.eval()
        self.frozen = network.freeze()
        self.image_size = image_size
        self.cache = cache or FeatureCache()
        self._remembered: list[tuple[object, Any]] = []  # one at most; copies share it

    @property
    def matching(self) -> Matching:
        """The network's matching of features."""
        return self.network.matching

    @property
    def adjacent_slices(self) -> bool:
        """Whether the three channels of the input are a slice and its neighbors, not one slice three times."""
        return self.network.slice_adapter is not None

    def fingerprint(self) -> str:
        """Give the digits that stand for everything features depend on, except slices, number format and device."""
        return self.frozen.encoding_fingerprint()

    def network_input(self, slices: Tensor, indices: Sequence[int]) -> Tensor:
        """Make the network's input (B, 3, size, size) of some slices of a volume (S, C, H, W)."""
        return network_input(slices, indices, size=self.image_size, adjacent=self.adjacent_slices)

    def encode(self, images: Tensor, batch_size: int = BATCH) -> Tensor:
        """Encode network input (B, 3, size, size) to features (B, C, h, w) on the network's device."""
        return torch.cat([self.cache.encode(self.frozen, batch) for batch in images.split(batch_size)])

    def encode_slices(self, slices: Tensor, indices: Sequence[int], batch_size: int = BATCH) -> Tensor:
        """Encode some slices of a volume (S, C, H, W) to features (B, C, h, w) on the network's device."""
        size, adjacent = self.image_size, self.adjacent_slices
        batches = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
        return torch.cat(
            [self.cache.encode_slices(self.frozen, slices, batch, size=size, adjacent=adjacent) for batch in batches]
        )

    def remembered(self, of: object, make: Callable[[], Made]) -> Made:
        """Give what was made of an object by this encoder if it was the last one, or else make and keep it."""
        for last, made in list(self._remembered):
            if last is of:
                known: Made = made
                return known
        new = make()
        self._remembered[:] = [(of, new)]
        return new

    def of_size(self, image_size: int) -> SliceEncoder:
        """Copy this encoder for an input of another size."""
        return self._with(image_size=image_size)

    def with_cache(self, cache: FeatureCache) -> SliceEncoder:
        """Copy this encoder with another cache."""
        return self._with(cache=cache)

    def of_network(self, network: ALPNet, cache: FeatureCache | None = None) -> SliceEncoder:
        """Copy this encoder for another network, or for this one with its present weights; `cache` may be another."""
        return SliceEncoder(network, self.image_size, cache or self.cache)

    def _with(self, **changed: object) -> SliceEncoder:
        other = copy.copy(self)
        vars(other).update(changed)
        return other
