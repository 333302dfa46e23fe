"""Aorta, vena cava and their branches, the portal tree, and the twigs in the mesentery."""

import numpy as np

from protoseg.synthesis.anatomy.abdomen.labels import ABDOMEN_LABELS
from protoseg.synthesis.anatomy.abdomen.organs import CAVITY
from protoseg.synthesis.anatomy.abdomen.trunk import by_spine
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_branches", "paint_great_vessels", "paint_liver_vessels", "paint_mesentery"]

SOFT = CAVITY | {Tissue.MUSCLE}


def paint_great_vessels(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the aorta left and the vena cava right of the midline in front of the spine, down to the iliac vessels."""
    wide = rng.uniform(0.88, 1.15)
    aorta = [by_spine(-22, 16, 200), by_spine(-18, 24, 130), by_spine(-8, 29, 60)]
    aorta += [by_spine(-7, 28, 0), by_spine(-4, 28, -60), by_spine(-2, 28, -92)]
    box, distance = canvas.tube(aorta, [r * wide for r in (13, 12.5, 11.5, 10, 9, 8.5)])
    canvas.paint(box, distance, Tissue.ARTERY, label=ABDOMEN_LABELS["aorta"])
    for side in (-1, 1):
        start = by_spine(-2 + side * 3, 27, -92)
        box, iliac = canvas.tube([start, (side * 20, -4, -118), (side * 38, 0, -150)], [6, 5.5, 5])
        canvas.paint(box, iliac, Tissue.ARTERY)
        start = by_spine(16 + side * 4, 24, -104)
        box, iliac = canvas.tube([start, (8 + side * 22, -12, -126), (side * 46, -8, -155)], [8, 7, 6.5])
        canvas.paint(box, iliac, Tissue.VEIN, over=SOFT)
    cava = [by_spine(17, 25, -104), by_spine(18, 26, -40), by_spine(21, 30, 20)]
    cava += [by_spine(25, 36, 80), by_spine(24, 44, 125), (18, -4, 150)]
    width = rng.uniform(0.85, 1.15)
    box, distance = canvas.tube(cava, [r * width for r in (9.5, 10.5, 11.5, 12.5, 13, 13)])
    canvas.paint(box, distance, Tissue.VEIN, label=ABDOMEN_LABELS["vena_cava"], over=SOFT | {Tissue.LIVER})


def paint_branches(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint renal vessels, celiac trunk, superior mesenteric artery and vein, splenic and portal vein."""
    hilum = 42.0
    courses = (
        (Tissue.VEIN, [(18, -2, -8), (32, -14, -12), (hilum + 6, -24, -14)], 4.5),
        (Tissue.VEIN, [(14, 2, 2), (-12, 12, 4), (-30, -8, 2), (-hilum - 6, -24, 0)], 4.5),
        (Tissue.ARTERY, [(0, -8, -4), (24, -18, -10), (hilum + 6, -26, -16)], 3.0),
        (Tissue.ARTERY, [(-14, -8, -4), (-28, -18, -4), (-hilum - 6, -26, -2)], 3.0),
        (Tissue.ARTERY, [(-8, -2, 34), (-7, 14, 36), (-24, 16, 38), (-60, -6, 50), (-84, -18, 58)], 3.0),
        (Tissue.ARTERY, [(-8, -2, 36), (-6, 14, 38), (14, 14, 40), (30, 8, 50)], 2.8),
        (Tissue.ARTERY, [(-7, -2, 16), (-6, 16, 8), (-4, 22, -30), (-2, 26, -80)], 3.6),
        (Tissue.PORTAL_VEIN, [(10, 12, 12), (9, 24, -10), (8, 28, -45), (6, 30, -85)], 5.2),
        (Tissue.PORTAL_VEIN, [(10, 12, 14), (-14, 12, 22), (-50, -8, 38), (-84, -20, 60)], 4.6),
        (Tissue.PORTAL_VEIN, [(10, 12, 12), (20, 10, 30), (32, 6, 50)], 7.0),
    )
    for tissue, path, radius in courses:
        points = np.add(path, rng.normal(0, 1.5, (len(path), 3)))
        box, distance = canvas.tube(points, [radius] * len(path), step=6)
        canvas.paint(box, distance, tissue, over=CAVITY)


def paint_liver_vessels(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint three hepatic veins that meet at the vena cava, and the portal tree between them."""
    confluence = (24, -2, 116)
    for tip in ((118, -20, 72), (70, 50, 60), (-30, 50, 92), (100, 40, 88), (84, -40, 90)):
        _paint_vein(canvas, rng, Tissue.VEIN, confluence, tip, radii=(5.5, 1.5))
    hilum, fork, umbilical = (32, 6, 50), (58, -2, 56), (10, 36, 78)
    _paint_vein(canvas, rng, Tissue.PORTAL_VEIN, hilum, fork, radii=(7, 5.5))
    _paint_vein(canvas, rng, Tissue.PORTAL_VEIN, hilum, umbilical, radii=(5.5, 4.5))
    for tip in ((112, 20, 42), (104, -38, 50), (94, 30, 92), (98, -34, 86), (80, 30, 30)):
        _paint_vein(canvas, rng, Tissue.PORTAL_VEIN, fork, tip, radii=(4.5, 1.5))
    for tip in ((-40, 56, 88), (-26, 40, 100), (30, 60, 84)):
        _paint_vein(canvas, rng, Tissue.PORTAL_VEIN, umbilical, tip, radii=(4, 1.2))


def _paint_vein(
    canvas: Canvas,
    rng: np.random.Generator,
    tissue: Tissue,
    start: tuple[int, int, int],
    tip: tuple[int, int, int],
    *,
    radii: tuple[float, float],
) -> None:
    end = np.add(tip, rng.normal(0, 7, 3))
    middle = 0.5 * np.add(start, end) + rng.normal(0, 5, 3)
    box, distance = canvas.tube(
        np.stack([np.asarray(start), middle, end]), [radii[0], 0.7 * radii[0], radii[1]], step=6
    )
    canvas.paint(box, distance, tissue, label=None, over={Tissue.LIVER})


def paint_mesentery(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint thin vessels that fan out from the mesenteric root through the fat."""
    for _ in range(26):
        root = np.array([4, 26, rng.uniform(-70, 0)])
        tip = root + rng.normal(0, 1, 3) * (42, 12, 26) + (0, 14, -12)
        path = np.stack([root, 0.5 * (root + tip) + rng.normal(0, 6, 3), tip])
        box, distance = canvas.tube(path, [2.0, 1.6, 1.0], step=9)
        tissue = Tissue.PORTAL_VEIN if rng.random() < 0.6 else Tissue.ARTERY
        canvas.paint(box, distance, tissue, over=CAVITY)
