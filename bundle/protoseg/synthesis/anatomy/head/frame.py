"""The head's frame: the skin's outline, the cavity of the skull, and tools for paired parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from protoseg.synthesis.anatomy.canvas import Box, Canvas
from protoseg.synthesis.anatomy.shapes import Array, Point, capsule, ellipsoid, smooth_curve, smooth_union

__all__ = ["Head", "by_spine", "measure_head", "paired_ellipsoid", "paired_tube", "spine_y"]

# Rows of (z, half the width, front y) and (z, half the width, half the depth, middle y), in mm.
FACE = np.array(
    [
        (-104, 8, 62), (-95, 28, 80), (-82, 40, 90), (-62, 53, 90), (-42, 60, 95), (-20, 63, 95), (0, 67, 91),
        (20, 66, 89), (50, 60, 91),
    ]
)  # fmt: skip
NECK = np.array(
    [
        (-220, 205, 105, -52), (-180, 190, 95, -48), (-160, 150, 84, -44), (-142, 102, 70, -38), (-124, 66, 60, -30),
        (-100, 58, 57, -19), (-60, 57, 56, -16), (-20, 56, 58, -22),
    ]
)  # fmt: skip
VAULT, VAULT_Z = (66.0, 85.0, 72.0), 44.0  # half axes of the skull's cavity, and its middle


@dataclass(frozen=True)
class Head:
    """Distances (mm) on the whole grid that the parts are fitted to."""

    outline: Array  # negative inside the skin
    vault: Array  # negative inside the dome's inner table, were it a closed egg
    cavity: Array  # negative where brain and its fluid are
    cerebral: Array  # negative above the tentorium and in the middle fossae


def spine_y(z: Array | float) -> Array:
    """Give the y of the cervical vertebral bodies' centers."""
    return np.float32(-9) - np.float32(26) * ((np.asarray(z, dtype=np.float32) + 45) / 110) ** 2


def by_spine(x: float, forwards: float, z: float) -> Point:
    """Place a point `forwards` mm in front of the vertebral bodies' centers."""
    return x, float(spine_y(z)) + forwards, z


def measure_head(canvas: Canvas, rng: np.random.Generator, *, neck: float) -> Head:
    """Lay out a head; `neck` is the neck's thickness, 1 on average."""
    x, y, z = canvas.coordinates(canvas.everywhere)
    side = np.abs(x)
    taper = 1 - rng.uniform(0.001, 0.0022) * (y + 20)
    vault = _superellipse((side / taper, y, z - VAULT_Z), VAULT, power=2.3)
    cavity = _cavity(side, y, z, vault)
    return Head(
        outline=_outline(side, y, z, vault - rng.uniform(10, 13), rng, neck=neck),
        vault=vault,
        cavity=cavity,
        cerebral=_above_tentorium(side, y, z),
    )


def paired_tube(
    canvas: Canvas, points: ArrayLike, radii: ArrayLike, *, step: float = 8.0, stretch: Point = (1, 1, 1)
) -> tuple[Box, Array]:
    """Find the box of, and the distance to, two mirrored tubes; `points` describe the right one.

    `stretch` widens the tube's section along each axis.
    """
    centres, widths = smooth_curve(points, radii, step=step)
    reach = widths.max() * np.asarray(stretch)
    low, high = centres.min(axis=0) - reach, centres.max(axis=0) + reach
    box = canvas.box((-high[0], low[1], low[2]), high)
    x, y, z = (c / np.float32(s) for c, s in zip(canvas.coordinates(box), stretch))
    distance = np.full(x.shape, 1e3, dtype=np.float32)
    squeezed = centres / stretch
    for start, end, first, second in zip(squeezed, squeezed[1:], widths, widths[1:]):
        np.minimum(distance, capsule(np.abs(x), y, z, start=start, end=end, radii=(first, second)), out=distance)
    return box, distance


def paired_ellipsoid(canvas: Canvas, centre: Point, radii: Point) -> tuple[Box, Array]:
    """Find the box of, and the distance to, two mirrored ellipsoids; `centre` is the right one's."""
    reach = centre[0] + radii[0]
    box = canvas.box((-reach, centre[1] - radii[1], centre[2] - radii[2]), np.add(centre, radii))
    x, y, z = canvas.coordinates(box)
    return box, ellipsoid(np.abs(x), y, z, centre=centre, radii=radii)


def _superellipse(offsets: Sequence[Array], radii: Sequence[Array | float], *, power: float) -> Array:
    """Distance to a rounded box around the origin, in as many dimensions as there are radii."""
    shares = [np.abs(o) / r for o, r in zip(offsets, radii)]
    steep = [s ** (power - 1) for s in shares]
    norm = (sum(s * t for s, t in zip(shares, steep)) + 1e-6) ** (1 / power)
    slope = np.sqrt(sum((t / r) ** 2 for t, r in zip(steep, radii))) * norm ** (1 - power)
    return ((norm - 1) / (slope + 1e-4)).astype(np.float32)


def _cavity(side: Array, y: Array, z: Array, vault: Array) -> Array:
    """The dome above the floor of the anterior fossa, joined with the middle fossae and the posterior one."""
    orbital = 8 * np.exp(-(((side - 28) / 15) ** 2)) / (1 + np.exp((38 - y) / 4))
    temporal = 13 / (1 + np.exp((32 - side) / 5)) / (1 + np.exp((y - 22) / 5))
    dome = np.maximum(vault, 27 + orbital - temporal - z)
    middle = ellipsoid(side, y, z, centre=(36, 16, 22), radii=(27, 30, 19))
    posterior = ellipsoid(side, y, z, centre=(0, -44, 16), radii=(55, 46, 36))
    fossae = np.maximum(np.minimum(middle, posterior), vault)
    return smooth_union(dome, fossae, 6.0)


def _above_tentorium(side: Array, y: Array, z: Array) -> Array:
    """A tent whose ridge runs back along the midline, and whose front edges lie on the petrous bones."""
    rise = np.clip((y + 90) / 45, 0, 1)
    tent = 10 + 8 * np.clip((y + 85) / 70, 0, 1) + 26 * rise * np.exp(-((side / 20) ** 1.4))
    petrous = 5 - 27 * (side - 12) / 48
    return np.minimum(0.85 * (tent - z), petrous - y)


def _outline(side: Array, y: Array, z: Array, scalp: Array, rng: np.random.Generator, *, neck: float) -> Array:
    """Scalp, face, neck with the shoulders, and nose."""
    width, front = (np.interp(z, FACE[:, 0], column) for column in FACE[:, 1:].T)
    front += rng.normal(0, 2.5)
    width *= rng.uniform(0.94, 1.03)
    face = _superellipse((side, y - (front - 20) / 2), (width, (front + 20) / 2), power=2.4)
    under_chin = 0.28 * np.clip(80 - y, 0, 40) - 98  # rises towards the throat
    face = np.maximum(face, np.maximum(under_chin - z, z - 52))
    width, depth, middle = (np.interp(z, NECK[:, 0], column) for column in NECK[:, 1:].T)
    trunk = _superellipse((side, y - middle), (neck * width, neck * depth), power=2.0)
    trunk = np.maximum(trunk, z + 8)
    nose = capsule(side, y, z, start=(0, 88, 22), end=(0, 106 + rng.normal(0, 3), -6), radii=(5, 9))
    body = smooth_union(smooth_union(scalp, face, 14.0), trunk, 16.0)
    nostrils = capsule(side, y, z, start=(5, 102, -7), end=(4, 88, -14), radii=(7, 7))
    return smooth_union(body, np.minimum(nose, nostrils), 8.0).astype(np.float32)
