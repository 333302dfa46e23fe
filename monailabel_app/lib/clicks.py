"""Clicks as the viewers send them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from protoseg.data.io.source_grid import SourceGrid
from protoseg.engine.clicks.box import Box
from protoseg.errors import InputError

__all__ = ["Point", "all_points", "boxes_of", "points_of"]

MOST_BOXES = 32  # boxes of a request; each one takes as long as a click

Point = tuple[int, int, int]  # slice, row and column of the prepared volume


def points_of(request: Mapping[str, Any], key: str, grid: SourceGrid) -> list[Point]:
    """Read the points under a key of a request, [[i, j, k], ...] in voxels of the image file.

    Those under "background" that lie outside the body, where nothing is found anyway, are left out.

    Raises:
        InputError: it is no such list, or a point lies outside the image or, as part of a label, outside the body.
    """
    points = request.get(key) or []
    if not is_points(points):
        raise InputError(f"The clicks of '{key}' are {points!r}; expected a list of voxels such as [[120, 80, 14]].")
    placed = [(_place(point, key, grid), point, grid.is_cropped((point[0], point[1], point[2]))) for point in points]
    cropped = next((point for _, point, is_cropped in placed if is_cropped), None)
    if cropped and key != "background":
        raise InputError(
            f"The click {cropped} of '{key}' lies outside the body that was found. Click on the structure."
        )
    return [place for place, _, is_cropped in placed if not is_cropped]


def boxes_of(request: Mapping[str, Any], label: str, grid: SourceGrid) -> list[Box]:
    """Read the boxes around a label, each two opposite corners [[i, j, k], [i, j, k]] in voxels of the image file.

    Raises:
        InputError: it is no such list, a corner lies outside the image, or a box is not on one slice.
    """
    boxes = request.get("boxes") or []
    if not isinstance(boxes, list) or not all(is_points(box) and len(box) == 2 for box in boxes):
        raise InputError(f"boxes is {boxes!r}; expected a list of corners such as [[[100, 60, 14], [150, 110, 14]]].")
    if len(boxes) > MOST_BOXES:
        raise InputError(f"There are {len(boxes)} boxes, expected at most {MOST_BOXES}.")
    return [_box([_place(corner, "boxes", grid) for corner in box], label) for box in boxes]


def _box(corners: list[Point], label: str) -> Box:
    (first, top, left), (last, bottom, right) = (tuple(map(which, zip(*corners))) for which in (min, max))
    if first != last:
        raise InputError(f"A box runs from slice {first} to {last}. Draw it on one slice.")
    return Box(first, top, left, bottom, right, label)


def is_points(value: Any) -> bool:
    """Tell whether a value of a request is a list of points."""
    return isinstance(value, list) and all(
        isinstance(point, list) and len(point) == 3 and all(type(index) in (int, float) for index in point)
        for point in value
    )


def all_points(request: Mapping[str, Any], names: Iterable[str], grid: SourceGrid) -> dict[str, list[Point]]:
    """Read points by label name, as deepedit's clients send them, and those under "background".

    Raises:
        InputError: as `points_of`; or there are points under another name.
    """
    known = [*names, "background"]
    for key, value in request.items():
        if key not in known and value and is_points(value):
            raise InputError(f"There are clicks of '{key}'; the labels are {', '.join(known)}.")
    return {name: points for name in known if (points := points_of(request, name, grid))}


def _place(point: list[float], key: str, grid: SourceGrid) -> Point:
    i, j, k = point
    voxel = grid.voxel((i, j, k))
    if voxel is None:
        size = " x ".join(map(str, grid.shape))
        raise InputError(f"The click {point} of '{key}' lies outside the image, which has {size} voxels.")
    x, y, z = voxel
    return z, y, x
