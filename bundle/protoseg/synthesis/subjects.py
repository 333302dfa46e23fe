"""Pools of synthetic subjects on disk: people, worlds of random shapes, and pictures, to be imaged at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from protoseg.errors import InputError
from protoseg.ops.disk_cache import array_file, cached_array
from protoseg.ops.hashing import fingerprint
from protoseg.ops.parallel import map_in_processes
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.region import Region
from protoseg.synthesis.anatomy.regions import REGIONS
from protoseg.synthesis.anatomy.scan import paint_scan
from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.pictures.paint import paint_picture
from protoseg.synthesis.shapes.paint import paint_shapes

__all__ = [
    "BACKDROP",
    "FRAME",
    "KINDS",
    "SLICES",
    "STRUCTURES",
    "Box",
    "Subject",
    "anatomical_maps",
    "load_subjects",
    "structure_values",
]

FRAME = 216  # rows and columns of the maps
SLICES = 40  # of a person
# mm in the plane and between slices, so that the frame holds the region
SPACINGS = {"abdomen": (1.8, 6.0), "chest": (2.0, 6.0), "pelvis": (2.0, 6.0), "head": (1.2, 4.5)}
ROWS = 168  # of a person's slice; the rest of the frame stays air
PICTURES = ("skin", "polyp", "ultrasound")
KINDS = (*REGIONS, "shapes", *PICTURES)
"""What there are subjects of."""
TURNABLE = ("skin", "polyp")  # pictures that a camera may show from any side
MEMBERS = 4  # of a world of shapes

BY_TISSUE: dict[str, tuple[Tissue, ...]] = {
    "subcutaneous_fat": (Tissue.SKIN, Tissue.SUBCUTANEOUS_FAT),
    "visceral_fat": (Tissue.VISCERAL_FAT,),
    "muscle": (Tissue.MUSCLE,),
    "other_bone": (Tissue.CARTILAGE, Tissue.CORTICAL_BONE, Tissue.SPONGY_BONE, Tissue.DISC, Tissue.TOOTH),
    "spinal_canal": (Tissue.SPINAL_CANAL,),
    "heart": (Tissue.HEART,),
    "vessels": (Tissue.ARTERY, Tissue.VEIN, Tissue.PORTAL_VEIN),
    "adrenals": (Tissue.ADRENAL,),
    "renal_pelvis": (Tissue.CYST,),
    "gut": (Tissue.GUT_WALL, Tissue.GUT_FLUID, Tissue.STOOL, Tissue.GAS),
    "breasts": (Tissue.BREAST,),
    "glands": (Tissue.THYROID, Tissue.SALIVARY_GLAND),
    "mucosa": (Tissue.MUCOSA,),
    "gray_matter": (Tissue.GRAY_MATTER,),
    "white_matter": (Tissue.WHITE_MATTER,),
    "cerebrospinal_fluid": (Tissue.CEREBROSPINAL_FLUID,),
    "orbits": (Tissue.VITREOUS, Tissue.LENS),
}
"""Tissues that are structures of their own wherever no organ's label is."""

_LABELS = [name for region in REGIONS.values() for name in region.labels]
_SHAPES = [f"shape_{number}" for number in range(1, 15)]
_NAMES = dict.fromkeys([*_LABELS, *BY_TISSUE, *_SHAPES, "lesion", "lesion_vessel"])

STRUCTURES: dict[str, int] = {name: value for value, name in enumerate(_NAMES, start=1)}
"""Name and value of everything that is told apart; 0 is air and what lies in it."""

BACKDROP: list[int] = [0, *(STRUCTURES[name] for name in BY_TISSUE)]
"""Values of what nobody asks for by name."""


class Box(NamedTuple):
    """Rows and columns that the body takes up over the whole scan, in pixels, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Subject:
    """One person, one member of a world of shapes, or one picture.

    Its slices stay on disk and are memory-mapped when read.
    """

    file: Path
    body: Box
    count: int
    """Slices, counted from the feet."""
    kind: str
    """One of `KINDS`."""
    world: int = 0
    """Subjects of one kind and one world show the same structures."""

    @property
    def colored(self) -> bool:
        """Whether its maps are a picture's."""
        return self.kind in PICTURES

    @property
    def upright(self) -> bool:
        """Whether up and down mean something in it."""
        return self.kind not in TURNABLE

    def slice(self, index: int) -> NDArray[np.uint8]:
        """Read one axial slice as maps (4, FRAME, FRAME): anterior at the top, the patient's right at the left.

        Of people and shapes: tissue; the lesser tissue of a pixel that a surface runs through; the first one's
        share in 255ths; and the structure, a value of `STRUCTURES`. Of pictures: red, green, blue; structure.
        """
        maps = np.load(self.file, mmap_mode="r")[index]
        if maps.shape[1:] == (FRAME, FRAME):
            return maps
        framed = np.zeros((4, FRAME, FRAME), dtype=np.uint8)
        framed[:, : maps.shape[1], : maps.shape[2]] = maps
        return framed


