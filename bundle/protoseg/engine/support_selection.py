"""Selects the slices of a support to keep: those that together best represent all that were drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

import torch
from torch import Tensor

from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.errors import InputError
from protoseg.matching.coreset import k_center_greedy, rank, slice_descriptors

__all__ = ["join_supports", "keep_most_useful"]


@torch.no_grad()
def keep_most_useful(
    support: SupportSet,
    encoder: SliceEncoder,
    *,
    limit: int,
    limits: Mapping[str, int] | None = None,
) -> SupportSet:
    """Reduce a support to the slices that cover, for every label, the appearance of all slices that show it.

    Labels rank their slices: first the one where it is largest, then, one by one, the one that looks least like those
    before it. The labels take turns; a slice serves all labels on it. Every label keeps at least one slice, so the
    result may exceed a limit that is below the number of labels.

    Args:
        support: support to reduce; it is returned as it is if it has no more slices than the limits allow.
        encoder: encoder that tells how slices look.
        limit: largest number of slices in all, at least 1.
        limits: largest number of slices that a label may choose, by its name; other labels are bounded by `limit`
            alone.

    Raises:
        InputError: a limit is below 1.
    """
    limits = limits or {}
    for name, value in {"limit": limit, **limits}.items():
        if value < 1:
            raise InputError(f"The limit of support slices for '{name}' is {value}; it must be at least 1.")
    if len(support.images) <= limit and not limits.keys() & support.labels.keys():
        return support
    descriptors = slice_descriptors(encoder.encode(support.images)).cpu()
    orders = [
        _order(descriptors, (support.masks == number).sum((1, 2)), min(limit, limits.get(name, limit)))
        for number, name in enumerate(support.labels, start=1)
    ]
    kept = sorted(rank(*orders)[: max(limit, len(support.labels))])
    return support.take(kept)


def join_supports(
    supports: Iterable[SupportSet], encoder: SliceEncoder, *, limit: int, limits: Mapping[str, int] | None = None
) -> SupportSet:
    """Make one support of several, at least one, bounded as by `keep_most_useful` each time that one is added."""

    def join(one: SupportSet, other: SupportSet) -> SupportSet:
        return keep_most_useful(one.merge(other), encoder, limit=limit, limits=limits)

    return reduce(join, supports)


def _order(descriptors: Tensor, area: Tensor, limit: int) -> list[int]:
    """Rank the slices that show a label, most useful first."""
    showing = area.nonzero()[:, 0]
    if not len(showing):
        return []
    start = int(area[showing].argmax())
    return showing[k_center_greedy(descriptors[showing], start=start, limit=limit)].tolist()
