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

    Args:
        support: support of all queries.
        network: network that segments.
        cache: cache of features, where the run finds those of the support; by default one of its own.

    Returns:
        What speaks against examples by label, see `doubts_by_label`; nothing where one scan alone is labelled.
    """
    if len({origin.scan for origin in support.origins}) < 2:
        return {}
    agreements = leave_one_out(support, SliceEncoder(network, support.images.shape[-1], cache))
    for scan, mine in agreements.items():
        for name, agreement in mine.items():
            if agreement.doubt:
                logger.warning("Check the label %s of %s: it %s. %s.", name, scan, agreement.doubt, TO_DO)
    return doubts_by_label(agreements)
