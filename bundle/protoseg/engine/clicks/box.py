"""From a box around a structure on a slice to its mask there.

A box tells two things: all of the structure on the slice is inside, and it reaches to the sides. The middle of the box
means nothing: a bent organ does not hold it. So places inside the box are compared with places outside of it, by
features and intensities; those that look like the outside are background, too, and the rest is compared anew, as in
GrabCut (Rother et al., SIGGRAPH 2004) with the network's features in place of colors. What is left gives a rough mask,
and points deep inside of that are clicked on, together and one by one: the mask that reaches least out of the box is
taken.

The constants were chosen on 20 slices of organs of two drawn people, the rule and `LARGEST_LEAK` also on eight of a
real CT scan, each with a box of two pixels more than the organ on each side; docs/clicks.md has the figures.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.special import expit
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.slice_segmenter import Mask, Point, SliceSegmenter
from protoseg.engine.clicks.working_grid import WorkingGrid
from protoseg.errors import InputError
from protoseg.matching.matching import unit
from protoseg.ops.components import connected_components
from protoseg.ops.graph_cut import cut
from protoseg.ops.upsampling import BilinearUpsampler, Window

__all__ = ["Box", "BoxMask", "box_mask", "check_boxes"]

Image = NDArray[np.float32]
SEEDS = 10  # places along a side of the box, and along one of its surroundings, that are compared
SURROUNDINGS = 0.5  # width of these beside the box, in sides of the box
NARROWEST = 8.0  # mm; a small box has surroundings, too
SHARES = (0.3, 0.5, 0.7)  # of the places in the box, those least like the outside, that each mask begins with
ROUNDS = 4  # of comparing anew
NEAREST = 3  # places whose likeness counts for a pixel
LEAST_SHARE = 0.05  # of the places that are the structure
INTENSITY_WEIGHT, LARGEST_DIFFERENCE, BLUR = 0.5, 2.0, 1.5  # as of `slice_mask`
TEMPERATURE = 0.15  # likeness to log odds
SMOOTHNESS = 4.0  # mm, of the cut
SMALL_PART = 0.2  # of the largest component: smaller ones are none
POINTS = 3  # deep inside a mask that stand for it
LARGEST_LEAK = 0.2  # share of a mask that is outside of the box; one of more is none of the box's structure


class Box(NamedTuple):
    """A box around all of a label on one slice; its corners are pixels that are inside of it."""

    slice_index: int
    top: int
    left: int
    bottom: int
    right: int
    label: str


class BoxMask(NamedTuple):
    """Structure in a box: its mask (H, W) on the slice, and clicks that stand for it when it is corrected."""

    mask: Mask
    clicks: tuple[Click, ...]


def check_boxes(boxes: Sequence[Box], shape: Sequence[int], labels: Collection[str]) -> None:
    """Refuse boxes that reach out of a volume of `shape` slices, rows and columns, or are of none of the labels.

    Raises:
        InputError: naming the first such box.
    """
    for number, box in enumerate(boxes, start=1):
        rows, columns = 0 <= box.top <= box.bottom < shape[1], 0 <= box.left <= box.right < shape[2]
        if not (0 <= box.slice_index < shape[0] and rows and columns):
            raise InputError(
                f"Box {number} is on slice {box.slice_index}, rows {box.top} to {box.bottom}, columns {box.left} to "
                f"{box.right}, which is not inside the volume of {shape[0]} slices of {shape[1]} rows and {shape[2]} "
                "columns."
            )
        if box.label not in labels:
            raise InputError(f"Box {number} is of the label '{box.label}'; the labels are {', '.join(labels)}.")


def box_mask(
    slices: Tensor, box: Box, features: Tensor, segmenter: SliceSegmenter, *, spacing: tuple[float, float]
) -> BoxMask:
    """Find the structure in a box on its slice; the mask is never empty, and nowhere outside of the box.

    Args:
        slices: (S, C, H, W) normalized slices of the whole volume.
        box: box on one of the slices.
        features: (D, h, w) features of that slice in its centered square (see `fit_slices`).
        segmenter: segmenter that makes masks from points.
        spacing: spacing of rows and columns in mm.
    """
    inside = np.zeros(slices.shape[-2:], bool)
    inside[box.top : box.bottom + 1, box.left : box.right + 1] = True
    rough = _rough_mask(slices[box.slice_index].float().cpu().numpy(), features, box, spacing)
    points = _deep_points(rough, spacing)
    best, least = rough, LARGEST_LEAK
    for chosen in (points, *([point] for point in points)):
        mask = segmenter(slices, box.slice_index, chosen, [], spacing=spacing, prior=np.zeros_like(inside))
        leak = np.count_nonzero(mask & ~inside) / max(1, np.count_nonzero(mask))
        if leak < least and (mask & inside).any():
            best, least = mask & inside, leak
        if leak == 0:
            break
    clicks = [Click(box.slice_index, row, column, box.label) for row, column in _deep_points(best, spacing)]
    return BoxMask(best, tuple(clicks))


def _rough_mask(image: Image, features: Tensor, box: Box, spacing: tuple[float, float]) -> Mask:
    """Mask (H, W) the pixels in a box that do not look like its surroundings."""
    grid = WorkingGrid((image.shape[1], image.shape[2]), spacing)
    (top, left), (bottom, right) = grid.points([(box.top, box.left), (box.bottom, box.right)])
    inside = np.zeros(grid.shape, bool)
    inside[top : bottom + 1, left : right + 1] = True
    margins = [
        max(NARROWEST / step, SURROUNDINGS * (last + 1 - first))
        for step, first, last in zip(grid.spacing, (top, left), (bottom, right))
    ]
    window = Window(
        *(
            slice(max(0, int(first - margin)), min(size, int(last + margin) + 1))
            for first, last, margin, size in zip((top, left), (bottom, right), margins, grid.shape)
        )
    )
    small = grid.shrink(image)
    places = _Places(small, features, inside, window, grid.spacing)
    masks = [_cut(small[:, *window], places, inside[window], share, grid.spacing) for share in SHARES]
    whole = np.zeros(grid.shape, bool)
    whole[window] = max(masks, key=lambda mask: _overlap_of_boxes(mask, inside[window]))
    mask = grid.enlarge(whole)
    mask[: box.top], mask[box.bottom + 1 :], mask[:, : box.left], mask[:, box.right + 1 :] = (False,) * 4
    if not mask.any():  # thinner than the working grid
        mask[box.top : box.bottom + 1, box.left : box.right + 1] = True
    return mask


def _deep_points(mask: Mask, spacing: tuple[float, float]) -> list[Point]:
    """Choose a few points (row, column) deep inside a mask, far from each other."""
    depth = distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1]
    deep = np.argwhere(depth >= depth.max() / 2)
    chosen = [int(np.argmax(depth[tuple(deep.T)]))]
    apart = np.full(len(deep), np.inf)
    for _ in range(POINTS - 1):
        apart = np.minimum(apart, (((deep - deep[chosen[-1]]) * spacing) ** 2).sum(1))
        chosen.append(int(apart.argmax()))
    return list(dict.fromkeys((int(row), int(column)) for row, column in deep[chosen]))


class _Places:
    """Places inside and outside of a box, and how like them every pixel of a window is.

    Args:
        image: (C, H, W) image.
        features: (D, h, w) features of the slice.
        inside: (H, W) mask of the box.
        window: window of the slice around the box.
        spacing: spacing of rows and columns in mm.
    """

    def __init__(
        self, image: Image, features: Tensor, inside: Mask, window: Window, spacing: tuple[float, float]
    ) -> None:
        here = np.zeros_like(inside)
        here[window] = True
        within, beside = _spread(inside), [point for point in _spread(here) if not inside[point]]
        points = [*within, *beside]
        self.count = len(within)
        height, width = inside.shape
        to_pixels = BilinearUpsampler((features.shape[-2], features.shape[-1]), height, width, features.device)
        patches = unit(features.float(), dim=0)
        rows, columns = torch.tensor(points, device=features.device).unbind(1)
        vectors = torch.einsum("ph,pw,dhw->pd", to_pixels.rows[rows], to_pixels.columns[columns], patches)
        cosines = to_pixels(torch.einsum("pd,dhw->phw", unit(vectors), patches), window).cpu().numpy()
        smooth = gaussian_filter(image, (0, *(BLUR / step for step in spacing)))
        shades = smooth[:, *np.transpose(points)].T[:, :, None, None]
        differences = np.abs(smooth[None, :, *window] - shades).mean(1).clip(max=LARGEST_DIFFERENCE)
        self.likeness = cosines - INTENSITY_WEIGHT * differences  # points x window
        corner = window[0].start, window[1].start
        self.within = tuple(np.transpose(within) - np.array(corner)[:, None])

    def lead(self, structure: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Compute how much more each pixel of the window is like the structure than like anything else.

        Args:
            structure: mask of the places inside the box that belong to the structure.
        """
        belongs = np.zeros(len(self.likeness), bool)
        belongs[: self.count] = structure
        return _nearest(self.likeness[belongs]) - _nearest(self.likeness[~belongs])

    def structure(self, share: float) -> NDArray[np.bool_]:
        """Tell which places inside the box belong to the structure, beginning with those least like the outside."""
        mine = self.likeness[:, *self.within]
        outside = _nearest(mine[self.count :])
        structure = outside <= np.quantile(outside, share)
        for _ in range(ROUNDS):
            lead = _nearest(mine[: self.count][structure], own=True) - _nearest(
                np.concatenate([mine[self.count :], mine[: self.count][~structure]])
            )
            structure = lead >= min(0.0, float(np.quantile(lead, 1 - LEAST_SHARE)))
        return structure


