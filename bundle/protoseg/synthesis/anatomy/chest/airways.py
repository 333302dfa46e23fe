"""The tubes of neck and chest: trachea and bronchi, esophagus, and the thyroid on the trachea."""

from collections.abc import Sequence

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.chest.frame import by_spine
from protoseg.synthesis.anatomy.chest.labels import CHEST_LABELS
from protoseg.synthesis.anatomy.chest.mediastinum import SOFT, paint_tube
from protoseg.synthesis.anatomy.shapes import Point, SmoothNoise, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_airways", "paint_oesophagus", "paint_thyroid"]

CARINA = (3.0, -25.0, 0.0)  # mm: where the trachea forks


def paint_airways(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint trachea and main bronchi, which carry the label, and the lobar bronchi, which do not."""
    label, calibre = CHEST_LABELS["trachea"], rng.uniform(0.82, 1.12)
    sway = rng.normal(0, 3)
    trachea = [by_spine(0, 31, 175), by_spine(sway / 2, 31, 110), by_spine(2 + sway, 31, 50), CARINA]
    right = [CARINA, (18, -28, -13), (34, -30, -24), (42, -32, -38)]
    left = [CARINA, (-14, -29, -12), (-32, -33, -23), (-46, -36, -33)]
    branches = (
        ([right[2], (46, -30, -16), (60, -30, -4), (76, -34, 14)], [5.5, 4.5, 3.5, 2.2]),
        ([right[3], (46, -34, -58), (54, -46, -84), (66, -60, -124)], [5.5, 5, 4, 2.2]),
        ([right[3], (48, -20, -60), (62, 2, -72), (78, 24, -82)], [4.5, 4, 3, 2]),
        ([left[3], (-56, -28, -26), (-68, -12, -10), (-76, -2, 18)], [5, 4.2, 3.2, 2.2]),
        ([left[3], (-52, -42, -58), (-60, -50, -84), (-70, -62, -124)], [5.5, 5, 4, 2.2]),
        ([(-56, -28, -26), (-66, -4, -40), (-78, 20, -56)], [4, 3, 2]),
    )
    for path, radii in branches:
        _paint_bronchus(canvas, path, radii)
    for path, radii in ((right, [7.8, 7.2, 6.8, 6.2]), (left, [7.4, 6.6, 6.2, 6.0]), (trachea, [9.5] * 4)):
        radii = [calibre * radius for radius in radii]
        box, distance = paint_tube(canvas, path, radii, Tissue.GUT_WALL, label=label, firm=True)
        canvas.paint(box, distance + 1.8, Tissue.GAS, label=label, over={Tissue.GUT_WALL, Tissue.GAS})


def _paint_bronchus(canvas: Canvas, path: Sequence[Point], radii: Sequence[float]) -> None:
    """A thin-walled airway inside the lung, which it belongs to."""
    box, distance = canvas.tube(path, radii, step=10)
    canvas.paint(box, distance, Tissue.GUT_WALL, label=None, over={Tissue.LUNG})
    canvas.paint(box, distance + 1, Tissue.GAS, label=None, over={Tissue.GUT_WALL, Tissue.GAS})


def paint_oesophagus(canvas: Canvas, rng: np.random.Generator, *, depth: float) -> None:
    """Paint the esophagus between trachea and spine, in front of the aorta, and through the diaphragm to the stomach.

    `depth` is that of the abdomen's origin, in mm, which says where the stomach is.
    """
    neck = [by_spine(-3, 19, 175), by_spine(-5, 18, 110), by_spine(-8, 18, 50)]
    chest = [
        by_spine(-6, 20, 0),
        by_spine(-4, 22, -40),
        (-10, -37, 190 - depth),
        (-13, -28, 160 - depth),
        (-14, -11, 130 - depth),
        (-30, -8, 106 - depth),
    ]
    size = rng.uniform(0.8, 1.2)
    box, distance = canvas.tube(neck + chest, [6 * size, 6 * size, 7 * size, *[7 * size] * 5, 8])
    distance += 0.8 * canvas.noise(SmoothNoise(rng, 20.0), box)
    label = CHEST_LABELS["oesophagus"]
    canvas.paint(box, distance - 3, Tissue.VISCERAL_FAT, over={Tissue.LUNG})
    over = SOFT | {Tissue.MUSCLE, Tissue.GUT_WALL, Tissue.LIVER, Tissue.HEART}
    stomach = canvas.labels[box] == CHEST_LABELS["stomach"]
    canvas.paint(box, np.where(stomach, np.float32(99), distance), Tissue.GUT_WALL, label=label, over=over)
    bubbles = 6 * (rng.uniform(0.2, 1.6) - canvas.noise(SmoothNoise(rng, 24.0), box))
    own = np.where(canvas.labels[box] == label, distance, np.float32(99))
    content = Tissue.GAS if rng.random() < 0.7 else Tissue.GUT_FLUID
    canvas.paint(box, np.maximum(own + 3.5, bubbles), content, label=None, over={Tissue.GUT_WALL})


def paint_thyroid(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint two lobes beside the trachea and the isthmus in front of it, now and then with a cyst."""
    size, height = rng.uniform(0.8, 1.25), rng.uniform(98, 116)
    _, middle_y, _ = by_spine(0, 32, height)
    box = canvas.box((-45, middle_y - 30, height - 40), (45, middle_y + 30, height + 40))
    x, y, z = canvas.coordinates(box)
    lobes = [
        ellipsoid(x, y, z, centre=(side * 18, middle_y, height + 4), radii=(10 * size, 11.5 * size, 24 * size))
        for side in (-1, 1)
    ]
    isthmus = ellipsoid(x, y, z, centre=(0, middle_y + 12, height - 10), radii=(18, 4 * size, 8 * size))
    gland = smooth_union(np.minimum(*lobes), isthmus, 5.0)
    gland += 1.2 * canvas.noise(SmoothNoise(rng, 12.0), box)
    label = CHEST_LABELS["thyroid"]
    canvas.paint(box, gland - 1.5, Tissue.VISCERAL_FAT, over={Tissue.MUSCLE})
    canvas.paint(box, gland, Tissue.THYROID, label=label, over=SOFT | {Tissue.MUSCLE})
    if rng.random() < 0.3:
        spot, radius = (rng.choice([-1, 1]) * 19 * size, middle_y + 2, height + rng.normal(0, 8)), rng.uniform(3, 8)
        cyst = ellipsoid(x, y, z, centre=spot, radii=(radius, radius, radius))
        canvas.paint(box, cyst, Tissue.CYST, label=label, over={Tissue.THYROID})
