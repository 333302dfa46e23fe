"""Moves a label's border where it is wrong along its length as a click says of one place.

A border that is too far out or in is so along much of its length, and on the slices beside the click's. So every pixel
of a band along the border is judged by its looks: whether features and intensity are those of the side that the click
says is too small, or those beyond the band, and how like the click it is. The deeper in the band, the farther from the
click and from its slice, the more it takes. The side that is too small is the source: the label for a click that is
missing from it, all else for a click that is too much.

How the weights were found stands in docs/clicks.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from torch import Tensor

from protoseg.engine.clicks.click_likeness import far_apart
from protoseg.engine.clicks.mask_propagation import MASK_SIZE
from protoseg.engine.clicks.slice_segmenter import Mask, Point
from protoseg.matching.matching import Matching, unit
from protoseg.ops.appearance import Appearance
from protoseg.ops.components import connected_components
from protoseg.ops.slices import fit_slices
from protoseg.ops.upsampling import BilinearUpsampler, Window

__all__ = ["BorderMover", "Place", "Side"]

Map = NDArray[np.float32]

WIDTH = 2.0  # times the way from the click to the border: width of the band
DEEPEST = 0.6  # share of the largest depth beyond the border that the band takes at most: the rest tells of that side
RING = 8.0  # mm at least beside the band that tell how its sides look
BLUR = 1.0  # mm; noise is no difference of intensity
FEWEST = 5  # pixels that tell how a side looks
MOST_LEAD, MOST_RATIO = 6.0, 4.0  # log odds


class _Weights(NamedTuple):
    """Weights of a pixel's log odds to be wrong as the click is."""

    depth: float  # in ways from the click to the border
    distance: float  # logarithm of that to the click, in the same ways
    lead: float  # log odds of the source by features
    ratio: float  # log odds of the source by intensities
    likeness: float  # cosine of its features to the click's
    slices: float  # between it and the click
    bias: float


WEIGHTS = _Weights(depth=-1.40, distance=-0.86, lead=0.33, ratio=0.34, likeness=5.20, slices=-0.13, bias=-2.76)
LEAST = 0.5  # log odds of what changes


class Side(NamedTuple):
    """What a click says about the border on its slice."""

    slice_index: int
    points: Sequence[Point]  # that were clicked on, all on the side that is too large
    positive: bool  # whether they are missing from the label, so that its side is too small
    way: float  # mm from the deepest of them to the border
    marked: Mask  # (H, W), what changes around them for sure


class Place(NamedTuple):
    """A slice whose border may be wrong as well."""

    slice_index: int
    label: Mask  # (H, W)
    domain: Mask  # (H, W), what may change


class _Band(NamedTuple):
    """The band along the border of a slice, in a window around the label."""

    window: Window
    depth: Map  # mm from the source
    inside: Mask  # pixels of the band
    source: Mask  # pixels beside it on the source's side
    beyond: Mask  # pixels beside it on the other side
    smooth: Map  # (C, h, w) image


class _Clicked(NamedTuple):
    """What is known of the clicks' slice."""

    side: Side
    vectors: Tensor  # (points, D), features of the clicks, of unit length
    example: NDArray[np.bool_]  # (2, H, W), see `BorderMover._example`