def _cut(image: Image, places: _Places, inside: Mask, share: float, spacing: tuple[float, float]) -> Mask:
    """Make the mask of the window that begins with a share of the box."""
    lead = places.lead(places.structure(share))
    probability = expit(lead / TEMPERATURE).clip(0.01, 0.99).astype(np.float32)
    probability[~inside] = 0
    mask = cut(np.ascontiguousarray(image), probability, spacing=spacing, smoothness=SMOOTHNESS)
    components = connected_components(mask)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.isin(components, np.flatnonzero(sizes >= max(1, SMALL_PART * sizes.max())))


def _spread(mask: Mask) -> list[Point]:
    """Give the points of a rectangle, `SEEDS` along each side; all of them where it is smaller."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    chosen = [
        np.unique(one[np.linspace(0, len(one) - 1, min(len(one), SEEDS)).round().astype(int)])
        for one in (rows, columns)
    ]
    return [(int(row), int(column)) for row in chosen[0] for column in chosen[1]]


def _nearest(likeness: NDArray[np.float32], *, own: bool = False) -> NDArray[np.float32]:
    """Average the highest likenesses (points, ...) of each pixel; -1 where there are no points.

    Args:
        likeness: (points, ...) likeness of pixels to points.
        own: True if the pixels are the points themselves, whose likeness to themselves says nothing.
    """
    count = min(NEAREST + own, len(likeness))
    if count == 0:
        return np.full(likeness.shape[1:], -1, np.float32)
    highest = np.partition(likeness, len(likeness) - count, axis=0)[-count:]
    return (highest.sum(0) - highest.max(0)) / (count - 1) if own and count > 1 else highest.mean(0)


def _overlap_of_boxes(mask: Mask, inside: Mask) -> float:
    """Compute the share of a box that the box around a mask in it covers; 0 for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0.0
    return float((np.ptp(rows) + 1) * (np.ptp(columns) + 1) / inside.sum())
