"""The labelled scans of a run that conflict with each other, told before it begins."""

from __future__ import annotations

import logging

from protoseg.engine.agreement import doubts_by_label, leave_one_out
from protoseg.engine.feature_cache import FeatureCache
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.networks.alpnet import ALPNet

__all__ = ["support_doubts"]

logger = logging.getLogger(__name__)

TO_DO = "Correct it or leave that scan out if it is wrong; it serves as it is"


def support_doubts(support: SupportSet, network: ALPNet, *, cache: FeatureCache | None = None) -> dict[str, list[str]]:
    """Hold the labelled scans of a run against each other, and log a warning of each label that conflicts.

    Each label is looked at on the slice of each scan where it is largest, however many serve: what that costs does not
    grow with them.

    Args:
        support: support of all queries.
        network: network that segments.
        cache: cache of features, where the run finds those of the support; by default one of its own.

    Returns:
        What speaks against examples by label, see `doubts_by_label`; nothing where one scan alone is labelled.
    """
    if len({origin.scan for origin in support.origins}) < 2:
        return {}
    support = support.take(_largest_slices(support))
    agreements = leave_one_out(support, SliceEncoder(network, support.images.shape[-1], cache))
    for scan, mine in agreements.items():
        for name, agreement in mine.items():
            if agreement.doubt:
                logger.warning("Check the label %s of %s: it %s. %s.", name, scan, agreement.doubt, TO_DO)
    return doubts_by_label(agreements)


def _largest_slices(support: SupportSet) -> list[int]:
    """Find the slices where a label of a scan is largest."""
    slices: set[int] = set()
    for scan in {origin.scan for origin in support.origins}:
        mine = [k for k, origin in enumerate(support.origins) if origin.scan == scan]
        for position in range(1, 1 + len(support.labels)):
            areas = (support.masks[mine] == position).sum((1, 2))
            if areas.any():
                slices.add(mine[int(areas.argmax())])
    return sorted(slices)
