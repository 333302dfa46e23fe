"""A pool of synthetic people on disk: what every pixel is made of, to be imaged in any contrast."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protoseg.data.anatomy.scan import paint_scan
from protoseg.data.anatomy.tissues import ORGANS, Tissue
from protoseg.data.parallel import map_in_processes
from protoseg.data.scan_cache import array_file, cached_array, fingerprint

__all__ = ["STRUCTURES", "Box", "Person", "PersonSlice", "load_people"]

SHAPE = (216, 168, 40)  # voxels along x, y and z
SPACING = (1.8, 1.8, 6.0)  # mm

UNLABELLED: dict[str, tuple[Tissue, ...]] = {
    "subcutaneous_fat": (Tissue.SKIN, Tissue.SUBCUTANEOUS_FAT),
    "visceral_fat": (Tissue.VISCERAL_FAT,),
    "muscle": (Tissue.MUSCLE,),
    "ribs": (Tissue.CARTILAGE, Tissue.CORTICAL_BONE, Tissue.SPONGY_BONE, Tissue.DISC),
    "spinal_canal": (Tissue.SPINAL_CANAL,),
    "heart": (Tissue.HEART,),
    "vessels": (Tissue.ARTERY, Tissue.VEIN, Tissue.PORTAL_VEIN),
    "adrenals": (Tissue.ADRENAL,),
    "renal_pelvis": (Tissue.CYST,),
    "duodenum": (Tissue.GUT_WALL, Tissue.GUT_FLUID, Tissue.STOOL, Tissue.GAS),
}
"""Tissues that are structures of their own wherever no organ's label is."""

STRUCTURES: dict[str, int] = {
    **ORGANS,
    **{name: len(ORGANS) + number for number, name in enumerate(UNLABELLED, start=1)},
}
"""Name and value of everything that is told apart; 0 is air and what lies in it."""


class Box(NamedTuple):
    """Rows and columns of a slice that the body takes up over the whole scan, in pixels, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int


class PersonSlice(NamedTuple):
    """An axial slice as uint8 maps (H, W): anterior at the top, the patient's right at the left."""

    tissue: NDArray[np.uint8]
    neighbour: NDArray[np.uint8]
    """The lesser tissue of a pixel that a surface runs through."""
    coverage: NDArray[np.uint8]
    """Share of `tissue` in the pixel, in 255ths."""
    structure: NDArray[np.uint8]
    """Values of `STRUCTURES`."""


@dataclass(frozen=True)
class Person:
    """One person; the slices stay on disk and are memory-mapped when read."""

    file: Path
    body: Box
    count: int
    """Slices, counted from the feet."""

    def slice(self, index: int) -> PersonSlice:
        """Read one axial slice."""
        return PersonSlice(*np.load(self.file, mmap_mode="r")[index])


def load_people(seeds: Sequence[int], folder: Path, *, workers: int = 0) -> list[Person]:
    """Open the people of these seeds; whoever is not in `folder` yet is painted and stored.

    Every file is kept as soon as it is made: when interrupted, the next call goes on from there.
    `workers` processes share the work; 0 works in this one.
    """
    missing = [seed for seed in seeds if not array_file(folder, _key(seed)).exists()]
    paint = partial(_open, folder=folder)
    map_in_processes(paint, missing, workers=workers, description="Painting people", unit="person")
    return [_open(seed, folder) for seed in seeds]


def _open(seed: int, folder: Path) -> Person:
    maps = cached_array(folder, _key(seed), lambda: _paint(seed))
    solid = maps[:, 0] >= Tissue.SKIN
    rows, columns = np.flatnonzero(solid.any((0, 2))), np.flatnonzero(solid.any((0, 1)))
    body = Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    return Person(file=array_file(folder, _key(seed)), body=body, count=len(maps))


def _key(seed: int) -> str:
    return f"person-{seed}-{fingerprint(SHAPE, SPACING, STRUCTURES)}"


def _paint(seed: int) -> NDArray[np.uint8]:
    """Maps (Z, 4, H, W) in the order of `PersonSlice`."""
    canvas, _ = paint_scan(seed, shape=SHAPE, spacing=SPACING, table=True)
    by_tissue = np.zeros(len(Tissue), dtype=np.uint8)
    for name, tissues in UNLABELLED.items():
        by_tissue[list(tissues)] = STRUCTURES[name]
    structure = np.where(canvas.labels > 0, canvas.labels, by_tissue[canvas.tissue])
    coverage = np.round(255 * canvas.coverage).astype(np.uint8)
    volume = np.stack([canvas.tissue, canvas.neighbour, coverage, structure])  # 4 x X x Y x Z, x to the right
    return np.ascontiguousarray(volume[:, ::-1, ::-1].transpose(3, 0, 2, 1))
