"""Appearance: how much more the intensities of a pixel are like a label's than like those of its surroundings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

__all__ = ["log_likelihood_ratio"]

BIN = 1 / 16  # width of the histogram's bins, in standard deviations of the image
RANGE = 4.0  # standard deviations about the mean that the bins cover; beyond them is the last bin
UNSEEN = 0.02  # of the surroundings may have any intensity
AT_ONCE = 2**20  # voxels that are counted
TRUST = 20.0  # pixels; a label of fewer is taken to look like its surroundings rather than like itself


def log_likelihood_ratio(image: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Logarithm of how much likelier each pixel's intensities are inside a label than outside of it.

    By histograms of the two sides, as in Boykov and Jolly (ICCV 2001), each channel of an image having its own; their
    ratios are averaged, because channels of pictures tell much the same.

    Args:
        image: (C, *space).
        inside: (*space), where the label is thought to be.

    Returns:
        (*space), above 0 for what looks like the label; 0 everywhere where one of the sides is empty.
    """
    if not inside.any() or inside.all():
        return np.zeros(inside.shape, np.float32)
    if len(image) == 1:
        return _of_channel(image[0], inside)
    return np.mean([_of_channel(channel, inside) for channel in image], axis=0, dtype=np.float32)


def _of_channel(channel: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    count = int(2 * RANGE / BIN)
    width = max(float(channel.std()), 1e-6) * BIN
    place = channel - channel.mean()  # in place from here on: around a large organ are tens of millions of voxels
    place /= width
    place += count / 2
    bins = place.clip(0, count - 1, out=place).astype(np.int16)
    del place
    seen = np.bincount(bins[inside], minlength=count)
    label, rest = _density(seen), _density(_counts(bins, count) - seen)
    rest = (1 - UNSEEN) * rest + UNSEEN / count
    size = np.count_nonzero(inside)
    label = (size * label + TRUST * rest) / (size + TRUST)
    return np.log(label / rest).astype(np.float32)[bins]


def _counts(bins: NDArray[np.int16], count: int) -> NDArray[np.int64]:
    """Count each bin, part by part: numpy counts in copies of 64 bits."""
    parts = np.array_split(bins.reshape(-1), max(1, bins.size // AT_ONCE))
    return np.sum([np.bincount(part, minlength=count) for part in parts], axis=0)


def _density(histogram: NDArray[np.int64]) -> NDArray[np.float64]:
    smooth = gaussian_filter1d(histogram.astype(float), 1.0, mode="nearest")
    return smooth / smooth.sum()
