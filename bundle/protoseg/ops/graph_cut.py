"""Graph cut: the cheapest border between a label and the rest, where borders along the image's edges are cheap.

The energy is Boykov and Jolly's (ICCV 2001): each pixel pays the negative logarithm of the probability of the side that
it is assigned to, and two neighbors on different sides pay less the more their intensities differ. The minimum cut
(Boykov and Kolmogorov, PAMI 2004) is its exact optimum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpymaxflow
from numpy.typing import NDArray
from scipy.special import expit, logit

from protoseg.ops.components import Box

__all__ = ["contrast_of", "cut", "cut_slab", "slabs"]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

UNSURE = 1e-3  # a probability closer to 0 or 1 than this is clipped to it, unless it is a seed
SEED_PRICE = -float(np.log(np.finfo(np.float32).eps))  # what numpymaxflow charges for putting a seed on the other side
LARGEST_GRAPH = 2**21  # voxels; a graph takes some 100 bytes a voxel
OVERLAP = 2  # slices that neighboring graphs of a large volume share
THINNEST = 12  # slices of a slab; slices too large for that are cut in stripes
BESIDE = 8  # rows or columns that neighboring stripes share
REACH = 2  # voxels that a cut begins with around the probable ones; it is given more if it needs them


def cut(image: Image, probability: Image, *, spacing: Sequence[float], smoothness: float) -> Mask:
    """Cut a label out of an image of two or three axes.

    A volume of more than about 2 million voxels is cut in slabs of slices, to bound the memory.

    Args:
        image: (C, *space) float32 image.
        probability: (*space) float32 probability of the label; exactly 0 or 1 is a seed, which the cut respects.
        spacing: voxel size along each axis of space in mm.
        smoothness: price of a border in mm: the border gives way to that many mm of pixels which are e times more
            probable on its other side. The higher, the fewer corners, and the more the border follows the image's
            edges.

    Returns:
        (*space) mask, True inside.
    """
    contrast = contrast_of([image])
    inside = np.zeros(probability.shape, bool)
    for slab, kept in slabs(probability.shape):
        found = cut_slab(image[:, slab], probability[slab], spacing=spacing, smoothness=smoothness, contrast=contrast)
        inside[kept] = found[kept.start - slab.start :][: kept.stop - kept.start]
    return inside


def slabs(shape: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Divide the first axis: what to cut together, and what of it to keep; all at once if it is small enough."""
    size = shape[0]
    thickness = size
    if np.prod(shape) > LARGEST_GRAPH:
        thickness = max(LARGEST_GRAPH // int(np.prod(shape[1:])) - 2 * OVERLAP, THINNEST)
    return _overlapping(size, thickness, OVERLAP)


def contrast_of(parts: Iterable[Image]) -> float:
    """Measure the root mean square difference of in-plane neighbors, which GrabCut uses (Rother et al. 2004).

    Args:
        parts: parts of the image (C, *space), divided along the first axis of space alone.
    """
    total, pairs = 0.0, 0
    for image in parts:
        for axis in (-1, -2):  # one after the other, and in place: copies of a large box are large
            squares = np.diff(image, axis=axis)
            np.square(squares, out=squares)
            total += float(squares.sum())
            pairs += squares[0].size
    return max(float(np.sqrt(total / max(pairs, 1))), 1e-6)


def cut_slab(image: Image, probability: Image, *, spacing: Sequence[float], smoothness: float, contrast: float) -> Mask:
    """Cut one slab of `slabs`; arguments as for `cut`, plus the contrast of the whole image."""
    axis = int(np.argmax(probability.shape[1:])) + 1
    around = probability.size // probability.shape[axis]  # voxels of a row or column
    width = probability.shape[axis]
    if probability.size > LARGEST_GRAPH:
        width = max(LARGEST_GRAPH // around - 2 * BESIDE, BESIDE)
    inside = np.zeros(probability.shape, bool)
    before = (slice(None),) * axis
    for stripe, kept in _overlapping(probability.shape[axis], width, BESIDE):
        part = (*before, stripe)
        found = _cut_graph(image[:, *part], probability[part], spacing, smoothness, contrast)
        inside[(*before, kept)] = found[(*before, slice(kept.start - stripe.start, kept.stop - stripe.start))]
    return inside


def _cut_graph(image: Image, probability: Image, spacing: Sequence[float], smoothness: float, contrast: float) -> Mask:
    """Cut some voxels together, by a graph of only those around the probable ones.

    Leaving out the prices of borders beyond them makes no cut dearer, and a cut that keeps away from there pays none of
    these: it is optimal for the whole. A cut that does not is made again with more room.
    """
    inside = np.zeros(probability.shape, bool)
    probable = probability > 0.5
    reach = REACH
    while (box := _box_around(probable, reach)) is not None:
        found = probable[box]
        if not found.all():
            found = _cut_box(image[:, *box], probability[box], spacing, smoothness, contrast)
        if not _touches(found, box, inside.shape):
            inside[box] = found
            break
        reach *= 4
    return inside


def _cut_box(image: Image, probability: Image, spacing: Sequence[float], smoothness: float, contrast: float) -> Mask:
    neighbors = 2 * probability.ndim
    price = smoothness / min(spacing)
    # All terms are scaled down alike, which keeps the best cut the best, until a seed outweighs all its neighbors.
    scale = min(1.0, 0.9 * SEED_PRICE / (neighbors * price))
    log_odds = scale * logit(probability.clip(UNSURE, 1 - UNSURE).astype(np.float32))
    log_odds[probability <= 0] = -np.inf
    log_odds[probability >= 1] = np.inf
    channels = [image, *_position_channels(probability.shape, spacing, contrast)]
    inside = numpymaxflow.maxflow(
        np.concatenate(channels).astype(np.float32, copy=False),
        np.stack([expit(-log_odds), expit(log_odds)]),
        scale * price,
        contrast,
        neighbors,
    )
    mask = inside[0] > 0.5
    # numpymaxflow 0.0.7 counts one reference too many to its result, which is never freed: let it hold nothing.
    inside.resize(0, refcheck=False)
    return mask


def _box_around(mask: Mask, reach: int) -> Box | None:
    """Find the smallest box around a mask, widened on each side where there is room; None for an empty mask."""
    box = []
    for axis, size in enumerate(mask.shape):
        there = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        if not len(there):
            return None
        box.append(slice(max(int(there[0]) - reach, 0), min(int(there[-1]) + 1 + reach, size)))
    return tuple(box)


def _touches(mask: Mask, box: Box, shape: Sequence[int]) -> bool:
    """Tell whether a mask (*box) reaches a side of its box beyond which there are more voxels."""
    for axis, (side, size) in enumerate(zip(box, shape)):
        first, last = mask.take(0, axis), mask.take(-1, axis)
        if (side.start > 0 and first.any()) or (side.stop < size and last.any()):
            return True
    return False


def _position_channels(shape: Sequence[int], spacing: Sequence[float], contrast: float) -> list[Image]:
    """Make channels that lower the price of parting voxels along an axis of large spacing, as their faces are small.

    numpymaxflow knows no spacing, but it knows edges: a ramp of ``contrast * sqrt(2 log r)`` a voxel along an
    axis divides the price there by r.
    """
    channels = []
    for axis, size in enumerate(shape):
        step = contrast * np.sqrt(2 * np.log(spacing[axis] / min(spacing)))
        if step > 0:
            ramp = step * np.arange(size, dtype=np.float32)
            channels.append(np.broadcast_to(ramp.reshape(-1, *[1] * (len(shape) - axis - 1)), (1, *shape)))
    return channels


def _overlapping(size: int, thickness: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    """Divide an axis: what to work on together, and which part of that to keep."""
    for start in range(0, size, thickness):
        stop = min(start + thickness, size)
        yield slice(max(start - overlap, 0), min(stop + overlap, size)), slice(start, stop)