class BorderMover:
    """Moves borders in one volume.

    Args:
        slices: (S, C, H, W) normalized slices.
        features: (S, D, h, w) features of all slices.
        matching: matching of a slice with its support.
        spacing: spacing of rows and columns in mm.
    """

    def __init__(self, slices: Tensor, features: Tensor, matching: Matching, *, spacing: tuple[float, float]) -> None:
        self.slices, self.features, self.matching, self.spacing = slices, features, matching, spacing
        patches = (features.shape[-2], features.shape[-1])
        self.to_pixels = BilinearUpsampler(patches, slices.shape[-2], slices.shape[-1], features.device)

    @torch.no_grad()
    def moved(self, side: Side, places: Sequence[Sequence[Place]]) -> dict[int, Mask]:
        """Find the pixels (H, W) that change sides, by slice; all are connected to the clicks.

        Args:
            side: report of the clicks on their slice.
            places: slices that may change: the clicks' own alone, then those on either side of it, the nearest first.
        """
        ((own,), *ways) = places
        band = self._band(own, side)
        if band is None:
            return {}
        clicked = _Clicked(side, self._vectors(side), self._example(band, side.marked))
        moved = {own.slice_index: _touching(self._wrong(own, band, clicked) | side.marked, side.marked)}
        for way in ways:
            before = moved[own.slice_index]
            for place in way:
                band = self._band(place, side)
                if band is None:
                    break
                before = _touching(self._wrong(place, band, clicked), before)
                if not before.any():
                    break
                moved[place.slice_index] = before
        return moved

    def _wrong(self, place: Place, band: _Band, clicked: _Clicked) -> Mask:
        """Mask the pixels (H, W) of a slice's band that are wrong as the clicks are."""
        wrong = np.zeros_like(place.domain)
        log_odds = np.tensordot(WEIGHTS[:-1], self._evidence(place.slice_index, band, clicked), 1) + WEIGHTS.bias
        wrong[band.window] = band.inside & (log_odds > LEAST)
        return wrong & place.domain

    def _evidence(self, index: int, band: _Band, clicked: _Clicked) -> Map:
        """Collect what tells whether a slice's border is wrong: maps (6, h, w) in the order of `WEIGHTS`."""
        side = clicked.side
        here = index == side.slice_index
        marked = side.marked if here else np.zeros_like(side.marked)
        examples = {side.slice_index: clicked.example} | ({} if here else {index: self._example(band, marked)})
        away = (self._distance(side.points, band.window) + 1) / (side.way + 1)
        maps = [
            band.depth / side.way,
            np.log(away),
            self._lead(index, examples, band.window),
            _ratio(band, marked[band.window]),
            self._likeness(index, clicked.vectors, band.window),
            np.full_like(band.depth, abs(index - side.slice_index)),
        ]
        return np.stack(maps)

    def _band(self, place: Place, side: Side) -> _Band | None:
        """Lay a band along the border of a slice; None where there is none, or nothing beside it."""
        if not place.label.any():
            return None
        window = _window(place.label, 2 * max(WIDTH * side.way, RING), self.spacing)
        source = place.label[window] == side.positive
        depth = distance_transform_edt(~source, sampling=self.spacing).astype(np.float32)
        width = min(WIDTH * side.way, DEEPEST * float(depth.max()))
        ring = max(width, RING)
        beside = source & (distance_transform_edt(source, sampling=self.spacing) <= ring)
        beyond = (depth > width) & (depth <= width + ring)
        if min(np.count_nonzero(beside), np.count_nonzero(beyond)) < FEWEST:
            return None
        image = self.slices[place.slice_index][:, *window].float().cpu().numpy()
        smooth = gaussian_filter(image, (0, *(BLUR / step for step in self.spacing)))
        return _Band(window, depth, (depth > 0) & (depth <= width), beside, beyond, smooth)

    def _example(self, band: _Band, marked: Mask) -> NDArray[np.bool_]:
        """Mask source and what is neither source nor beyond (2, H, W), which tells nothing."""
        source, beyond = np.zeros((2, *marked.shape), bool)
        source[band.window], beyond[band.window] = band.source, band.beyond
        source |= marked
        return np.stack([source, ~(source | beyond)])

    def _vectors(self, side: Side) -> Tensor:
        """Interpolate the features of the clicks: unit vectors (points, D)."""
        rows, columns = np.transpose(far_apart(side.points)).tolist()
        weights = self.to_pixels.rows[rows], self.to_pixels.columns[columns]
        return unit(torch.einsum("ph,pw,dhw->pd", *weights, self.features[side.slice_index].float()))

    def _likeness(self, index: int, vectors: Tensor, window: Window) -> Map:
        """Compute the cosine of each pixel's features to the most similar vector."""
        box = self._patches(window)
        features = unit(self.features[index][:, *box].float(), dim=0)
        return self._upsampled(torch.einsum("pd,dhw->phw", vectors, features).amax(0), box, window)

    def _lead(self, index: int, examples: Mapping[int, NDArray[np.bool_]], window: Window) -> Map:
        """Compute the log odds of the source by matching with examples, see `_example`."""
        box = self._patches(window)
        squares = fit_slices(torch.from_numpy(np.stack(list(examples.values()))), MASK_SIZE, "nearest").float()
        height, width = self.features.shape[-2:]
        shares = F.adaptive_avg_pool2d(squares.to(self.features.device), (height, width))
        support = self.features[list(examples)][..., *box]
        prototypes = self.matching.build(support[None], shares[..., *box].transpose(0, 1)[None])
        scores = self.matching.match(self.features[index][None, None, :, *box], prototypes)[0, 0]
        return self._upsampled((scores[1] - scores[0]).clamp(-MOST_LEAD, MOST_LEAD), box, window)

    def _patches(self, window: Window) -> tuple[slice, slice]:
        """Box the patches that the pixels of a window are interpolated from."""
        sides = []
        for weights, side in zip((self.to_pixels.rows, self.to_pixels.columns), window):
            there = weights[side].any(0).nonzero()[:, 0]
            sides.append(slice(int(there[0]), int(there[-1]) + 1))
        return sides[0], sides[1]

    def _upsampled(self, patches: Tensor, box: tuple[slice, slice], window: Window) -> Map:
        """Interpolate the patches of a box on a window's pixels."""
        rows, columns = self.to_pixels.rows[window.rows, box[0]], self.to_pixels.columns[window.columns, box[1]]
        pixels: Map = (rows @ patches @ columns.T).cpu().numpy()
        return pixels

    def _distance(self, points: Sequence[Point], window: Window) -> Map:
        """Compute the distance in mm of each pixel of a window to the nearest point."""
        rows, columns = np.ogrid[window]
        away = [
            np.hypot((rows - row) * self.spacing[0], (columns - column) * self.spacing[1]) for row, column in points
        ]
        nearest: Map = np.min(away, axis=0).astype(np.float32)
        return nearest


def _touching(mask: Mask, other: Mask) -> Mask:
    """Keep the components of a mask that share pixels with another."""
    components = connected_components(mask)
    return mask & np.isin(components, np.unique(components[mask & other]))


def _ratio(band: _Band, marked: Mask) -> Map:
    """Compare the intensities of source and beyond: log ratio (h, w) of their histograms."""
    source = band.source | marked
    known = source | band.beyond
    part = band.smooth[:, known], source[known]
    return Appearance.of(lambda: [part]).log_ratio(band.smooth).clip(-MOST_RATIO, MOST_RATIO)


def _window(mask: Mask, margin: float, spacing: tuple[float, float]) -> Window:
    """Box a mask with a margin in mm."""
    sides = []
    for axis, step in zip((1, 0), spacing):
        there, more = np.flatnonzero(mask.any(axis)), math.ceil(margin / step)
        sides.append(slice(max(int(there[0]) - more, 0), min(int(there[-1]) + 1 + more, mask.shape[1 - axis])))
    return Window(*sides)
