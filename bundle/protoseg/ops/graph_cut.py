"""Graph cut: the cheapest border between a label and the rest, where a border is cheap along the image's edges.

The energy is Boykov and Jolly's (ICCV 2001): each pixel pays the negative logarithm of the probability of the side that
it is put on, and two neighbours on different sides pay the less the more their intensities differ. The minimum cut
(Boykov and Kolmogorov, PAMI 2004) is its exact optimum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpymaxflow
from numpy.typing import NDArray
from scipy.special import expit, logit

__all__ = ["cut"]

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

UNSURE = 1e-3  # a probability nearer to 0 or 1 than this is taken for this, unless it is a seed
SEED_PRICE = -float(np.log(np.finfo(np.float32).eps))  # what numpymaxflow charges for putting a seed on the other side
LARGEST_GRAPH = 2**21  # voxels; a graph takes some 100 bytes a voxel
OVERLAP = 2  # slices that neighbouring graphs of a large volume share


def cut(image: Image, probability: Image, *, spacing: Sequence[float], smoothness: float) -> Mask:
    """Cut a label out of an image of two or three axes.

    A volume beyond some 2 million voxels is cut in slabs of slices, which bounds the memory.

    Args:
        image: (C, *space) float32.
        probability: (*space) float32 of the label; exactly 0 or 1 is a seed, which the cut respects.
        spacing: of the axes of space in mm.
        smoothness: price of a border in mm: it gives way to so many mm of pixels that are e times more probable on its
            other side. The higher, the fewer corners, and the more the border looks for the image's edges.

    Returns:
        (*space), True inside.
    """
    contrast = max(_usual_difference(image), 1e-6)
    inside = np.zeros(probability.shape, bool)
    for slab, kept in _slabs(probability.shape):
        found = _cut_slab(image[:, slab], probability[slab], spacing, smoothness, contrast)
        inside[kept] = found[kept.start - slab.start :][: kept.stop - kept.start]
    return inside


def _cut_slab(image: Image, probability: Image, spacing: Sequence[float], smoothness: float, contrast: float) -> Mask:
    neighbours = 2 * probability.ndim
    price = smoothness / min(spacing)
    # All terms are scaled down alike, which leaves the best cut the best, until a seed outweighs all its neighbours.
    scale = min(1.0, 0.9 * SEED_PRICE / (neighbours * price))
    log_odds = scale * logit(probability.clip(UNSURE, 1 - UNSURE).astype(np.float32))
    log_odds[probability <= 0] = -np.inf
    log_odds[probability >= 1] = np.inf
    channels = [image, *_position_channels(probability.shape, spacing, contrast)]
    inside = numpymaxflow.maxflow(
        np.concatenate(channels).astype(np.float32, copy=False),
        np.stack([expit(-log_odds), expit(log_odds)]),
        scale * price,
        contrast,
        neighbours,
    )
    mask = inside[0] > 0.5
    # numpymaxflow 0.0.7 counts one reference too many to what it returns, and it is never freed: let it hold nothing.
    inside.resize(0, refcheck=False)
    return mask


def _usual_difference(image: Image) -> float:
    """Root mean square difference of in-plane neighbours, over all channels: GrabCut's (Rother et al. 2004) choice."""
    total, pairs = 0.0, 0
    for axis in (-1, -2):  # one after the other, and in place: of a large box each copy counts
        squares = np.diff(image, axis=axis)
        np.square(squares, out=squares)
        total += float(squares.sum())
        pairs += squares[0].size
    return float(np.sqrt(total / max(pairs, 1)))


def _position_channels(shape: Sequence[int], spacing: Sequence[float], contrast: float) -> list[Image]:
    """Channels that make voxels cheaper to part along an axis on which they lie far apart, as their faces are small.

    numpymaxflow knows no spacing, but an edge of the image: a ramp of ``contrast * sqrt(2 log r)`` a voxel along an
    axis divides the price there by r.
    """
    channels = []
    for axis, size in enumerate(shape):
        step = contrast * np.sqrt(2 * np.log(spacing[axis] / min(spacing)))
        if step > 0:
            ramp = step * np.arange(size, dtype=np.float32)
            channels.append(np.broadcast_to(ramp.reshape(-1, *[1] * (len(shape) - axis - 1)), (1, *shape)))
    return channels


def _slabs(shape: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Along the first axis: what to cut together, and what of it to keep; all at once where it is not too much."""
    size = shape[0]
    thickness = size
    if np.prod(shape) > LARGEST_GRAPH:
        thickness = max(LARGEST_GRAPH // int(np.prod(shape[1:])) - 2 * OVERLAP, 1)
    for start in range(0, size, thickness):
        stop = min(start + thickness, size)
        yield slice(max(start - OVERLAP, 0), min(stop + OVERLAP, size)), slice(start, stop)
