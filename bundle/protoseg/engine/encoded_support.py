"""A support as the matching meets it: encoded, made into prototypes, and asked which of its slices serve a query's."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.cues import halves_of
from protoseg.engine.settings import SupportSelection
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.matching.coreset import most_similar, slice_descriptors
from protoseg.matching.matching import Matching, Prototypes

__all__ = ["EncodedSupport", "build_prototypes"]


def build_prototypes(matching: Matching, features: Tensor, support: SupportSet) -> Prototypes:
    """Make the prototypes of a support from the features (N, C, h, w) of its slices."""
    masks = support.one_hot()[None].to(features.device)
    known = None if support.known is None else support.known.T[None].to(features.device)
    weights = None if support.weights is None else support.weights[None].to(features.device)
    return replace(matching.build(features[None], masks, known), weights=weights)


class EncodedSupport:
    """Features and prototypes of a support.

    Args:
        support: labelled slices.
        encoder: encoder of the support's slices.
        batch_size: number of slices encoded together.
    """

    def __init__(self, support: SupportSet, encoder: SliceEncoder, batch_size: int) -> None:
        self.matching = encoder.matching
        self.features = encoder.encode(support.images, batch_size)  # N x C x h x w
        self.device = self.features.device
        self.prototypes = build_prototypes(self.matching, self.features, support)
        self.reduced = self.matching.reduce(self.prototypes)  # for the many slices that are matched
        self.descriptors = slice_descriptors(self.features)
        self.present = self.prototypes.present[0].cpu()  # L x N

    @classmethod
    def of(cls, support: SupportSet, encoder: SliceEncoder, batch_size: int) -> EncodedSupport:
        """Encode a support, or give what was made of it when the encoder met it last: many scans have one support."""
        return encoder.remembered(support, lambda: cls(support, encoder, batch_size))

    @property
    def patches(self) -> tuple[int, int]:
        """Rows and columns of the feature map."""
        return self.features.shape[-2], self.features.shape[-1]

    @cached_property
    def halves(self) -> tuple[Prototypes, ...]:
        """Prototypes of each half of the channels, expressed as `reduced` ones."""
        halves = halves_of(self.features.shape[1])
        return tuple(self.matching.reduce(self.prototypes.of_channels(half)) for half in halves)

    def similarity(self, features: Tensor) -> Tensor:
        """Compute the cosines (B, N) of slices with features (B, C, h, w) to the slices of the support."""
        # One by one: a product with several sums in another order.
        return torch.stack([self.descriptors @ slice_descriptors(one[None])[0] for one in features]).cpu()

    def choose(
        self, similarity: Tensor, prototypes: Prototypes, selection: SupportSelection
    ) -> tuple[Prototypes, NDArray[np.int64]]:
        """Choose the prototypes that serve a query slice.

        Args:
            similarity: (N,) cosines of the slices of the support to it.
            prototypes: `prototypes` or `reduced`.
            selection: way of choosing, see `OneShotSettings`.

        Returns:
            Them, and the support slice that is nearest for every label.
        """
        by_label = similarity.expand(len(self.present), -1).masked_fill(~self.present, -torch.inf)
        nearest = by_label.argmax(1)
        chosen = nearest[self.present.any(1)]
        if selection == "all":
            chosen = torch.arange(len(similarity))
        elif selection == "similar" or not len(chosen):  # labels may be too small for the network's image
            chosen = most_similar(similarity, self.present)
        prototypes = replace(prototypes, likeness=similarity[None].to(self.device))
        return prototypes.serve(chosen.unique()), nearest.numpy()
