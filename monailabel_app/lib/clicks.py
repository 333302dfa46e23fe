"""Clicks as the viewers send them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from protoseg.data.io.source_grid import SourceGrid
from protoseg.errors import InputError

__all__ = ["Point", "all_points", "points_of"]

Point = tuple[int, int, int]  # slice, row and column of the prepared volume


def points_of(request: Mapping[str, Any], key: str, grid: SourceGrid) -> list[Point]:
    """Read the points under a key of a request, [[i, j, k], ...] in voxels of the image file.

    Raises:
        InputError: it is no such list, or a point lies outside the image.
    """
    points = request.get(key) or []
    if not is_points(points):
        raise InputError(f"The clicks of '{key}' are {points!r}; expected a list of voxels such as [[120, 80, 14]].")
    return [_place(point, key, grid) for point in points]


def is_points(value: Any) -> bool:
    """Tell whether a value of a request is a list of points."""
    return isinstance(value, list) and all(
        isinstance(point, list) and len(point) == 3 and all(type(index) in (int, float) for index in point)
        for point in value
    )


def all_points(request: Mapping[str, Any], names: Iterable[str], grid: SourceGrid) -> dict[str, list[Point]]:
    """Points by label name, as deepedit's clients send them, and those under "background".

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
