"""The lungs: their lobes' fissures and the trees of vessels that end in a fine mesh."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.chest.labels import CHEST_LABELS
from protoseg.synthesis.anatomy.chest.wall import Chest
from protoseg.synthesis.anatomy.shapes import Array, SmoothNoise
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_lung_vessels", "paint_lungs"]

LUNG = {Tissue.LUNG}


def paint_lungs(canvas: Canvas, chest: Chest, rng: np.random.Generator) -> None:
    """Fill the chest above the diaphragm; structures between the lungs are painted over them later."""
    everywhere = canvas.everywhere
    x, y, z = canvas.coordinates(everywhere)
    space = np.maximum(chest.cavity + 1.5, -chest.diaphragm)
    over = {Tissue.VISCERAL_FAT, Tissue.MUSCLE}
    canvas.paint(everywhere, np.maximum(space, -x), Tissue.LUNG, label=CHEST_LABELS["right_lung"], over=over)
    canvas.paint(everywhere, np.maximum(space, x), Tissue.LUNG, label=CHEST_LABELS["left_lung"], over=over | LUNG)
    unevenness = 4 * canvas.noise(SmoothNoise(rng, 50.0), everywhere)
    for side, height in ((1, rng.normal(-20, 6)), (-1, rng.normal(-16, 6))):
        oblique = 0.82 * (z - height) + rng.uniform(0.5, 0.62) * (y + 20) + unevenness
        _paint_sheet(canvas, np.maximum(np.abs(oblique), 1 - side * x))
        if side > 0:
            horizontal = z + 26 + 0.12 * (y - 20) + unevenness
            _paint_sheet(canvas, np.maximum(np.abs(horizontal), np.maximum(-oblique, 1 - x)))


def _paint_sheet(canvas: Canvas, distance: Array) -> None:
    """Paint the double pleura of a fissure: far thinner than a voxel, so it only tints the lung."""
    canvas.paint(canvas.everywhere, distance + 0.3 * canvas.pixel, Tissue.MUSCLE, label=None, over=LUNG)


def paint_lung_vessels(canvas: Canvas, rng: np.random.Generator, *, blood: Tissue) -> None:
    """Paint arteries and veins that fork on their way from the hilum to the lung's surface."""
    for side in (-1, 1):
        for number in range(34):
            root = np.array([side * 50, -24, -40]) + rng.normal(0, 4, 3) * (1, 1, 4)
            polar, turn = rng.uniform(-1, 1), rng.uniform(-0.75, 0.75) * np.pi
            flat = np.sqrt(1 - polar * polar)
            reach = np.array([side * flat * np.cos(turn), flat * np.sin(turn), polar]) * (66, 78, 125)
            tip = np.array([side * 58, -8, -38]) + reach
            if side * tip[0] < 20:
                continue
            tissue = blood if number % 2 else Tissue.ARTERY
            _paint_fork(canvas, rng, tissue, root, tip, radius=rng.uniform(2.8, 5.0))
    _paint_tissue(canvas, rng)


def _paint_tissue(canvas: Canvas, rng: np.random.Generator) -> None:
    """Tint the lung: a mesh of vessels finer than a voxel, and more blood at the back of a person lying down."""
    _, y, _ = canvas.coordinates(canvas.everywhere)
    strands = [np.abs(canvas.noise(SmoothNoise(rng, 11.0), canvas.everywhere)) for _ in range(2)]
    mesh = np.clip(0.45 - 1.4 * np.hypot(*strands), 0, 0.4)
    blood = rng.uniform(0, 0.12) * np.clip((30 - y) / 110, 0, 1)
    share = (mesh + blood).astype(np.float32)
    canvas.paint(canvas.everywhere, (0.5 - share) * canvas.pixel, Tissue.VEIN, label=None, over=LUNG)


def _paint_fork(
    canvas: Canvas, rng: np.random.Generator, tissue: Tissue, root: Array, tip: Array, *, radius: float
) -> None:
    """A bent stem and two twigs that leave it half-way."""
    middle = 0.55 * root + 0.45 * tip + rng.normal(0, 6, 3)
    length = float(np.linalg.norm(tip - middle))
    twigs = [tip + rng.normal(0, 0.42, 3) * length for _ in range(2)]
    paths = [([root, middle, tip], [radius, 0.62 * radius, 0.5])]
    paths += [
        ([middle, 0.5 * (middle + twig) + rng.normal(0, 4, 3), twig], [0.55 * radius, 0.4 * radius, 0.4])
        for twig in twigs
    ]
    for path, radii in paths:
        box, distance = canvas.tube(np.stack(path), radii, step=18)
        canvas.paint(box, distance, tissue, label=None, over=LUNG)
