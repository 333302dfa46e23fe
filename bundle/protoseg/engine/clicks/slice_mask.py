"""From a few clicks on a slice to the mask of that slice.

Every pixel is compared with the clicks: by the cosine of its features, which tell organs apart, and by its intensity,
which is sharper. It belongs to the label where it is more like a positive click than like a negative one, and more like
it than pixels of two organs usually are. A graph cut then draws the border along the image's edges.

The constants were chosen on drawn CT and MR slices and on two real CT examinations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from protoseg.engine.clicks.click_likeness import ClickedSlice, ClickLikeness
from protoseg.engine.clicks.mask_choice import most_fitting
from protoseg.engine.clicks.working_grid import WorkingGrid
from protoseg.ops.components import connected_components
from protoseg.ops.graph_cut import cut
from protoseg.ops.upsampling import Window

__all__ = ["slice_mask", "strict_mask"]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Point = tuple[int, int]

UNLIKE = 0.4  # likeness below which a pixel is taken for something else, where 1 is the click itself
TEMPERATURE = 0.3  # likeness to log odds
INTENSITY_WEIGHT = 0.5  # likeness lost by a difference of one standard deviation of the volume's intensities
SMOOTHNESS = 4.0  # mm, of the cut
FRAME = 256.0  # units of a first mask on the longer side of a slice: what may be clicked on is told by its share of it
NEAR = 0.3  # likeness that a first mask of a certain radius gains at the click, and loses at `radius * sqrt(2)`
FAR = -1.5  # times this it loses at most
UNSURE = 0.01  # a probability nearer to 0 or 1 than this only clicks give
POSSIBLE = 0.2  # probability from which the cut looks at a pixel
MARGIN = 8  # pixels around these


class _Criteria(NamedTuple):
    """Criteria of one of the first masks."""

    intensity_weight: float  # as `INTENSITY_WEIGHT`
    unlike: float  # as `UNLIKE`
    radius: float = math.inf  # units within which a pixel is rather the label's


FIRST_CRITERIA = (
    _Criteria(0.25, 0.6),
    _Criteria(0.5, 0.6),
    _Criteria(1.0, 0.6),
    _Criteria(0.5, 0.4, 32.0),
    _Criteria(0.25, 0.6, 32.0),
    _Criteria(0.25, 0.6, 64.0),
)
STRICT = FIRST_CRITERIA[1:3]  # intensities count more and more


def slice_mask(
    image: Image,
    features: Tensor,
    positive: Sequence[Point],
    negative: Sequence[Point] = (),
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
    prior: Mask | None = None,
) -> Mask:
    """Mask (H, W) the clicked structure.

    The first positive click speaks for the whole slice, further ones and negative ones mostly for what is near. With
    an earlier mask all clicks are corrections. The mask holds every positive click and no negative one.

    Args:
        image: (C, H, W) normalized image.
        features: (D, h, w) features of the slice in its centered square (see `fit_slices`).
        positive: (row, column) of points on the label.
        negative: (row, column) of points beside it.
        spacing: spacing of rows and columns in mm.
        prior: (H, W) mask before these clicks; an empty one counts as none.
    """
    if not positive and (prior is None or not negative):
        return np.zeros(image.shape[1:], bool) if prior is None else prior.copy()
    here = ClickedSlice(image, features, positive, negative)
    if prior is None or not prior.any():
        if not positive:
            return np.zeros(image.shape[1:], bool)
        return _first_mask(here, spacing)
    grid = WorkingGrid((image.shape[1], image.shape[2]), spacing)
    clicked = ClickLikeness(here, (), grid)
    before = grid.shrink(prior[None].astype(np.float32))[0]
    mask = grid.enlarge(_cut_out(clicked, clicked.lead(INTENSITY_WEIGHT, UNLIKE, before), before > 0.5))
    return _obedient(mask, here)


def strict_mask(
    here: ClickedSlice, others: Sequence[ClickedSlice], *, spacing: tuple[float, float], strictness: int
) -> Mask:
    """Find a first mask (H, W) by strict criteria.

    Args:
        here: the slice, with at least one positive point.
        others: slices of the same volume that were clicked on too.
        spacing: spacing of rows and columns in mm.
        strictness: 0, or more for stricter criteria.
    """
    grid, unit_size = _frame(here, spacing)
    clicked = ClickLikeness(here, [one._replace(away=one.away / unit_size) for one in others], grid)
    return _obedient(grid.enlarge(_cut_by(clicked, STRICT[min(strictness, len(STRICT) - 1)])), here)


def _first_mask(here: ClickedSlice, spacing: tuple[float, float]) -> Mask:
    """The most fitting of the masks by several criteria."""
    grid, _ = _frame(here, spacing)
    clicked = ClickLikeness(here, (), grid)
    masks = [_cut_by(clicked, one) for one in FIRST_CRITERIA]
    likeness = clicked.cosines[: clicked.positives].max(0)
    return _obedient(grid.enlarge(most_fitting(masks, likeness, grid.spacing)), here)


def _frame(clicked: ClickedSlice, spacing: tuple[float, float]) -> tuple[WorkingGrid, float]:
    """The grid of first masks, whose unit is a share of the frame, and this unit in mm."""
    shape = clicked.image.shape[1], clicked.image.shape[2]
    unit_size = max(shape[0] * spacing[0], shape[1] * spacing[1]) / FRAME
    return WorkingGrid(shape, (spacing[0] / unit_size, spacing[1] / unit_size)), unit_size


def _cut_by(clicked: ClickLikeness, criteria: _Criteria) -> Mask:
    """First mask by some criteria."""
    return _cut_out(clicked, _first_lead(clicked, criteria), np.zeros(clicked.image.shape[1:], bool))


def _first_lead(clicked: ClickLikeness, criteria: _Criteria) -> NDArray[np.float64]:
    """Lead (H, W) of a first mask by its criteria."""
    lead = clicked.lead(criteria.intensity_weight, criteria.unlike)
    if math.isinf(criteria.radius):
        return lead
    distance = clicked.distances[: clicked.positives].min(0)
    return lead + NEAR * (1 - np.square(distance / criteria.radius)).clip(FAR)


def _obedient(mask: Mask, clicked: ClickedSlice) -> Mask:
    """Hold every positive click, and no negative one; the mask is changed."""
    _set(mask, clicked.positive, 1)
    _set(mask, clicked.negative, 0)
    return mask


def _cut_out(clicked: ClickLikeness, lead: NDArray[np.float64], anchors: Mask) -> Mask:
    """Mask by the lead of its pixels: components that hold anchors or positive clicks."""
    probability = expit(lead / TEMPERATURE).clip(UNSURE, 1 - UNSURE).astype(np.float32)
    _set(probability, clicked.positive, 1)
    _set(probability, clicked.negative, 0)
    box = _window(probability > POSSIBLE)
    mask = np.zeros(lead.shape, bool)
    image = clicked.image[:, *box]
    mask[box] = cut(image, probability[box], spacing=clicked.spacing, smoothness=SMOOTHNESS)
    anchors = anchors.copy()
    _set(anchors, clicked.positive, 1)
    components = connected_components(mask)
    return mask & np.isin(components, np.unique(components[anchors & mask]))


def _window(possible: Mask) -> Window:
    """Box the pixels that the cut has to look at: those around what may belong to the label."""
    sides = []
    for axis, size in zip((1, 0), possible.shape):
        places = np.flatnonzero(possible.any(axis))
        first, last = (places[0], places[-1]) if len(places) else (0, size - 1)
        sides.append(slice(max(int(first) - MARGIN, 0), min(int(last) + MARGIN + 1, size)))
    return Window(*sides)


def _set(values: NDArray[Any], points: Sequence[Point], value: int) -> None:
    """Set the pixels of some points."""
    if points:
        values[tuple(np.transpose(points))] = value
