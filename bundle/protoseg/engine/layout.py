"""How labels lie to each other on the support, and so where on a query each may lie.

The matching takes every patch for itself: what looks like a spleen is one, wherever it is. Labels that were found for
sure tell where the others are to be expected, as a reader looks for a small organ between the large ones. The layout of
a support scan is laid over the query, moved, and stretched across the slices, so that the centers of labels fall on
those that were found; what is far out of its place there loses probability. How far is far follows from how well the
centers agree, and is never less than a part of the frame: organs move, and differ.

With one label, or two that disagree, nothing is known and little changes. The frame of a picture is its photographer's,
so pictures stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from protoseg.engine.support import SupportSet

__all__ = ["Layout", "by_layout", "layouts_of"]

# Found on the suite, see docs/engine_defaults.md.
TOLERANCE = 1 / 8  # of the frame's edge, by which a label may be out of its place before it costs
STRETCH_RANGE = (0.2, 5.0)  # of the distance of slices
LEAST_CERTAINTY = 0.4  # mean probability of a label's patches below which it says nothing about the others
LEAST_PATCHES = 4  # of a label, the same
LARGEST_PENALTY = 1.0  # of a log-probability: what is surely like a label stays, wherever it is
ROUNDS, FITTING_ROUNDS = 2, 10
DRAWN = 0.25  # share of a patch that a label must cover to count for its extent


@dataclass(frozen=True)
class Layout:
    """Where labels lie on the slices of one support scan; places are (slice, row, column) in patches."""

    drawn: Tensor  # L, whether the label is drawn on the scan
    centers: Tensor  # L x 3
    before: Tensor  # L x 3, from the center to the first patch
    after: Tensor  # L x 3, from the center to the last patch

    @property
    def radius(self) -> Tensor:
        """Mean way (L,) from the center to the ends of the rows and columns of a label."""
        return (self.before + self.after)[:, 1:].mean(1) / 2


def layouts_of(support: SupportSet, patches: tuple[int, int]) -> list[Layout]:
    """Lay out each scan of a support that has at least two labels.

    Args:
        support: labelled slices.
        patches: rows and columns of the feature map.
    """
    layouts = []
    for scan in sorted({origin.scan for origin in support.origins}):
        slices = [k for k, origin in enumerate(support.origins) if origin.scan == scan]
        numbers = torch.arange(1, 1 + len(support.labels))[:, None, None, None]
        shares = F.adaptive_avg_pool2d((support.masks[slices] == numbers).float(), patches)  # L x slices x h x w
        places = _places(torch.tensor([float(support.origins[k].slice_index) for k in slices]), patches)
        layout = _laid_out(shares, places)
        if layout.drawn.sum() >= 2:
            layouts.append(layout)
    return layouts


def by_layout(log_probability: Tensor, layouts: Sequence[Layout], slice_step: float) -> Tensor:
    """Take probability from labels that are out of their place.

    Args:
        log_probability: (S, 1 + L, h, w) of the classes; class 0 is the background.
        layouts: layouts of the support's scans; for each patch and label, the one it suits best counts.
        slice_step: distance of two slices in patches.

    Returns:
        Log-probabilities as given, changed; the same tensor where nothing is known.
    """
    if not layouts or len(log_probability) == 1:
        return log_probability
    places = _places(torch.arange(float(len(log_probability))), (log_probability.shape[-2], log_probability.shape[-1]))
    changed = before = log_probability.float()
    for _ in range(ROUNDS):
        centers, trust = _found(changed.exp(), places)
        distances = [_distance(layout, centers, trust * layout.drawn, places, slice_step) for layout in layouts]
        known = [distance for distance in distances if distance is not None]
        if not known:
            return log_probability
        penalty = (reduce(torch.minimum, known) / 2).clamp(max=LARGEST_PENALTY)
        changed = before.clone()
        changed[:, 1:] -= penalty.transpose(0, 1)
        changed = changed.log_softmax(1)
    return changed.to(log_probability.dtype)


def _found(probability: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Centers (L, 3) of the labels that were found, and how much each says about the others (L,)."""
    numbers = torch.arange(1, probability.shape[1])[:, None, None]
    certain = (probability[:, 1:] * (probability.argmax(1, keepdim=True) == numbers)).transpose(0, 1)
    total, patches = certain.flatten(1).sum(1), (certain > 0).flatten(1).sum(1)
    trust = total.sqrt() * (total / patches.clamp(min=1) - LEAST_CERTAINTY).clamp(min=0)
    return _centers(certain.square(), places), trust * (patches >= LEAST_PATCHES)


