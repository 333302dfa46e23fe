"""Thin branching things: vessels of the retina, bronchi, ducts, nerves and roads of any kind on a ground of regions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.pictures.fields import bumps, outline, plane, strokes, wander

__all__ = ["DISC", "FIELD", "SECOND_TREE", "TREE", "paint_branches"]

TREE, SECOND_TREE, DISC, FIELD = 1, 2, 3, 4
SOLID = [tissue for tissue in Tissue if tissue >= Tissue.SKIN]

Line = tuple[NDArray[np.float64], float]


@dataclass(frozen=True)
class Plant:
    """Common traits of the members of one world; lengths are shares of the slice's edge."""

    tissues: tuple[Tissue, ...]
    """Of the ground, tree, second tree, disc and field."""
    thickness: tuple[float, float]
    """Of the stems of either tree; 0 where there is no second one."""
    bend: float
    fork: float
    """Branches a stem."""
    disc: float
    """Radius of what the trees come out of; 0 where there is none."""
    field: bool
    """Whether all lies in a round field, as in an eye."""
    root: tuple[float, float]


def paint_branches(seed: int, member: int, *, size: int) -> NDArray[np.uint8]:
    """Paint one member of a world: maps (1, 4, size, size) in the order of `Subject.slice`.

    Structures: 1 and 2 trees, 3 the disc that they come out of, 4 the field around. Members branch differently.
    """
    plant = _draw_plant(np.random.default_rng(seed))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(member,)))
    ground, first, second, disc, field = plant.tissues
    tissue = np.full((size, size), ground, np.uint8)
    neighbour, cover = tissue.copy(), np.full((size, size), 255, np.uint8)
    structure = np.zeros((size, size), np.uint8)
    y, x = plane(size)
    root = np.add(plant.root, rng.normal(0, 0.04, 2))
    if plant.field:
        round_field = np.hypot(y - 0.5, x - 0.5) < rng.uniform(0.44, 0.5) + 0.01 * bumps(rng, size, 0.3)
        tissue[round_field], structure[round_field] = field, FIELD
    if plant.disc:
        inside = outline(rng, y, x, centre=root, radius=plant.disc * rng.uniform(0.85, 1.15), roughness=0.05) < 0
        tissue[inside], structure[inside] = disc, DISC
    neighbour[:] = tissue
    for paint, name, thickness in ((second, SECOND_TREE, plant.thickness[1]), (first, TREE, plant.thickness[0])):
        if not thickness:
            continue
        share = strokes(size, _grow(rng, plant, root, thickness))
        if plant.field:
            share = share * round_field
        inside, rim = share >= 0.5, (share > 0) & (share < 0.5)
        neighbour[inside], tissue[inside], structure[inside] = tissue[inside], paint, name
        neighbour[rim] = paint
        cover[inside | rim] = np.round(255 * np.maximum(share, 1 - share))[inside | rim]
    return np.stack([tissue, neighbour, cover, structure])[None]


def _draw_plant(rng: np.random.Generator) -> Plant:
    palette = tuple(SOLID[k] for k in rng.choice(len(SOLID), 5, replace=False))
    stem = float(np.exp(rng.uniform(np.log(0.01), np.log(0.06))))
    return Plant(
        tissues=palette,
        thickness=(stem, stem * rng.uniform(0.6, 1.6) if rng.random() < 0.4 else 0.0),
        bend=rng.uniform(0.3, 2.0),
        fork=rng.uniform(1.2, 3.2),
        disc=rng.uniform(0.04, 0.12) if rng.random() < 0.5 else 0.0,
        field=bool(rng.random() < 0.5),
        root=(rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.9)),
    )


def _grow(rng: np.random.Generator, plant: Plant, root: NDArray[np.float64], thickness: float) -> list[Line]:
    """Draw the strokes of one tree: stems from the root, and branches that fork off ever thinner."""
    lines: list[Line] = []
    stems = int(rng.integers(3, 7))
    turn = rng.uniform(0, 2 * np.pi)
    shoots = [(root, turn + 2 * np.pi * (k + rng.uniform(-0.3, 0.3)) / stems, thickness, 0.8) for k in range(stems)]
    while shoots:
        start, heading, width, length = shoots.pop()
        line = wander(rng, start, heading=heading, length=length * rng.uniform(0.6, 1.2), bend=plant.bend)
        half = len(line) // 2
        lines += [(line[: half + 1], width), (line[half:], 0.8 * width)]
        if width < 0.006 or length < 0.1:
            continue
        for _ in range(rng.poisson(plant.fork)):
            at = int(rng.integers(2, len(line) - 1))
            away = line[at] - line[at - 1]
            side = rng.choice([-1, 1]) * rng.uniform(0.4, 1.1)
            shoots.append((line[at], np.arctan2(away[0], away[1]) + side, 0.65 * width, 0.5 * length))
    return lines
