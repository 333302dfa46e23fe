"""Appearance: how much more the intensities of a pixel are like a label's than like those of its surroundings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

__all__ = ["log_likelihood_ratio"]

BIN = 1 / 16  # width of the histogram's bins, in standard deviations of the image
RANGE = 4.0  # standard deviations about the mean that the bins cover; beyond them is the last bin
UNSEEN = 0.02  # of the surroundings may have any intensity
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
    return np.mean([_of_channel(channel, inside) for channel in image], axis=0, dtype=np.float32)


def _of_channel(channel: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    count = int(2 * RANGE / BIN)
    width = max(float(channel.std()), 1e-6) * BIN
    bins = ((channel - channel.mean()) / width + count / 2).clip(0, count - 1).astype(np.int16)
    label, rest = (_density(bins[side], count) for side in (inside, ~inside))
    rest = (1 - UNSEEN) * rest + UNSEEN / count
    size = np.count_nonzero(inside)
    label = (size * label + TRUST * rest) / (size + TRUST)
    return np.log(label / rest).astype(np.float32)[bins]


def _density(bins: NDArray[np.int16], count: int) -> NDArray[np.float64]:
    histogram = gaussian_filter1d(np.bincount(bins, minlength=count).astype(float), 1.0, mode="nearest")
    return histogram / histogram.sum()
