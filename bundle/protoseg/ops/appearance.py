"""Appearance: how much more the intensities of a pixel are like a label's than like those of its surroundings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

__all__ = ["Appearance"]

Image = NDArray[np.float32]
Parts: TypeAlias = Callable[[], Iterable[tuple[Image, NDArray[np.bool_]]]]

BIN = 1 / 16  # width of the histogram's bins, in standard deviations of the image
RANGE = 4.0  # standard deviations about the mean that the bins cover; values beyond fall into the last bin
UNSEEN = 0.02  # share of the surroundings that may have any intensity
AT_ONCE = 2**20  # voxels counted in one step
TRUST = 20.0  # pixels; a smaller label is assumed to look like its surroundings rather than like itself
BINS = int(2 * RANGE / BIN)


class Appearance:
    """Histograms of a label and of what is around it in an image, which may be too large to be held at once.

    As in Boykov and Jolly (ICCV 2001), one pair of histograms for each channel.

    Args:
        means: mean of each channel.
        widths: bin width of each channel's histograms.
        log_ratios: log ratios of the two histograms, bin by bin, of each channel.
    """

    def __init__(self, means: NDArray[np.float32], widths: list[float], log_ratios: list[NDArray[np.float32]]) -> None:
        self.means, self.widths, self.log_ratios = means, widths, log_ratios

    @classmethod
    def of(cls, parts: Parts) -> Appearance:
        """Count the intensities of parts, each an image (C, *space) and a mask of where the label is thought to be.

        The parts are iterated over three times.
        """
        size, sums = 0, np.zeros(())
        for image, _ in parts():
            size, sums = size + image[0].size, sums + _sums(image)
        means = (sums / size).astype(np.float32)
        squares = np.zeros(())
        for image, _ in parts():
            squares = squares + [_sum_of_squares(channel - mean) for channel, mean in zip(image, means)]
        widths = [max(float(np.sqrt(one / size)), 1e-6) * BIN for one in squares]
        label, whole = np.zeros((2, len(means), BINS), int)
        for image, inside in parts():
            for number, channel in enumerate(image):
                bins = _bins(channel, means[number], widths[number])
                label[number] += np.bincount(bins[inside], minlength=BINS)
                whole[number] += _counts(bins)
        return cls(means, widths, [_log_ratio(*pair) for pair in zip(label, whole)])

    def log_ratio(self, image: Image) -> Image:
        """Look up how much likelier the intensities of a part (C, *space) are inside the label than outside, as a log.

        Channels are averaged, because those of pictures tell much the same. The result (*space) is above 0 where it
        looks like the label, and 0 everywhere if one of the sides is empty.
        """
        looked_up = (
            log_ratio[_bins(channel, mean, width)]
            for channel, mean, width, log_ratio in zip(image, self.means, self.widths, self.log_ratios)
        )
        if len(image) == 1:
            return next(looked_up)
        return np.mean(list(looked_up), axis=0, dtype=np.float32)


def _sums(image: Image) -> NDArray[np.float64]:
    """Sum of each channel."""
    return image.sum(tuple(range(1, image.ndim)), dtype=float)


def _sum_of_squares(values: Image) -> float:
    np.square(values, out=values)  # in place: a large organ's surroundings have tens of millions of voxels
    return float(values.sum(dtype=float))


def _bins(channel: Image, mean: np.float32, width: float) -> NDArray[np.int16]:
    place = channel - mean
    place /= width
    place += BINS / 2
    return place.clip(0, BINS - 1, out=place).astype(np.int16)


def _log_ratio(label: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float32]:
    """Log ratio of the densities of a label and of the rest, from the counts of the label and of the whole."""
    size = label.sum()
    if not 0 < size < whole.sum():
        return np.zeros(BINS, np.float32)
    rest = (1 - UNSEEN) * _density(whole - label) + UNSEEN / BINS
    density = (size * _density(label) + TRUST * rest) / (size + TRUST)
    return np.log(density / rest).astype(np.float32)


def _counts(bins: NDArray[np.int16]) -> NDArray[np.int64]:
    """Count each bin, part by part: numpy counts in copies of 64 bits."""
    parts = np.array_split(bins.reshape(-1), max(1, bins.size // AT_ONCE))
    return np.sum([np.bincount(part, minlength=BINS) for part in parts], axis=0)


def _density(histogram: NDArray[np.int64]) -> NDArray[np.float64]:
    smooth = gaussian_filter1d(histogram.astype(float), 1.0, mode="nearest")
    return smooth / smooth.sum()
