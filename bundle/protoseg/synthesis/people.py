"""Volumes of synthetic people with cubic voxels: whole regions, and organs close up, to be cut in any plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.anatomy.regions import REGIONS
from protoseg.synthesis.anatomy.shapes import Point
from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.subjects import STRUCTURES, anatomical_maps

__all__ = ["BLOCKS", "Block", "Places", "find_places", "paint_volume"]

JITTER = 5.0  # mm (standard deviation) of a block's middle
CORNERS = 2  # rows of `find_places` below those of the structures


class Block(NamedTuple):
    """The part of a region that a volume shows."""

    region: str
    middle: Point
    """mm, in the region's own coordinates."""
    extent: Point
    """mm along x, y and z."""
    voxel: float
    """Edge of a voxel in mm."""
    whole: bool
    """Whether the body's outline is in it, so that slices show the body from edge to edge."""


BLOCKS: dict[str, Block] = {
    "abdomen": Block("abdomen", (0, -4, 21), (400, 300, 210), 2.4, whole=True),
    "chest": Block("chest", (0, -6, -50), (430, 300, 250), 2.4, whole=True),
    "pelvis": Block("pelvis", (0, -22, 25), (420, 280, 210), 2.4, whole=True),
    "head": Block("head", (0, 0, -8), (210, 250, 220), 2.0, whole=True),
    "heart": Block("chest", (-15, 20, -95), (170, 150, 170), 1.6, whole=False),
    "brain": Block("head", (0, 10, 15), (130, 150, 110), 1.4, whole=False),
    "prostate": Block("pelvis", (0, -10, -45), (150, 150, 110), 1.6, whole=False),
}
"""By name of the kind of subject."""


@dataclass(frozen=True)
class Places:
    """Places in a volume, in mm from its first voxel along x, y and z."""

    centres: dict[int, NDArray[np.float64]]
    """Centre of mass (3,) of each structure that is large enough to be looked at, by its value in `STRUCTURES`."""
    lower: NDArray[np.float64]
    """(3,): the corner of the body with the least coordinates."""
    upper: NDArray[np.float64]
    """(3,): the opposite one."""

    @classmethod
    def of_table(cls, table: NDArray[np.float32]) -> Places:
        """Read a table of `find_places`."""
        centres = {value: table[value, 1:].astype(float) for value in np.flatnonzero(table[:-CORNERS, 0])}
        return cls(centres, table[-2, 1:].astype(float), table[-1, 1:].astype(float))


def paint_volume(kind: str, seed: int) -> NDArray[np.uint8]:
    """Paint a person's volume of maps (X, Y, Z, 4) in the order of `Subject.slice`; x grows to the right, y forward.

    Args:
        kind: kind of volume, one of `BLOCKS`.
        seed: seed of the person and of the block's exact place.
    """
    block = BLOCKS[kind]
    person, place = np.random.SeedSequence(seed).spawn(2)
    middle = np.add(block.middle, np.random.default_rng(place).normal(0, JITTER, 3))
    counts = [round(length / block.voxel) for length in block.extent]
    axes = [
        (m + block.voxel * (np.arange(count) - (count - 1) / 2)).astype(np.float32) for m, count in zip(middle, counts)
    ]
    canvas = REGIONS[block.region].paint(person, axes=axes, table=block.whole)
    maps = anatomical_maps(canvas, REGIONS[block.region])
    return np.ascontiguousarray(maps.transpose(1, 2, 3, 0))


def find_places(volume: NDArray[np.uint8], voxel: float, *, least: int = 40) -> NDArray[np.float32]:
    """Find where structures and body are in a volume of maps (X, Y, Z, 4): a table for `Places`.

    Its rows are, by value of `STRUCTURES`, 1 where the structure has at least `least` voxels, else 0, and x, y and z
    of its center of mass in mm; then those of the body's two corners.
    """
    structure, shape = volume[..., 3], volume.shape[:3]
    count = 1 + len(STRUCTURES)
    table = np.zeros((count + CORNERS, 4), np.float32)
    sizes = np.bincount(structure.ravel(), minlength=count)
    table[:count, 0] = sizes >= least
    table[0, 0] = 0
    solid = volume[..., 0] >= Tissue.SKIN
    for axis in range(3):
        across = tuple(other for other in range(3) if other != axis)
        index = np.arange(shape[axis], dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        sums = np.bincount(structure.ravel(), np.broadcast_to(index, shape).ravel(), minlength=count)
        table[:count, 1 + axis] = voxel * sums / np.maximum(sizes, 1)
        ends = np.flatnonzero(solid.any(across))
        table[-CORNERS:, 1 + axis] = voxel * ends[0], voxel * ends[-1]
    return table
