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
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import expit
from torch import Tensor

from protoseg.engine.clicks.mask_choice import most_fitting
from protoseg.engine.clicks.working_grid import WorkingGrid
from protoseg.matching.matching import unit
from protoseg.ops.components import connected_components
from protoseg.ops.graph_cut import cut
from protoseg.ops.upsampling import BilinearUpsampler, Window

__all__ = ["slice_mask"]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Point = tuple[int, int]

UNLIKE = 0.4  # likeness below which a pixel is taken for something else, where 1 is the click itself
TEMPERATURE = 0.3  # likeness to log odds
INTENSITY_WEIGHT = 0.5  # likeness lost by a difference of one standard deviation of the volume's intensities
LARGEST_DIFFERENCE = 2.0  # in these; bone and air are equally unlike tissue
DISTANCE_WEIGHT = 0.015  # likeness lost by 1 mm: a correction speaks for its surroundings
BLUR = 1.5  # mm; noise is no difference of intensity
SMOOTHNESS = 4.0  # mm, of the cut
FRAME = 256.0  # units of a first mask on the longer side of a slice: what may be clicked on is told by its share of it
NEAR = 0.3  # likeness that a first mask of a certain radius gains at the click, and loses at `radius * sqrt(2)`
FAR = -1.5  # times this it loses at most
SURROUNDINGS = (0.0, 4.0, 8.0)  # units around a first click whose intensities are the label's too
PRIOR_TRUST = 0.15  # likeness by which an earlier mask leads: less than that of a click nearby
PRIOR_BLUR = 3.0  # mm; borders of an earlier mask are not exact
UNSURE = 0.01  # a probability nearer to 0 or 1 than this only clicks give
MOST_POINTS = 16  # that a slice is compared with; of a scribble's hundreds the ones that lie farthest apart
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
    if prior is None or not prior.any():
        if not positive:
            return np.zeros(image.shape[1:], bool)
        unit_size = max(image.shape[1] * spacing[0], image.shape[2] * spacing[1]) / FRAME  # mm
        grid = WorkingGrid((image.shape[1], image.shape[2]), (spacing[0] / unit_size, spacing[1] / unit_size))
        clicked = _Clicks(grid.shrink(image), features, grid.points(positive), grid.points(negative), grid.spacing)
        mask = grid.enlarge(_first_mask(clicked))
    else:
        grid = WorkingGrid((image.shape[1], image.shape[2]), spacing)
        clicked = _Clicks(grid.shrink(image), features, grid.points(positive), grid.points(negative), grid.spacing)
        before = grid.shrink(prior[None].astype(np.float32))[0]
        mask = grid.enlarge(_cut_out(clicked, clicked.lead(INTENSITY_WEIGHT, UNLIKE, before), before > 0.5))
    _set(mask, positive, 1)
    _set(mask, negative, 0)
    return mask


def _first_mask(clicked: _Clicks) -> Mask:
    """Choose the most fitting of the masks by several criteria."""
    nowhere = np.zeros(clicked.image.shape[1:], bool)
    masks = [_cut_out(clicked, clicked.first_lead(one), nowhere) for one in FIRST_CRITERIA]
    return most_fitting(masks, clicked.cosines[: len(clicked.near)].max(0), clicked.spacing)


def _cut_out(clicked: _Clicks, lead: NDArray[np.float64], anchors: Mask) -> Mask:
    """Cut a mask out by the lead of its pixels: components that hold anchors or positive clicks."""
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