def load_subjects(counts: Mapping[str, int], folder: Path, *, seed: int, workers: int = 0) -> dict[str, list[Subject]]:
    """Open some subjects of each kind; those that are not in `folder` yet are painted and stored.

    Every file is kept as soon as it is made: when interrupted, the next call goes on from there.
    `workers` processes share the work; with 0 it is done in this one.

    Raises:
        InputError: a kind is unknown, or has fewer subjects than a pair needs.
    """
    for kind, count in counts.items():
        if kind not in KINDS:
            raise InputError(f"There are no subjects of the kind {kind!r}; expected some of {', '.join(KINDS)}.")
        if count < 2:
            raise InputError(f"subjects: {kind} is {count}; an episode takes two of them, so ask for at least 2.")
    jobs = [job for kind, count in counts.items() for job in _jobs(kind, count, seed)]
    open_subject = partial(_open, folder=folder)
    missing = [job for job in jobs if not array_file(folder, job.key).exists()]
    map_in_processes(open_subject, missing, workers=workers, description="Painting subjects", unit="subject")
    subjects: dict[str, list[Subject]] = {kind: [] for kind in counts}
    for job in jobs:
        subjects[job.kind].append(_open(job, folder))
    return subjects


class _Job(NamedTuple):
    kind: str
    seed: int
    member: int

    @property
    def key(self) -> str:
        """Name of the file of maps."""
        digits = fingerprint(FRAME, SLICES, SPACINGS.get(self.kind), STRUCTURES)
        return f"{self.kind}-{self.seed}-{self.member}-{digits}"


def _jobs(kind: str, count: int, seed: int) -> list[_Job]:
    """The first so many of a kind; more of them begin with the same ones."""
    members = MEMBERS if kind == "shapes" else 1
    sequence = np.random.SeedSequence([seed, *kind.encode()])
    seeds: Sequence[int] = sequence.generate_state(-(-count // members)).tolist()
    return [_Job(kind, seeds[number // members], number % members) for number in range(count)]


def _open(job: _Job, folder: Path) -> Subject:
    paint: Callable[[], NDArray[np.uint8]] = partial(_paint, job)
    maps = cached_array(folder, job.key, paint)
    body = Box(0, FRAME, 0, FRAME)
    if job.kind in REGIONS:
        solid = maps[:, 0] >= Tissue.SKIN
        rows, columns = np.flatnonzero(solid.any((0, 2))), np.flatnonzero(solid.any((0, 1)))
        body = Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    world = job.seed if job.kind == "shapes" else 0
    return Subject(array_file(folder, job.key), body, len(maps), job.kind, world)


def _paint(job: _Job) -> NDArray[np.uint8]:
    """Maps (S, 4, H, W) as `Subject.slice` gives them."""
    if job.kind in REGIONS:
        return _paint_person(job.kind, job.seed)
    if job.kind == "shapes":
        return structure_values(paint_shapes(job.seed, job.member, shape=(FRAME, FRAME)), _SHAPES[0])
    return structure_values(paint_picture(job.seed, kind=job.kind, size=FRAME)[None], "lesion")


def structure_values(maps: NDArray[np.uint8], first: str) -> NDArray[np.uint8]:
    """Number the structures of maps (S, 4, H, W), 1 and up, as `STRUCTURES` does from the name `first` on."""
    named = maps.copy()
    named[:, 3][maps[:, 3] > 0] += np.uint8(STRUCTURES[first] - 1)
    return named


def _paint_person(kind: str, seed: int) -> NDArray[np.uint8]:
    region = REGIONS[kind]
    pixel, thickness = SPACINGS[kind]
    spacing = (pixel, pixel, thickness)
    canvas, _ = paint_scan(seed, shape=(FRAME, ROWS, SLICES), spacing=spacing, table=True, region=region)
    volume = anatomical_maps(canvas, region)
    return np.ascontiguousarray(volume[:, ::-1, ::-1].transpose(3, 0, 2, 1))


def anatomical_maps(canvas: Canvas, region: Region) -> NDArray[np.uint8]:
    """Stack the content of a canvas as maps (4, X, Y, Z), in the order of `Subject.slice`; x grows to the right."""
    by_tissue = np.zeros(len(Tissue), dtype=np.uint8)
    for name, tissues in BY_TISSUE.items():
        by_tissue[list(tissues)] = STRUCTURES[name]
    by_label = np.zeros(1 + max(region.labels.values()), dtype=np.uint8)
    for name, value in region.labels.items():
        by_label[value] = STRUCTURES[name]
    structure = np.where(canvas.labels > 0, by_label[canvas.labels], by_tissue[canvas.tissue])
    coverage = np.round(255 * canvas.coverage).astype(np.uint8)
    return np.stack([canvas.tissue, canvas.neighbour, coverage, structure])
