"""Watches over an adaptation that learns from its own predictions: wrong ones must not corrupt the network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from protoseg.engine.encoded_support import build_prototypes
from protoseg.engine.quality import reverse_classification_accuracy
from protoseg.engine.support import SupportSet
from protoseg.networks.alpnet import ALPNet
from protoseg.ops.upsampling import BilinearUpsampler, upsampled_argmax

__all__ = ["ReverseGuard"]

BATCH = 8  # slices encoded together
FALL = 0.01  # fall of a label's estimated Dice beyond which the network is being corrupted
AGREEMENT = 0.98  # mean Dice of the predictions before and after: the estimate can be trusted only near the start


class ReverseGuard:
    """Compares a network during adaptation with the original one, on some slices of the query.

    Both segment the slices, and the support in reverse from their predictions (`reverse_classification_accuracy`).

    Args:
        network: network before the adaptation.
        images: (B, 3, size, size) network input, slices that show the labels well.
        support: ground truth; one slice for every label is enough, and quick.
    """

    def __init__(self, network: ALPNet, images: Tensor, support: SupportSet) -> None:
        self.images, self.support = images, support
        self._masks, estimates = self._segment(network)
        found = self._masks.unique().tolist()
        self._estimates = {name: dice for k, (name, dice) in enumerate(estimates.items(), start=1) if k in found}
        self.start = _mean(self._estimates)

    def check(self, network: ALPNet) -> float | None:
        """Estimate the mean Dice, with a network, of the labels that were found before; None if it does worse.

        It does worse if the estimate of any label fell by more than 0.01, or the predictions have moved away (mean Dice
        of old and new below 0.98).
        """
        masks, estimates = self._segment(network)
        estimates = {name: estimates[name] for name in self._estimates}
        fell = any(estimates[name] < before - FALL for name, before in self._estimates.items())
        if fell or self._agreement(masks) < AGREEMENT:
            return None
        return _mean(estimates)

    @torch.no_grad()
    def _segment(self, network: ALPNet) -> tuple[Tensor, dict[str, float]]:
        """Predict masks (B, size, size), and estimate the Dice by label."""
        network.eval()
        device = next(network.parameters()).device
        query, support = (
            torch.cat([network.encode(batch.to(device)) for batch in images.split(BATCH)])
            for images in (self.images, self.support.images)
        )
        prototypes = build_prototypes(network.matching, support, self.support)
        size = self.images.shape[-1]
        to_pixels = BilinearUpsampler((query.shape[-2], query.shape[-1]), size, size, device)
        scores = (network.matching.match(features[None, None], prototypes)[0, 0] for features in query)
        winners = [upsampled_argmax(score.log_softmax(0), to_pixels).label for score in scores]
        found = torch.from_numpy(np.stack(winners))
        estimates = reverse_classification_accuracy(network.matching, query, found, support, self.support)
        return found, estimates

    def _agreement(self, masks: Tensor) -> float:
        """Average the Dice of two predictions of the same slices over the labels that were found before."""
        dice = []
        for label in self._masks.unique().tolist():
            if label:
                before, after = self._masks == label, masks == label
                dice.append(float(2 * (before & after).sum() / (before.sum() + after.sum())))
        return sum(dice) / max(len(dice), 1)


def _mean(estimates: dict[str, float]) -> float:
    return sum(estimates.values()) / max(len(estimates), 1)
