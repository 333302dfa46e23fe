"""Signed distances of simple shapes, ways to join them, and the smooth noise that makes them organic.

Distances are in mm, negative inside, and grow by about one per mm near the surface; coordinates broadcast.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

__all__ = ["Array", "Point", "SmoothNoise", "capsule", "ellipse", "ellipsoid", "smooth_curve", "smooth_union"]

Array = NDArray[Any]
Point = tuple[float, float, float]

# Noise lives on a lattice that holds any region, so that a person's shape does not depend on the sampling.
DOMAIN = ((-230.0, 230.0), (-190.0, 190.0), (-260.0, 320.0))


class SmoothNoise:
    """A smooth random field of unit variance whose bumps are about `scale` mm wide."""

    def __init__(self, rng: np.random.Generator, scale: float) -> None:
        self.scale = scale
        self.knots = [np.arange(low, high + scale, scale, dtype=np.float32) for low, high in DOMAIN]
        self.values = rng.standard_normal([len(knots) for knots in self.knots], dtype=np.float32)

    def __call__(self, axes: Sequence[Array]) -> Array:
        """Sample on the grid that three axes (positions in mm along x, y, z) span."""
        field = self.values
        for dimension, (positions, knots, (low, high)) in enumerate(zip(axes, self.knots, DOMAIN)):
            offsets = (np.clip(positions, low, high)[:, None] - knots) / (0.7 * self.scale)
            weights = np.exp(-0.5 * offsets**2)
            weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
            field = np.moveaxis(np.tensordot(weights, field, axes=(1, dimension)), 0, dimension)
        return np.ascontiguousarray(field, dtype=np.float32)


def ellipse(x: Array, y: Array, radii: tuple[float, float]) -> Array:
    """Compute the distance to an upright ellipse around the origin."""
    u, v = x / radii[0], y / radii[1]
    norm = np.sqrt(u * u + v * v) + np.float32(1e-6)
    slope = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2) + np.float32(1e-6)
    return norm * (norm - 1) / slope


def ellipsoid(x: Array, y: Array, z: Array, *, centre: Point, radii: Point) -> Array:
    """Compute the distance to an upright ellipsoid (first order: exact on the surface)."""
    u, v, w = ((c - m) / r for c, m, r in zip((x, y, z), centre, radii))
    norm = np.sqrt(u * u + v * v + w * w) + np.float32(1e-6)
    slope = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2) + np.float32(1e-6)
    return norm * (norm - 1) / slope


def capsule(x: Array, y: Array, z: Array, *, start: ArrayLike, end: ArrayLike, radii: tuple[float, float]) -> Array:
    """Compute the distance to a rounded rod whose radius changes evenly from the first to the second of `radii`."""
    direction = np.subtract(end, start)
    length2 = float(direction @ direction) + 1e-6
    dx, dy, dz = (c - np.float32(s) for c, s in zip((x, y, z), np.asarray(start)))
    along = (dx * float(direction[0]) + dy * float(direction[1]) + dz * float(direction[2])) / length2
    along = np.clip(along, 0, 1)
    gap = (d - along * float(step) for d, step in zip((dx, dy, dz), direction))
    return np.sqrt(sum(g * g for g in gap)) - (radii[0] + (radii[1] - radii[0]) * along)


def smooth_union(a: Array, b: Array, blend: float) -> Array:
    """Unite two shapes, with a seam rounded over `blend` mm."""
    overlap = np.maximum(blend - np.abs(a - b), 0) / blend
    return np.minimum(a, b) - overlap * overlap * (blend / 4)


def smooth_curve(
    points: ArrayLike, radii: ArrayLike, *, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Run a spline through control points, sampled about every `step` mm: (N, 3) positions and (N,) radii."""
    control = np.asarray(points, dtype=float)
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(control, axis=0), axis=1))])
    samples = np.linspace(0, chord[-1], max(3, int(chord[-1] / step) + 1))
    return CubicSpline(chord, control)(samples), np.interp(samples, chord, np.asarray(radii, dtype=float))
