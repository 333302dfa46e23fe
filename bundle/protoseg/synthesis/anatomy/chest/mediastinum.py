"""The fat between the lungs, in which everything there is embedded."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from protoseg.synthesis.anatomy.canvas import Box, Canvas
from protoseg.synthesis.anatomy.chest.frame import spine_y
from protoseg.synthesis.anatomy.chest.wall import Chest
from protoseg.synthesis.anatomy.shapes import Array, SmoothNoise, ellipsoid
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["SOFT", "paint_mediastinum", "paint_tube"]

SOFT = {Tissue.LUNG, Tissue.VISCERAL_FAT, Tissue.SUBCUTANEOUS_FAT}


def paint_tube(
    canvas: Canvas,
    path: ArrayLike,
    radii: Sequence[float],
    tissue: Tissue,
    *,
    label: int = 0,
    bed: float = 1.5,
    firm: bool = False,
) -> tuple[Box, Array]:
    """Paint a tube over fat and lung, in `bed` mm of fat where lung was; `firm` displaces muscle too.

    Returns the box of the tube and the distance to it.
    """
    box, distance = canvas.tube(path, radii, step=10)
    canvas.paint(box, distance - bed, Tissue.VISCERAL_FAT, over={Tissue.LUNG})
    canvas.paint(box, distance, tissue, label=label, over=SOFT | {Tissue.MUSCLE} if firm else SOFT)
    return box, distance


def paint_mediastinum(canvas: Canvas, chest: Chest, rng: np.random.Generator, *, fatness: float) -> None:
    """Paint a sheet from spine to sternum, thin before the arch, wide at the top; with thymus and lymph nodes."""
    box = canvas.box((-70, -110, -170), (70, 110, 130))
    x, y, z = canvas.coordinates(box)
    top = 1 / (1 + np.exp(np.clip((38 - z) / 8, -30, 30)))
    thymus = np.exp(-(((z - 5) / 30) ** 2))
    forwards = np.clip((y - spine_y(z) - 20) / 70, 0, 1)
    behind, before = 11 + 2 * fatness + 15 * top, 3 + 4 * (1 + fatness) * thymus + 17 * top
    half = behind + (before - behind) * forwards + 2.0 * canvas.noise(SmoothNoise(rng, 30.0), box)
    sheet = np.maximum(np.abs(x - rng.normal(-3, 3)) - half, chest.cavity[box])
    canvas.paint(box, sheet, Tissue.VISCERAL_FAT, over={Tissue.LUNG})
    for _ in range(rng.integers(4, 12)):
        centre = (rng.normal(2, 14), rng.uniform(-34, 10), rng.uniform(-35, 45))
        size = rng.uniform(2.5, 6)
        spot = canvas.around(centre, (size, size, 1.4 * size))
        node = ellipsoid(*canvas.coordinates(spot), centre=centre, radii=(size, size, 1.4 * size))
        canvas.paint(spot, node, Tissue.ADRENAL, over={Tissue.VISCERAL_FAT})