def _distance(layout: Layout, centers: Tensor, trust: Tensor, places: Tensor, slice_step: float) -> Tensor | None:
    """Squared distance (L, S, h, w), in tolerances, from the places of a layout; 0 for labels that it does not have.

    None where it cannot be laid over what was found.
    """
    sure = int((trust > 0).sum())
    if sure < 2:
        return None
    along, shift, spread = _fit(layout.centers, centers, trust)
    stretch = torch.tensor([along or 1.0, 1.0, 1.0])
    least = TOLERANCE * max(places.shape[-2:]) / torch.tensor([slice_step, 1.0, 1.0])
    tolerance = torch.maximum(spread, least)
    total = torch.zeros(len(trust), *places.shape[1:])
    for axis in range(3):
        if axis == 0 and not along:
            continue
        center, before, after = (stretch[axis] * way[:, axis] for way in (layout.centers, layout.before, layout.after))
        if axis == 0:  # not every slice of it need be labelled
            before, after = (torch.maximum(way, layout.radius / slice_step) for way in (before, after))
        away = places[axis] - (center + shift[axis])[:, None, None, None]
        beyond = (away - _by_label(after)).clamp(min=0) + (-away - _by_label(before)).clamp(min=0)
        total += (beyond / tolerance[axis]).square()
    return total * _by_label(layout.drawn)


def _fit(source: Tensor, target: Tensor, trust: Tensor) -> tuple[float | None, Tensor, Tensor]:
    """Fit ``target = stretch * source + shift`` by axis, robustly; only slices are stretched.

    Returns:
        The stretch across slices, None where it cannot be known: that takes three labels, and slices between them;
        shift, and 1.5 times the mean deviation, (3,) each.
    """
    weights = trust[:, None].expand(-1, 3).clone()
    for _ in range(FITTING_ROUNDS):
        shares = weights / weights.sum(0)
        mean_source, mean_target = (shares * source).sum(0), (shares * target).sum(0)
        away = source - mean_source
        variance = (shares * away.square()).sum(0)
        stretch, known = torch.ones(3), bool((trust > 0).sum() >= 3 and variance[0] > 1)
        if known:
            covariance = (shares * away * (target - mean_target)).sum(0)
            stretch[0] = (covariance[0] / variance[0]).clamp(*STRETCH_RANGE)
        shift = mean_target - stretch * mean_source
        deviation = (target - stretch * source - shift).abs()
        spread = (shares * deviation).sum(0) + 1e-3
        weights = trust[:, None] / (1 + (deviation / (2 * spread)).square())
    return float(stretch[0]) if known else None, shift, 1.5 * spread


def _laid_out(shares: Tensor, places: Tensor) -> Layout:
    """Lay out labels by their shares (L, slices, h, w) of patches at places (3, slices, h, w)."""
    drawn = shares.flatten(1).any(1)
    centers = _centers(shares, places)
    least = shares.flatten(1).amax(1).clamp(max=DRAWN)[:, None, None, None]
    inside = (shares >= least) & (shares > 0)
    far = torch.where(inside[:, None], places, -torch.inf).flatten(2).amax(2)
    near = torch.where(inside[:, None], places, torch.inf).flatten(2).amin(2)
    after, before = (way.clamp(min=0).nan_to_num(posinf=0.0) for way in (far - centers, centers - near))
    return Layout(drawn, centers, before, after)


def _centers(weights: Tensor, places: Tensor) -> Tensor:
    """Mean place (L, 3) of weights (L, S, h, w); 0 where a label has none."""
    total = weights.flatten(1).sum(1)
    return torch.einsum("lshw,ashw->la", weights, places) / total.clamp(min=torch.finfo(total.dtype).tiny)[:, None]


def _by_label(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _places(slices: Tensor, patches: tuple[int, int]) -> Tensor:
    """Make the places (3, S, h, w) of all patches."""
    return torch.stack(
        torch.meshgrid(slices, torch.arange(float(patches[0])), torch.arange(float(patches[1])), indexing="ij")
    )
