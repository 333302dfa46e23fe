"""How well labelled scans agree: the labels of each, segmented by the others (leave one out).

What the others do not find where somebody drew it is drawn badly, is drawn under another name, or looks like nothing
that was labelled so far. Which of these it is, people have to tell: here it is found, and nothing is left out for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from protoseg.engine.slice_axes import same_plane
from protoseg.engine.slice_encoder import SliceEncoder
from protoseg.engine.support import SupportSet
from protoseg.matching.coreset import most_similar, slice_descriptors
from protoseg.ops.upsampling import BilinearUpsampler, upsampled_argmax

__all__ = ["Agreement", "Found", "compare", "doubts_by_label", "judge", "leave_one_out"]

# A label is doubted that is so much below the median of the other scans: Dice, and median deviations of these from
# their median, whichever is more; docs/clicks.md tells what that finds.
MARGIN, DEVIATIONS = 0.2, 3.0
POOR = 0.3  # Dice, below which it is where there is no more than one other scan


class Found(NamedTuple):
    """What others find on the slices of a scan, of one label that both have."""

    dice: float  # of what is found with what was drawn
    instead: str  # label that is found on most of it; empty where there is none


class Agreement(NamedTuple):
    """What the other scans say of one label of a scan."""

    dice: float  # see `Found`
    usual: float | None  # median of the same of the other scans; None where there is one other scan alone
    least: float  # below which it is doubted
    instead: str = ""  # see `Found`

    @property
    def doubt(self) -> str:
        """Tell people why the label should be checked; empty where nothing speaks against it."""
        if self.dice >= self.least:
            return ""
        if self.usual is None:
            found = f", which finds {self.instead} there" if self.instead else ""
            return f"agrees with the other example by a Dice of {self.dice:.2f} only{found}"
        found = f", which find {self.instead} there" if self.instead else ""
        return f"agrees with the other examples by a Dice of {self.dice:.2f}, these by {self.usual:.2f}{found}"


def leave_one_out(support: SupportSet, encoder: SliceEncoder) -> dict[str, dict[str, Agreement]]:
    """Segment the slices of each scan of a support by those of the others.

    Each label is looked at on the slice of each scan where it is largest, however many serve: what that costs does not
    grow with them.

    Args:
        support: slices of several scans.
        encoder: encoder of the support and its slices.

    Returns:
        By scan and label; without labels that no other scan has.
    """
    support = support.take(_largest_slices(support))
    found = {}
    for scan in dict.fromkeys(origin.scan for origin in support.origins):
        mine = [k for k, origin in enumerate(support.origins) if origin.scan == scan]
        others = [k for k, origin in enumerate(support.origins) if origin.scan != scan]
        if others:
            found[scan] = judge(support.take(mine), support.take(others), encoder)
    return compare(found)


def compare(found: Mapping[str, Mapping[str, Found]]) -> dict[str, dict[str, Agreement]]:
    """Hold what was found on each scan against what was found on the others, by label."""
    agreements: dict[str, dict[str, Agreement]] = {}
    for scan, mine in found.items():
        for name, (dice, instead) in mine.items():
            others = [theirs[name].dice for other, theirs in found.items() if other != scan and name in theirs]
            agreements.setdefault(scan, {})[name] = _agreement(dice, others, instead)
    return agreements


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


def _agreement(dice: float, others: Sequence[float], instead: str) -> Agreement:
    if len(others) < 2:
        return Agreement(dice, None, POOR, instead)
    usual = median(others)
    deviation = median(abs(other - usual) for other in others)
    return Agreement(dice, usual, usual - max(MARGIN, DEVIATIONS * deviation), instead)


def doubts_by_label(agreements: Mapping[str, Mapping[str, Agreement]]) -> dict[str, list[str]]:
    """Tell by label of which scans its labels are doubted, and why, for `Prediction.with_doubts`."""
    doubts: dict[str, list[str]] = {}
    for scan, mine in agreements.items():
        for name, agreement in mine.items():
            if agreement.doubt:
                doubts.setdefault(name, []).append(f"check its label in {scan}, which {agreement.doubt}")
    return doubts


@torch.no_grad()
def judge(support: SupportSet, others: SupportSet, encoder: SliceEncoder) -> dict[str, Found]:
    """Segment the slices of a support by others, and hold that against its labels.

    Args:
        support: support to be judged; nothing is said of a label on slices where it is not known.
        others: slices of other scans.
        encoder: encoder of the support and its slices.

    Returns:
        By name of the labels that both have; nothing where the slices do not compare, as those of two planes.
    """
    if support.preprocessing != others.preprocessing or not same_plane(support.slice_axes, others.slice_axes):
        return {}
    support = replace(support, labels=support.labels.beside(others.labels))
    both = others.merge(support)  # of one size, and with the same labels
    mine = both.take([k for k, origin in enumerate(both.origins) if origin in support.origins])
    rest = both.take([k for k, origin in enumerate(both.origins) if origin not in support.origins])
    drawn_and_found = _confusion(mine, rest, encoder)
    judged = {}
    for name in support.labels:
        position = both.labels.position(name)
        counts = drawn_and_found if mine.known is None else drawn_and_found[mine.known[:, position - 1]]
        counts = counts.sum(0)
        here = counts[position]
        shown = bool((rest.masks == position).any())
        if shown and here.sum():
            dice = 2 * float(here[position]) / float(here.sum() + counts[:, position].sum())
            most = int(here.argmax())
            instead = both.labels.name_at(most) if most not in (0, position) and 2 * here[most] > here.sum() else ""
            judged[name] = Found(dice, instead)
    return judged


def _confusion(mine: SupportSet, rest: SupportSet, encoder: SliceEncoder) -> Tensor:
    """Count the pixels (N, 1 + L, 1 + L) of each slice by what is drawn there and what the rest finds there."""
    matching, classes = encoder.matching, 1 + len(mine.labels)
    features, labelled = encoder.encode(mine.images), encoder.encode(rest.images)
    known = None if rest.known is None else rest.known.T[None].to(labelled.device)
    prototypes = matching.build(labelled[None], rest.one_hot()[None].to(labelled.device), known)
    prototypes = replace(prototypes, weights=None if rest.weights is None else rest.weights[None].to(labelled.device))
    similarity = slice_descriptors(features) @ slice_descriptors(labelled).T
    unlikeness = similarity.amax(1).max() - similarity.amax(1)
    size = mine.masks.shape[-1]
    to_pixels = BilinearUpsampler((features.shape[-2], features.shape[-1]), size, size)
    counts = []
    for one, alike, distance, drawn in zip(features, similarity, unlikeness, mine.masks):
        serving = replace(prototypes, likeness=alike[None]).serve(most_similar(alike, prototypes.present[0]))
        scores = matching.decide(matching.evidence(one[None, None], serving), distance[None, None])[0, 0]
        predicted = torch.from_numpy(upsampled_argmax(scores.cpu().log_softmax(0), to_pixels).label)
        pairs = torch.bincount((drawn.long() * classes + predicted).flatten(), minlength=classes**2)
        counts.append(pairs.reshape(classes, classes))
    return torch.stack(counts)
