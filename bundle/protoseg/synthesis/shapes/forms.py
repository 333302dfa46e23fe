"""Solid forms that random worlds are made of, as signed distances in a frame of their own."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.anatomy.shapes import Array, Point, ellipsoid, smooth_union

__all__ = ["FORMS", "TRAITS", "Form", "rotation"]

Form = Callable[[Array, Array, Array, Point, NDArray[np.float64]], Array]
"""Coordinates u, v, w in mm, radii along them, and `TRAITS` numbers in -1..1 that tell one form from another."""

TRAITS = 12

ORIGIN: Point = (0.0, 0.0, 0.0)


def _blob(u: Array, v: Array, w: Array, radii: Point, traits: NDArray[np.float64]) -> Array:
    return ellipsoid(u, v, w, centre=ORIGIN, radii=radii)


def _lobed(u: Array, v: Array, w: Array, radii: Point, traits: NDArray[np.float64]) -> Array:
    """Two lobes that are grown together, the second one smaller and beside the first."""
    share = 0.6 + 0.15 * traits[0]
    beside = (0.5 * radii[0], 0.4 * traits[1] * radii[1], 0.3 * traits[2] * radii[2])
    first = ellipsoid(u, v, w, centre=(-0.35 * radii[0], 0, 0), radii=(0.65 * radii[0], radii[1], radii[2]))
    second = ellipsoid(u, v, w, centre=beside, radii=(share * radii[0], share * radii[1], share * radii[2]))
    return smooth_union(first, second, 0.4 * min(radii))


def _crescent(u: Array, v: Array, w: Array, radii: Point, traits: NDArray[np.float64]) -> Array:
    """An ellipsoid with a bite out of its side."""
    whole = ellipsoid(u, v, w, centre=ORIGIN, radii=radii)
    depth = 0.75 + 0.2 * traits[0]
    bite = ellipsoid(u, v, w, centre=(0.2 * traits[1] * radii[0], depth * radii[1], 0), radii=radii)
    return -smooth_union(-whole, bite, 0.25 * min(radii))


def _facets(u: Array, v: Array, w: Array, radii: Point, traits: NDArray[np.float64]) -> Array:
    """A convex body with flat sides and rounded corners."""
    angles = 2 * np.pi * (np.arange(6) + 0.35 * traits[:6]) / 6
    reach = 0.85 + 0.2 * traits[6:]
    scale = min(radii[:2])
    x, y = u / radii[0], v / radii[1]
    sides = (scale * (np.cos(a) * x + np.sin(a) * y - r) for a, r in zip(angles, reach))
    distance = np.abs(w) - radii[2]
    for side in sides:
        distance = -smooth_union(-distance, -side, 0.2 * scale)
    return distance


def _tube(u: Array, v: Array, w: Array, radii: Point, traits: NDArray[np.float64]) -> Array:
    """A winding tube along w, as wide as the first radius and as long as the third."""
    along = w / radii[2]
    sway = radii[2] * 0.22
    aside_u = sway * traits[0] * np.sin(np.pi * along * (1 + traits[1]) + np.pi * traits[2])
    aside_v = sway * traits[3] * np.sin(np.pi * along * (1 + traits[4]) + np.pi * traits[5])
    width = radii[0] * (1 + 0.25 * np.sin(np.pi * along + np.pi * traits[6]))
    return np.maximum(np.hypot(u - aside_u, v - aside_v) - width, np.abs(w) - radii[2])


FORMS: dict[str, Form] = {
    "blob": _blob,
    "lobed": _lobed,
    "crescent": _crescent,
    "facets": _facets,
    "tube": _tube,
}


def rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the matrix (3, 3) that turns about z, then y, then x, by angles in radians in the order z, y, x."""
    (cz, cy, cx), (sz, sy, sx) = np.cos(angles), np.sin(angles)
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return about_x @ about_y @ about_z
