"""Random views: the part of a slice that the network sees, its orientation, and the effects of a scanner.

A view is a handful of numbers; `imaging` turns them into images, many at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.subjects import Box

__all__ = ["FINE_WARP", "WARP", "Acquisition", "View", "random_acquisition", "random_views"]

MARGIN = 5.6  # pixels of a slice (about 10 mm) that a crop to the body leaves around it
WARP, FINE_WARP = 5, 12  # bumps along an edge
WHOLE = np.array([0, 1, 0, 1])
# Shares of the pairs:
ZOOM = 0.15  # both views show about the same part of the body
ONE_ZOOMED = 0.07  # one of them does
TURNED = 0.12  # both are turned by any angle, or mirrored; a default
# Shares of the views:
SMALL_FIELD = 0.15  # the body is cut at its edges
ASKEW = 0.06  # turned by about 20 degrees, others by 5

Float = NDArray[np.float32]


class View(NamedTuple):
    """The origin of the pixels of a square image, as float32 arrays.

    A pixel at y, x (-0.5 to 0.5 from edge to edge) shows row `matrix[0] @ (y, x, 1)` and column `matrix[1] @ (y, x, 1)`
    of the slice, moved by the warps.
    """

    matrix: Float
    """(2, 3), in pixels of the slice."""
    warp: Float
    """(2, 1 + WARP, 1 + WARP): knots of a smooth displacement along rows and columns, in pixels of the slice."""
    fine_warp: Float
    """(2, 1 + FINE_WARP, 1 + FINE_WARP)."""
    extent: Float
    """(2,): share of the height and of the width that shows the slice; what surrounds it is padding."""


class Acquisition(NamedTuple):
    """The effects of a scanner or a camera on a picture."""

    blur: float
    """Standard deviation in pixels of the image; 0 is none."""
    shading: Float
    """(4, 4): knots of a smooth field, of whose exponential the brightness is a multiple."""
    noise: float
    """Standard deviation, where the picture's range is about 1."""
    smooth_noise: bool
    detail: float
    """Share of the pixels along an edge that a scanner had: 1 is all."""
    gamma: float
    gain: float
    offset: float
    color_gain: Float
    """(3,): of red, green and blue, where there are colors."""


def random_views(
    rng: np.random.Generator, bodies: tuple[Box, Box], *, upright: bool, turned: float = TURNED, zoomed: bool = True
) -> tuple[View, View]:
    """Draw the views of a pair: crops to the body, turned, sheared and warped a little, each on its own.

    Some pairs are turned by any angle or mirrored together, some show the same part of the body enlarged, in a few only
    one of the two is enlarged, and some views are cut at the body's edges or askew.

    Args:
        rng: random generator.
        bodies: bodies of the two subjects.
        upright: True if up and down mean something; pictures without them are turned one by one.
        turned: share of the pairs that are turned by any angle, or mirrored, together.
        zoomed: True if some views show a part of the body; False if the boxes are already parts.
    """
    turn = _orientation(rng) if rng.random() < turned else np.eye(2)
    turns = [turn if upright else _orientation(rng) for _ in bodies]
    windows = _windows(rng) if zoomed else [WHOLE, WHOLE]
    first, second = (_view(rng, body, window, turn) for body, window, turn in zip(bodies, windows, turns))
    return first, second


def random_acquisition(rng: np.random.Generator) -> Acquisition:
    """Draw blur, shading, noise, resolution, gamma and the z-score's uncertainty."""
    return Acquisition(
        blur=rng.uniform(0.4, 1.4) if rng.random() < 0.4 else 0.0,
        shading=(rng.uniform(0, 0.3) * rng.standard_normal((4, 4))).astype(np.float32),
        noise=min(rng.lognormal(np.log(0.03), 0.7), 0.15),
        smooth_noise=bool(rng.random() < 0.5),
        detail=float(rng.choice([0.375, 0.5, 0.625, 0.75])) if rng.random() < 0.3 else 1.0,
        gamma=float(np.exp(rng.normal(0, 0.25))),
        # A scan's own mean and deviation are not those of a single slice.
        gain=rng.uniform(0.8, 1.2),
        offset=rng.normal(0, 0.15),
        color_gain=np.exp(rng.normal(0, 0.12, 3)).astype(np.float32),
    )


def _windows(rng: np.random.Generator) -> list[Float]:
    """Draw the windows of the two views: top, bottom, left and right edge as shares of the body's box (2 x 4)."""
    kind = rng.random()
    if kind < ZOOM:
        size, centre = rng.uniform(0.3, 0.75, 2), rng.uniform(0.25, 0.75, 2)
        sizes = size * np.exp(rng.normal(0, 0.08, (2, 1)))
        return [_window(centre + rng.normal(0, 0.03, 2), size) for size in sizes]
    if kind < ZOOM + ONE_ZOOMED:
        part = _window(rng.uniform(0.4, 0.6, 2), rng.uniform(0.5, 0.85, 2))
        return [WHOLE, part] if rng.random() < 0.5 else [part, WHOLE]
    cut = [rng.random() < SMALL_FIELD for _ in range(2)]
    inwards = np.array([1, -1, 1, -1])
    return [WHOLE + inwards * (rng.uniform(0, 0.15) * rng.random(4) if small else 0) for small in cut]


def _window(centre: NDArray[np.float64], size: NDArray[np.float64]) -> Float:
    edges = np.stack([centre - size / 2, centre + size / 2], axis=1)
    return edges.clip(0, 1).ravel().astype(np.float32)


def _view(rng: np.random.Generator, body: Box, window: Float, turn: NDArray[np.float64]) -> View:
    top, left = body.top - MARGIN, body.left - MARGIN
    height, width = body.bottom + MARGIN - top, body.right + MARGIN - left
    edges = np.array([top, top, left, left]) + window * np.array([height, height, width, width]) + rng.normal(0, 4, 4)
    size = np.maximum([edges[1] - edges[0], edges[3] - edges[2]], 8)
    size = np.abs(turn) @ size  # of the upright box around the turned crop
    side = size.max()
    matrix = np.empty((2, 3), dtype=np.float32)
    # `turn` says where rows and columns of the slice lie in the image; its transpose leads back.
    matrix[:, :2] = side * turn.T @ _small_change(rng)
    matrix[:, 2] = (edges[0] + edges[1]) / 2, (edges[2] + edges[3]) / 2
    return View(
        matrix=matrix,
        warp=(0.012 * side * rng.standard_normal((2, 1 + WARP, 1 + WARP))).astype(np.float32),
        fine_warp=(0.005 * side * rng.standard_normal((2, 1 + FINE_WARP, 1 + FINE_WARP))).astype(np.float32),
        extent=(size / side).astype(np.float32),
    )


def _orientation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Any rotation, mirrored or not; a quarter turn half of the time."""
    angle = rng.integers(4) * np.pi / 2 if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi)
    mirror = np.diag([1, rng.choice([-1, 1])])
    return _rotation(angle) @ mirror


def _small_change(rng: np.random.Generator) -> NDArray[np.float64]:
    """Turn by about 5 degrees, seldom 20, magnify by about 5 % along either axis, and shear; rows are y and x."""
    turn = _rotation(rng.normal(0, 0.35 if rng.random() < ASKEW else 0.09))
    stretch = np.diag(np.exp(rng.normal(0, 0.05, 2))) + np.array([[0, 1], [0, 0]]) * rng.normal(0, 0.04)
    return turn @ stretch


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
