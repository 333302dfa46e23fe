"""How like the points that were clicked on every pixel of a slice is.

By the cosine of its features, which tell organs apart, and by its intensity, which is sharper. Points on other slices
of the volume tell what the label looks like, and what it does not, as well as those of the slice itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from protoseg.engine.clicks.working_grid import WorkingGrid
from protoseg.matching.matching import unit
from protoseg.ops.upsampling import BilinearUpsampler, Window

__all__ = ["ClickLikeness", "ClickedSlice"]

Image = NDArray[np.float32]
Point = tuple[int, int]

LARGEST_DIFFERENCE = 2.0  # standard deviations of the volume's intensities; bone and air are equally unlike tissue
DISTANCE_WEIGHT = 0.015  # likeness lost by 1 mm: a correction speaks for its surroundings
BLUR = 1.5  # mm; noise is no difference of intensity
SURROUNDINGS = (0.0, 4.0, 8.0)  # units around a first click whose intensities are the label's too
PRIOR_TRUST = 0.15  # likeness by which an earlier mask leads: less than that of a click nearby
PRIOR_BLUR = 3.0  # mm; borders of an earlier mask are not exact
MOST_POINTS = 16  # that a slice is compared with; of a scribble's hundreds the ones that lie farthest apart


class ClickedSlice(NamedTuple):
    """A slice, and the points that were clicked on there."""

    image: Image  # (C, H, W), normalized
    features: Tensor  # (D, h, w) in its centered square (see `fit_slices`)
    positive: Sequence[Point] = ()  # (row, column) on the label
    negative: Sequence[Point] = ()  # beside it
    away: float = 0.0  # from the slice that is looked at, in the unit of the grid's spacing


class _Look(NamedTuple):
    """A point that was clicked on, and what it looks like."""

    point: Point
    away: float
    vector: Tensor  # (D,), unit length
    own: float  # likeness of this to the features that it was interpolated from
    shades: Sequence[NDArray[np.float32]]  # (C,) each: its intensities, and those around it


class ClickLikeness:
    """Points of a slice, and how like them every pixel is.

    Args:
        here: the slice, with points on it.
        others: slices of the same volume that were clicked on too.
        grid: working grid of the slice.
    """

    def __init__(self, here: ClickedSlice, others: Sequence[ClickedSlice], grid: WorkingGrid) -> None:
        self.spacing = grid.spacing
        self.positive, self.negative = grid.points(here.positive), grid.points(here.negative)
        self.image = grid.shrink(here.image)
        self.smooth = _smooth(self.image, grid)
        looks: list[_Look] = []
        for positive in (True, False):
            for one in (here, *others):
                points = far_apart(grid.points(one.positive if positive else one.negative))
                looks += _looks(one, points, self.smooth if one is here else None, grid)
            if positive:
                self.positives = len(looks)  # the first of the points
        away = np.array([look.away for look in looks])[:, None, None]
        self.distances = np.hypot(_distances([look.point for look in looks], grid), away)
        self.cosines = _cosines(here.features, looks, grid.shape)
        self.shades = [look.shades for look in looks]

    def lead(self, intensity_weight: float, unlike: float, prior: Image | None = None) -> NDArray[np.float64]:
        """Tell how much more each pixel (H, W) is like the label than like anything else.

        Args:
            intensity_weight: likeness lost by a difference of one standard deviation.
            unlike: likeness below which a pixel is something else.
            prior: (H, W), an earlier mask; with one, a click speaks for its surroundings alone.
        """
        likeness = self.cosines - intensity_weight * self._differences(len(SURROUNDINGS) if prior is None else 1)
        near = DISTANCE_WEIGHT * self.distances
        if prior is None:
            near[0] = 0
        likeness -= near
        inside = likeness[: self.positives].max(0, initial=-np.inf)
        outside = likeness[self.positives :].max(0, initial=unlike)
        if prior is not None:
            blur = [PRIOR_BLUR / step for step in self.spacing]
            trust = PRIOR_TRUST * (2 * gaussian_filter(prior, blur) - 1)
            inside, outside = np.maximum(inside, unlike + trust), np.maximum(outside, unlike - trust)
        return inside - outside

    def _differences(self, shades: int) -> NDArray[np.float64]:
        """Difference (points, H, W) of intensity to each point, or to the middle of its surroundings if that is less.

        Organs have vessels, and a click may be on one.
        """
        differences = np.full(self.distances.shape, LARGEST_DIFFERENCE)
        for difference, known in zip(differences, self.shades):
            for shade in known[:shades]:
                np.minimum(difference, np.abs(self.smooth - shade[:, None, None]).mean(0), out=difference)
        return differences


def far_apart(points: Sequence[Point]) -> list[Point]:
    """Choose the first point and those farthest from all before, at most `MOST_POINTS`, in their own order."""
    if len(points) <= MOST_POINTS:
        return list(points)
    places = np.asarray(points, float)
    chosen = [0]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < MOST_POINTS:
        nearest = np.minimum(nearest, ((places - places[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(nearest.argmax()))
    return [points[index] for index in sorted(chosen)]


def _looks(clicked: ClickedSlice, points: Sequence[Point], smooth: Image | None, grid: WorkingGrid) -> list[_Look]:
    """Tell how points of a slice look; its smoothed image is made where it is not given."""
    if not points:
        return []
    if smooth is None:
        smooth = _smooth(grid.shrink(clicked.image), grid)
    height, width = clicked.features.shape[-2:]
    to_pixels = BilinearUpsampler((height, width), *grid.shape, clicked.features.device)
    patches = unit(clicked.features.float(), dim=0)
    rows, columns = (side[list(one)] for side, one in zip((to_pixels.rows, to_pixels.columns), zip(*points)))
    vectors = unit(torch.einsum("ph,pw,dhw->pd", rows, columns, patches))
    own = torch.einsum("ph,pw,phw->p", rows, columns, torch.einsum("pd,dhw->phw", vectors, patches))
    looks = []
    for point, vector, likeness, distance in zip(points, vectors, own.tolist(), _distances(points, grid)):
        shades = []
        for radius in SURROUNDINGS:
            around = distance <= radius
            around[point] = True
            shades.append(np.median(smooth[:, around], axis=1))
        looks.append(_Look(point, clicked.away, vector, likeness, shades))
    return looks


def _smooth(image: Image, grid: WorkingGrid) -> Image:
    smooth: Image = gaussian_filter(image, (0, *(BLUR / step for step in grid.spacing)))
    return smooth


def _cosines(features: Tensor, looks: Sequence[_Look], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Likeness (points, H, W) of a slice's features to those of each point, 1 in the point itself."""
    to_pixels = BilinearUpsampler((features.shape[-2], features.shape[-1]), *shape, features.device)
    cosines = torch.einsum("pd,dhw->phw", torch.stack([look.vector for look in looks]), unit(features.float(), dim=0))
    alike = to_pixels(cosines, Window(slice(0, shape[0]), slice(0, shape[1]))).cpu().numpy()
    own = np.array([look.own for look in looks], np.float32)
    likeness: NDArray[np.float32] = 1 + alike - own[:, None, None]
    return likeness


def _distances(points: Sequence[Point], grid: WorkingGrid) -> NDArray[np.float64]:
    """Distance (points, H, W) of every pixel to each point, in the unit of the grid's spacing."""
    rows, columns = np.ogrid[: grid.shape[0], : grid.shape[1]]
    return np.stack(
        [np.hypot((rows - row) * grid.spacing[0], (columns - column) * grid.spacing[1]) for row, column in points]
    )