class _Clicks:
    """Points of a slice, and how like them every pixel is.

    Args:
        image: (C, H, W) normalized image.
        features: (D, h, w) features of the slice.
        positive: (row, column) of points on the label.
        negative: (row, column) of points beside it.
        spacing: spacing of rows and columns in mm.
    """

    def __init__(
        self,
        image: Image,
        features: Tensor,
        positive: Sequence[Point],
        negative: Sequence[Point],
        spacing: tuple[float, float],
    ) -> None:
        self.image, self.positive, self.negative, self.spacing = image, positive, negative, spacing
        self.near = _far_apart(positive)  # what the slice is compared with
        self.points = [*self.near, *_far_apart(negative)]
        self.distances = _distances(image.shape[1:], self.points, spacing)
        self.cosines = _cosines(features, self.points, (image.shape[1], image.shape[2]))
        self.smooth = gaussian_filter(image, (0, *(BLUR / step for step in spacing)))

    def lead(self, intensity_weight: float, unlike: float, prior: Image | None = None) -> NDArray[np.float64]:
        """Compute how much more each pixel (H, W) is like the label than like anything else.

        Args:
            intensity_weight: likeness lost by a difference of one standard deviation.
            unlike: likeness below which a pixel is something else.
            prior: (H, W) earlier mask; with one, a click counts only for its surroundings.
        """
        radii = SURROUNDINGS if prior is None else (0.0,)
        likeness = self.cosines - intensity_weight * self._differences(radii)
        near = DISTANCE_WEIGHT * self.distances
        if prior is None:
            near[0] = 0
        likeness -= near
        inside = likeness[: len(self.near)].max(0, initial=-np.inf)
        outside = likeness[len(self.near) :].max(0, initial=unlike)
        if prior is not None:
            blur = [PRIOR_BLUR / step for step in self.spacing]
            trust = PRIOR_TRUST * (2 * gaussian_filter(prior, blur) - 1)
            inside, outside = np.maximum(inside, unlike + trust), np.maximum(outside, unlike - trust)
        return inside - outside

    def first_lead(self, criteria: _Criteria) -> NDArray[np.float64]:
        """Compute the lead (H, W) of a first mask by its criteria."""
        lead = self.lead(criteria.intensity_weight, criteria.unlike)
        if math.isinf(criteria.radius):
            return lead
        distance = self.distances[: len(self.near)].min(0)
        return lead + NEAR * (1 - np.square(distance / criteria.radius)).clip(FAR)

    def _differences(self, radii: Sequence[float]) -> NDArray[np.float64]:
        """Difference (points, H, W) of intensity to each point, or to the middle of its surroundings if that is less.

        Organs have vessels, and a click may be on one.
        """
        differences = np.full(self.distances.shape, LARGEST_DIFFERENCE)
        for difference, distance, point in zip(differences, self.distances, self.points):
            for radius in radii:
                around = distance <= radius
                around[point] = True
                reference = np.median(self.smooth[:, around], axis=1)
                np.minimum(difference, np.abs(self.smooth - reference[:, None, None]).mean(0), out=difference)
        return differences


def _cosines(features: Tensor, points: Sequence[Point], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Likeness (points, H, W) of features to those of each point, 1 in the point itself."""
    to_pixels = BilinearUpsampler((features.shape[-2], features.shape[-1]), *shape, features.device)
    patches = unit(features.float(), dim=0)
    rows, columns = torch.tensor(points, device=features.device).unbind(1)
    clicked = torch.einsum("ph,pw,dhw->pd", to_pixels.rows[rows], to_pixels.columns[columns], patches)
    cosines = torch.einsum("pd,dhw->phw", unit(clicked), patches)
    alike = to_pixels(cosines, Window(slice(0, shape[0]), slice(0, shape[1]))).cpu().numpy()
    own = np.array([one[point] for one, point in zip(alike, points)])
    return 1 + alike - own[:, None, None]


def _distances(shape: tuple[int, ...], points: Sequence[Point], spacing: tuple[float, float]) -> NDArray[np.float64]:
    """Distance (points, H, W) of every pixel to each point in mm."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.stack([np.hypot((rows - row) * spacing[0], (columns - column) * spacing[1]) for row, column in points])


def _far_apart(points: Sequence[Point]) -> list[Point]:
    """The first point and those farthest from all before, at most `MOST_POINTS`, in their own order."""
    if len(points) <= MOST_POINTS:
        return list(points)
    places = np.asarray(points, float)
    chosen = [0]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < MOST_POINTS:
        nearest = np.minimum(nearest, ((places - places[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(nearest.argmax()))
    return [points[index] for index in sorted(chosen)]


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
