"""Tissue under a microscope: many cells with nuclei, scattered or packed wall to wall."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.pictures.fields import Field, bumps, clouds

__all__ = ["CELL", "NUCLEUS", "OTHER_CELL", "WALL", "paint_cells"]

CELL, NUCLEUS, OTHER_CELL, WALL = 1, 2, 3, 4
SOLID = [tissue for tissue in Tissue if tissue >= Tissue.SKIN]


@dataclass(frozen=True)
class Culture:
    """Common traits of the members of one world; lengths are shares of the slice's edge."""

    tissues: tuple[Tissue, ...]
    """Of what is between the cells, of cell, nucleus, other cell, wall, and of the ground's other texture."""
    distance: float
    """Between neighboring cells."""
    fill: float
    """Radius of a cell as a share of half that distance; packed cells have none."""
    nucleus: float
    """Radius of the nucleus as a share of the cell's; 0 where there is none."""
    wall: float
    """Thickness of the cells' walls; 0 where there are none."""
    packed: bool
    """Whether cells fill the slice, as in electron microscopy."""
    others: float
    """Share of the cells that are of the other kind, which is smaller and has no nucleus."""
    roughness: float


def paint_cells(seed: int, member: int, *, size: int) -> NDArray[np.uint8]:
    """Paint one member of a world: maps (1, 4, size, size) in the order of `Subject.slice`.

    Structures: 1 cells, 2 nuclei, 3 cells of another kind, 4 walls. Members have the same cells at other places.
    """
    culture = _draw_culture(np.random.default_rng(seed))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(member,)))
    depth, seam, own = _draw_places(rng, culture, size)
    other = np.random.default_rng(rng.integers(2**32)).random(own.max() + 1)[own] < culture.others
    radius = 0.5 * culture.fill * culture.distance * np.where(other, 0.65, 1)
    radius = radius * (1 + culture.roughness * bumps(rng, size, 0.4 * culture.distance + 0.01))
    inside = seam > culture.wall / 2 if culture.packed else depth < radius
    nucleus = (depth < culture.nucleus * (0.5 * culture.distance if culture.packed else radius)) & ~other & inside
    wall = ~inside if culture.packed else inside & (depth > radius - culture.wall)
    ground, body, core, second, rim, spots = culture.tissues
    tissue = np.where(clouds(rng, size, 0.2) > 0.8, spots, ground).astype(np.uint8)
    structure = np.zeros((size, size), np.uint8)
    layers = ((inside, body, CELL), (inside & other, second, OTHER_CELL), (nucleus, core, NUCLEUS), (wall, rim, WALL))
    for where, paint, name in layers:
        if name != WALL or culture.wall:
            tissue[where], structure[where] = paint, name
    flat = np.full_like(tissue, 255)
    return np.stack([tissue, tissue, flat, structure])[None]


def _draw_culture(rng: np.random.Generator) -> Culture:
    packed = bool(rng.random() < 0.35)
    palette = tuple(SOLID[k] for k in rng.choice(len(SOLID), 5, replace=False))
    distance = float(np.exp(rng.uniform(np.log(0.05), np.log(0.3))))
    walled = packed or rng.random() < 0.3
    return Culture(
        tissues=(*palette, palette[0] if rng.random() < 0.5 else SOLID[rng.integers(len(SOLID))]),
        distance=distance,
        fill=rng.uniform(0.55, 1.0),
        nucleus=rng.uniform(0.3, 0.75) if rng.random() < 0.6 else 0.0,
        wall=rng.uniform(0.06, 0.2) * distance if walled else 0.0,
        packed=packed,
        others=rng.uniform(0.1, 0.5) if rng.random() < 0.4 else 0.0,
        roughness=rng.uniform(0, 0.2),
    )


def _draw_places(rng: np.random.Generator, culture: Culture, size: int) -> tuple[Field, Field, NDArray[np.intp]]:
    """Measure every pixel's distance to the nearest cell's middle and to its seam; give the cell's number, too."""
    steps = np.arange(-culture.distance, 1 + culture.distance, culture.distance)
    middles = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    middles = middles + rng.uniform(-0.35, 0.35, middles.shape) * culture.distance
    if not culture.packed:
        middles = middles[rng.random(len(middles)) < rng.uniform(0.3, 1)]
    middles = np.concatenate([middles, [[-9, -9], [9, 9]]])  # never fewer than two
    at = (np.arange(size) + 0.5) / size
    y, x = np.meshgrid(at, at, indexing="ij")
    sway = 0.12 * culture.distance
    y, x = y + sway * bumps(rng, size, 0.7 * culture.distance), x + sway * bumps(rng, size, 0.7 * culture.distance)
    stretch = np.exp(rng.normal(0, 0.15))
    points = np.stack([y * stretch, x / stretch], axis=-1).reshape(-1, 2)
    distances, numbers = cKDTree(middles).query(points, k=2)
    nearest, second = distances.T.reshape(2, size, size)
    gap = np.linalg.norm(middles[numbers[:, 0]] - middles[numbers[:, 1]], axis=1).reshape(size, size)
    seam = (second**2 - nearest**2) / (2 * gap)
    return nearest.astype(np.float32), seam.astype(np.float32), numbers[:, 0].reshape(size, size)
