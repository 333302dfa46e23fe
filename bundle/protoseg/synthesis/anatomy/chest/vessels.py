"""The great vessels: aorta and arch, both venae cavae, and the vessels of neck, arms and hila."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.chest.frame import by_spine
from protoseg.synthesis.anatomy.chest.labels import CHEST_LABELS
from protoseg.synthesis.anatomy.chest.mediastinum import paint_tube
from protoseg.synthesis.anatomy.chest.shoulders import Arms
from protoseg.synthesis.anatomy.shapes import Point
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_aorta", "paint_chest_veins", "paint_pulmonary_vessels"]


def paint_aorta(canvas: Canvas, rng: np.random.Generator, *, arms: Arms) -> None:
    """Paint the aorta from the left ventricle over the arch, with its three branches, and down beside the spine."""
    wide, high = rng.uniform(0.85, 1.2), rng.normal(0, 5)
    x, y = rng.normal(0, 2, 2)
    course = [(-8, 18, -70), (4, 26, -52), (14, 27, -30), (15 + x, 24 + y, -2), (9 + x, 14 + y, 21 + high)]
    course += [(-4 + x, 0, 29 + high), (-16, -18, 27 + high), (-24, -38, 13 + 0.5 * high)]
    course += [by_spine(-24, 9, -14), by_spine(-23, 10, -60), by_spine(-18, 18, -120), by_spine(-14, 25, -165)]
    course += [by_spine(-8, 29, -215), by_spine(-7, 28, -270)]
    radii = [15, 16.5, 15.5, 15, 14, 13, 12.5, 12, 12, 11.5, 11.5, 11.5, 11, 10.5]
    branches = (
        ([(4 + x, 6, 32 + high), (14, 3, 50), (24, -2, 72), (27, -1, 100), (28, 4, 170)], 5.0),
        ([(-7, -6, 32 + high), (-18, -5, 55), (-25, -2, 80), (-28, 0, 110), (-28, 5, 170)], 3.8),
        ([(-15, -18, 32 + high), (-25, -21, 55), (-36, -16, 80), (-66, -4, 84), *_to_arm(arms, -1, -6)], 4.6),
        ([(16, 3, 56), (34, -10, 78), (66, -4, 84), *_to_arm(arms, 1, -6)], 4.4),
    )
    for path, radius in branches:
        paint_tube(canvas, path, [radius] * len(path), Tissue.ARTERY, firm=True)
    paint_tube(canvas, course, [r * wide for r in radii], Tissue.ARTERY, label=CHEST_LABELS["aorta"], firm=True)


def paint_chest_veins(canvas: Canvas, rng: np.random.Generator, *, arms: Arms, blood: Tissue) -> None:
    """Paint the superior vena cava with the veins that join it, azygos, and the inferior vena cava up to the heart."""
    wide = rng.uniform(0.85, 1.2)
    brachiocephalic = (
        [(31, 13, 24), (31, 22, 42), (36, 20, 58), (38, 8, 84), (40, 6, 120), (40, 10, 170)],
        [(31, 13, 22), (12, 33, 34), (-14, 33, 44), (-36, 22, 58), (-38, 8, 84), (-40, 6, 120), (-40, 10, 170)],
    )
    for path in brachiocephalic:
        paint_tube(canvas, path, [7.5 * wide] * 3 + [6.0 * rng.uniform(0.7, 1.5)] * (len(path) - 3), blood, firm=True)
    for side in (-1, 1):
        subclavian = [(side * 36, 21, 58), (side * 66, 14, 66), *_to_arm(arms, side, 6)]
        paint_tube(canvas, subclavian, [5.5 * wide] * len(subclavian), blood, firm=True)
    azygos = [by_spine(6, 20, -190), by_spine(9, 19, -100), by_spine(11, 18, -20)]
    azygos += [(20, -36, 2), (30, -12, 8), (32, 4, 4)]
    paint_tube(canvas, azygos, [3, 3.5, 4, 4, 4, 4], Tissue.VEIN)
    course = [(32, 13, 26), (33, 12, 5), (33, 12, -25), (30, 14, -60)]
    radii = [r * wide for r in (8.5, 9, 9.5, 10)]
    paint_tube(canvas, course, radii, blood, label=CHEST_LABELS["superior_vena_cava"])
    lower = [(26, 18, -112), (25, 2, -126), (25, -8, -145), by_spine(25, 36, -185), by_spine(21, 30, -245)]
    radii = [r * wide for r in (12, 12, 12.5, 12, 11.5)]
    box, distance = canvas.tube(lower, radii, step=10)
    over = {Tissue.VISCERAL_FAT, Tissue.MUSCLE, Tissue.LIVER, Tissue.LUNG}
    canvas.paint(box, distance, Tissue.VEIN, label=CHEST_LABELS["vena_cava"], over=over)


def paint_pulmonary_vessels(canvas: Canvas, rng: np.random.Generator, *, blood: Tissue) -> None:
    """Paint the pulmonary artery, from the right ventricle to both hila, and the four pulmonary veins."""
    wide = rng.uniform(0.88, 1.2)
    label = CHEST_LABELS["pulmonary_artery"]
    trunk = [(-24, 47, -62), (-27, 38, -42), (-25, 18, -24), (-22, 8, -18)]
    right = [(-20, 14, -22), (-2, 4, -23), (18, -3, -27), (38, -9, -31), (52, -18, -44)]
    left = [(-25, 14, -21), (-33, -4, -14), (-42, -18, -15), (-50, -30, -28), (-54, -38, -50)]
    veins = (
        [(26, -4, -58), (40, 2, -46), (58, 6, -34)],
        [(24, -14, -74), (42, -24, -80), (62, -40, -90)],
        [(-32, -4, -56), (-46, 4, -42), (-62, 10, -28)],
        [(-32, -16, -72), (-48, -28, -78), (-66, -44, -88)],
    )
    for path in veins:
        paint_tube(canvas, path, [7, 6, 4.5], Tissue.ARTERY, bed=0.5)
    for path, radii in ((right, [12, 11.5, 11, 9.5, 7]), (left, [12, 12, 11.5, 9.5, 7]), (trunk, [14, 14, 14, 12])):
        paint_tube(canvas, path, [r * wide for r in radii], blood, label=label, bed=0.5)


def _to_arm(arms: Arms, side: int, forwards: float) -> list[Point]:
    """Over the first rib, through the armpit, along the humerus."""
    head, elbow = np.asarray(arms.head), np.asarray(arms.elbow)
    pit = (0.68 * head[0], 6 + forwards, 0.5 * (74 + head[2]))
    inner = np.add(head, (-22, 12 + forwards, -16))
    arm = np.add(head + 0.4 * (elbow - head), (-18, 10, 0))
    return [(side * float(px), float(py), float(pz)) for px, py, pz in (pit, inner, arm)]
