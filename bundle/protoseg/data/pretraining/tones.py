"""Random maps of gray values: the same tissues under another scanner, window or stain.

A curve maps brightness to brightness, monotone or not, rising or falling; a filter changes texture and edges (random
convolutions, Xu et al., arXiv 2007.13003). Labels stay what they are, so features have to.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["FILTER", "KNOTS", "Tone", "apply_curves", "apply_filters", "random_tone"]

KNOTS = 9  # of a curve, from brightness 0 to 1
FILTER = 5  # rows and columns of a filter
# Shares of the images:
PLAIN, RISING, FALLING = 0.6, 0.15, 0.12  # curves; the rest are neither
FILTERED = 0.15


class Tone(NamedTuple):
    """A change of gray values."""

    curve: NDArray[np.float32]
    """(KNOTS,): brightness, 0 to 1, that replaces brightness k / (KNOTS - 1)."""
    filter: NDArray[np.float32]
    """(FILTER, FILTER)."""


def random_tone(rng: np.random.Generator, *, strength: float = 1.0) -> Tone:
    """Draw a tone; `strength`, 0 to 1, is the share of images that are changed at all."""
    changed = rng.random() < strength
    curve, kernel = _identity_curve(), _identity_filter()
    kind = rng.random() if changed else 0.0
    if kind >= PLAIN + RISING + FALLING:
        curve = _crooked(rng)
    elif kind >= PLAIN:
        curve = _rising(rng)
        if kind >= PLAIN + RISING:
            curve = 1 - curve
    if changed and rng.random() < FILTERED:
        noise = rng.standard_normal((FILTER, FILTER)) * rng.uniform(0.05, 0.25)
        kernel = kernel + (noise - noise.mean()).astype(np.float32)  # flat areas keep their brightness
    return Tone(curve.astype(np.float32), kernel.astype(np.float32))


def apply_curves(picture: Tensor, curves: Tensor) -> Tensor:
    """Map brightness (B, C, H, W), 0 to 1, by curves (B, KNOTS), linearly between the knots."""
    knots = curves.shape[1]
    place = picture.flatten(1).clamp(0, 1) * (knots - 1)
    left = place.floor().clamp(max=knots - 2)
    first, second = curves.gather(1, left.long()), curves.gather(1, left.long() + 1)
    return torch.lerp(first, second, place - left).view_as(picture)


def apply_filters(picture: Tensor, filters: Tensor) -> Tensor:
    """Convolve pictures (B, C, H, W) with one filter (B, FILTER, FILTER) each."""
    batch, channels, height, width = picture.shape
    radius = filters.shape[-1] // 2
    flat = F.pad(picture.reshape(1, -1, height, width), (radius,) * 4, mode="reflect")
    kernels = filters.repeat_interleave(channels, dim=0)[:, None]
    return F.conv2d(flat, kernels, groups=batch * channels).view_as(picture)


def _identity_curve() -> NDArray[np.float32]:
    return np.linspace(0, 1, KNOTS, dtype=np.float32)


def _identity_filter() -> NDArray[np.float32]:
    kernel = np.zeros((FILTER, FILTER), np.float32)
    kernel[FILTER // 2, FILTER // 2] = 1
    return kernel


def _rising(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a curve of unequal steps, none of them flat."""
    steps = rng.dirichlet(np.full(KNOTS - 1, 1.5)) * 0.8 + 0.2 / (KNOTS - 1)
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.float32)


def _crooked(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a curve through five random values, stretched to the whole range."""
    values = rng.random(5)
    curve = np.interp(np.linspace(0, 1, KNOTS), np.linspace(0, 1, 5), values)
    return ((curve - curve.min()) / max(np.ptp(curve), 1e-3)).astype(np.float32)
