"""Outlines of masks as closed polygons, holes included.

A polygon runs halfway between the centers of pixels inside and outside, so that every center is on its side of it. A
hole is joined to the outline around it by a channel of no width, a keyhole, as the standard requires for CLOSED_PLANAR:
readers that add contours up and readers that exclude what is enclosed twice fill the same pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label
from skimage.measure import find_contours

__all__ = ["mask_contours"]

Polygon = NDArray[np.float64]  # (N, 2), closed without repeating the first point


def mask_contours(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Outline each 4-connected part of a mask (X, Y); points are pixel indices, whole numbers being centers."""
    parts, _ = label(mask)
    boxes: list[tuple[slice, slice]] = find_objects(parts)
    polygons = []
    for number, (columns, rows) in enumerate(boxes, start=1):
        part = np.pad(parts[columns, rows] == number, 1).astype(np.uint8)
        rings = [ring[:-1] for ring in find_contours(part, 0.5)]
        polygons.append(_corners(_joined(rings)) + np.array([columns.start - 1, rows.start - 1]))
    return polygons


def _joined(rings: list[Polygon]) -> Polygon:
    """Join an outline, the ring that begins first along X, with the holes in it.

    Holes are taken in the order in which they begin along X: everything before a hole's first point is joined already.
    """
    outline, *holes = sorted(rings, key=lambda ring: float(ring[:, 0].min()))
    for hole in holes:
        outline = _with_keyhole(outline, hole)
    return outline


def _with_keyhole(outline: Polygon, hole: Polygon) -> Polygon:
    """Cut a channel from the first column of a hole's pixels back along X to the outline.

    It runs midway between two rows of centers, so that no center is on it.
    """
    first = np.flatnonzero(hole[:, 0] == hole[:, 0].min() + 0.5)
    start = int(first[hole[first, 1].argmin()])
    x, y = hole[start]
    here, there = outline, np.roll(outline, -1, axis=0)
    rise = there[:, 1] - here[:, 1]
    share = np.divide(y - here[:, 1], rise, out=np.zeros(len(here)), where=rise != 0)
    meets = np.where(rise != 0, here[:, 0] + share * (there[:, 0] - here[:, 0]), np.maximum(here[:, 0], there[:, 0]))
    reaches = (np.minimum(here[:, 1], there[:, 1]) <= y) & (y <= np.maximum(here[:, 1], there[:, 1])) & (meets < x)
    edge = int(np.where(reaches, meets, -np.inf).argmax())
    gate = np.array([[meets[edge], y]])
    ring = np.roll(hole, -start, axis=0)
    return np.concatenate([outline[: edge + 1], gate, ring, ring[:1], gate, outline[edge + 1 :]])


def _corners(polygon: Polygon) -> Polygon:
    """Leave out points that repeat the one before, or are on the straight line from it to the next."""
    polygon = polygon[(polygon != np.roll(polygon, 1, axis=0)).any(axis=1)]
    before, after = polygon - np.roll(polygon, 1, axis=0), np.roll(polygon, -1, axis=0) - polygon
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return polygon[turns | ((before * after).sum(axis=1) < 0)]  # < 0: back through a channel
