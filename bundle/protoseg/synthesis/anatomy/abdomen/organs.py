"""The solid organs of the upper abdomen: liver, gallbladder, spleen, kidneys, pancreas and adrenals."""

import numpy as np

from protoseg.synthesis.anatomy.abdomen.labels import ABDOMEN_LABELS
from protoseg.synthesis.anatomy.abdomen.trunk import Trunk
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import Array, Point, SmoothNoise, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["CAVITY", "paint_gallbladder", "paint_kidneys", "paint_liver", "paint_pancreas", "paint_spleen"]

CAVITY = {Tissue.VISCERAL_FAT}
KIDNEY_X, KIDNEY_Y = 66.0, -27.0


def _varied(rng: np.random.Generator, values: Point, spread: float) -> Point:
    """The values, each moved at random by about `spread` mm."""
    x, y, z = np.add(values, rng.normal(0, spread, 3))
    return float(x), float(y), float(z)


def paint_liver(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    """Paint two lobes molded by diaphragm and wall, hollowed by kidney, hilum and fissure."""
    box = canvas.box((-125, -95, -70), (140, 95, 160))
    x, y, z = canvas.coordinates(box)
    size = rng.uniform(0.95, 1.08)
    right = ellipsoid(x, y, z, centre=_varied(rng, (72, -2, 68), 4), radii=(84 * size, 90 * size, rng.uniform(82, 102)))
    left = ellipsoid(x, y, z, centre=_varied(rng, (2, 45, 90), 4), radii=(rng.uniform(70, 98), 44 * size, 44 * size))
    liver = smooth_union(right, left, 24.0)
    liver += 4.0 * canvas.noise(SmoothNoise(rng, 45.0), box) + 1.3 * canvas.noise(SmoothNoise(rng, 16.0), box)
    lower_edge = rng.uniform(-36, -12) + rng.uniform(0.75, 0.95) * np.maximum(0, 64 - x)
    fissure_x = x + rng.uniform(-0.1, 0.35) * (y - 62) + 2.5 * canvas.noise(SmoothNoise(rng, 24.0), box)
    hollows = (
        (lower_edge - z) * 0.75,
        10 - ellipsoid(x, y, z, centre=(KIDNEY_X, KIDNEY_Y, -12), radii=(27, 25, 52)),
        -ellipsoid(x, y, z, centre=_varied(rng, (2, -14, 24), 4), radii=(47, 43, 42)),
        -ellipsoid(x, y, z, centre=_varied(rng, (-50, -22, 84), 4), radii=(62, 60, 66)),
        -ellipsoid(fissure_x, y, z, centre=_varied(rng, (14, 66, 48), 3), radii=(rng.uniform(1, 3), 28, 34)),
    )
    for hollow in hollows:
        liver = -smooth_union(-liver, -hollow, 8.0)
    liver = np.maximum(liver, np.maximum(trunk.cavity[box] + 2.5, trunk.diaphragm[box] + 3.5))
    canvas.paint(box, liver, Tissue.LIVER, label=ABDOMEN_LABELS["liver"], over=CAVITY)
    for _ in range(rng.choice([0, 0, 0, 1, 2, 3])):
        centre, radius = _varied(rng, (75, 0, 65), 26), rng.uniform(4, 14)
        spot = canvas.around(centre, (radius,) * 3)
        cyst = ellipsoid(*canvas.coordinates(spot), centre=centre, radii=(radius, radius, 0.9 * radius))
        canvas.paint(spot, cyst, Tissue.CYST, label=None, over={Tissue.LIVER})


def paint_gallbladder(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint a pear on the liver's under-side."""
    fullness = rng.uniform(0.8, 1.2)
    neck, body = _varied(rng, (36, 14, 26), 3), _varied(rng, (50, 34, 8), 3)
    fundus = _varied(rng, (58, 52, -14), 4)
    box, distance = canvas.tube([neck, body, fundus], [4, 12 * fullness, 14 * fullness], step=5)
    distance += 0.7 * canvas.noise(SmoothNoise(rng, 14.0), box)
    over = CAVITY | {Tissue.LIVER}
    canvas.paint(box, distance, Tissue.GUT_WALL, label=ABDOMEN_LABELS["gallbladder"], over=over)
    canvas.paint(box, distance + 1.6, Tissue.BILE, label=None, over={Tissue.GUT_WALL})


def paint_spleen(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    """Paint it behind the stomach, against the left flank, hollow towards the middle."""
    centre = _varied(rng, (-98, -30, 72), 4)
    size = rng.uniform(0.97, 1.24)
    radii = (41 * size, 54 * size, rng.uniform(50, 68) * size)
    box = canvas.around(centre, radii)
    x, y, z = canvas.coordinates(box)
    spleen = ellipsoid(x, y, z, centre=centre, radii=radii)
    spleen += 3.0 * canvas.noise(SmoothNoise(rng, 32.0), box) + canvas.noise(SmoothNoise(rng, 12.0), box)
    hollow = -ellipsoid(x, y, z, centre=(-52 + rng.normal(0, 3), 8, 78), radii=(36, 46, 60))
    beside_kidney = 5 - ellipsoid(x, y, z, centre=(-KIDNEY_X, KIDNEY_Y, 0), radii=(27, 25, 52))
    for part in (hollow, beside_kidney):
        spleen = -smooth_union(-spleen, -part, 10.0)
    spleen = np.maximum(spleen, np.maximum(trunk.cavity[box] + 3, trunk.diaphragm[box] + 3.5))
    canvas.paint(box, spleen, Tissue.SPLEEN, label=ABDOMEN_LABELS["spleen"], over=CAVITY)


def paint_kidneys(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint both kidneys, the right one a little lower."""
    for side, label, height in ((1, ABDOMEN_LABELS["right_kidney"], -16.0), (-1, ABDOMEN_LABELS["left_kidney"], 0.0)):
        centre = _varied(rng, (side * KIDNEY_X, KIDNEY_Y, height), 3.5)
        _paint_kidney(canvas, rng, centre=centre, side=side, label=label)


def _paint_kidney(canvas: Canvas, rng: np.random.Generator, *, centre: Point, side: int, label: int) -> None:
    box = canvas.around(centre, (36, 36, 62))
    out, front, up = _kidney_frame(canvas.coordinates(box), centre, side)
    width, depth, length = rng.uniform(25, 30), rng.uniform(23, 28), rng.uniform(48, 58)
    bean = ellipsoid(out, front, up, centre=(0, 0, 0), radii=(width, depth, length))
    bean += 1.5 * canvas.noise(SmoothNoise(rng, 26.0), box) + 0.8 * canvas.noise(SmoothNoise(rng, 11.0), box)
    hilum = ellipsoid(out, front, up, centre=(-width - 3, 0, 0), radii=(13, 11, 17))
    bean = -smooth_union(-bean, hilum, 7.0)
    lumps = canvas.noise(SmoothNoise(rng, 12.0), box)
    sinus = ellipsoid(out, front, up, centre=(-12, 0, 0), radii=(12, 7, 0.42 * length)) + 1.6 * lumps
    over = CAVITY | {Tissue.LIVER, Tissue.SPLEEN}
    canvas.paint(box, bean, Tissue.RENAL_CORTEX, label=label, over=over)
    columns = 3.2 * canvas.noise(SmoothNoise(rng, 10.0), box)
    pyramids = np.maximum(np.maximum(bean + 7.5, 2.5 - sinus), columns - 1.5)
    canvas.paint(box, pyramids, Tissue.RENAL_MEDULLA, label=None, over={Tissue.RENAL_CORTEX})
    parenchyma = {Tissue.RENAL_CORTEX, Tissue.RENAL_MEDULLA}
    canvas.paint(box, sinus, Tissue.VISCERAL_FAT, over=parenchyma)
    pelvis = ellipsoid(out, front, up, centre=(-14, -2, 0), radii=(11, 3.5, 9))
    canvas.paint(box, pelvis, Tissue.CYST, over=CAVITY)
    if rng.random() < 0.3:
        spot = _varied(rng, (0.7 * width, 0, 0), 9)
        cyst = ellipsoid(out, front, up, centre=spot, radii=(rng.uniform(5, 12),) * 3)
        canvas.paint(box, cyst, Tissue.CYST, label=label, over=CAVITY | parenchyma)


def _kidney_frame(coordinates: tuple[Array, Array, Array], centre: Point, side: int) -> tuple[Array, Array, Array]:
    """Axes of a kidney: away from the hilum, forwards, to the upper pole, which leans in and back."""
    x, y, z = (c - m for c, m in zip(coordinates, centre))
    up = np.array([-0.24 * side, -0.2, 1.0])
    up /= np.linalg.norm(up)
    out = np.array([0.85 * side, -0.5, 0.0])
    out -= (out @ up) * up
    out /= np.linalg.norm(out)
    front = np.cross(up, out) * side
    along_out, along_front, along_up = (
        (x * float(a[0]) + y * float(a[1]) + z * float(a[2])).astype(np.float32) for a in (out, front, up)
    )
    return along_out, along_front, along_up


def paint_pancreas(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint a lobulated band from the duodenum to the splenic hilum; the adrenals lie above the kidneys."""
    bulk = rng.uniform(0.85, 1.2)
    path = [(36, 4, -18), (30, 10, 0), (8, 22, 10), (-22, 22, 20), (-52, 2, 34), (-78, -16, 46)]
    radii = np.multiply(bulk, (9, 15, 9, 10.5, 10, 7))
    box, distance = canvas.tube(np.add(path, rng.normal(0, 2.5, (6, 3))), radii)
    distance += 2.6 * canvas.noise(SmoothNoise(rng, 9.0), box)
    distance += 1.5 * canvas.noise(SmoothNoise(rng, 20.0), box)
    canvas.paint(box, distance, Tissue.PANCREAS, label=ABDOMEN_LABELS["pancreas"], over=CAVITY)
    for side in (-1, 1):
        body, apex = _varied(rng, (side * 34, -24, 46), 2), _varied(rng, (side * 31, -12, 52), 2)
        for limb in (-9, 6):
            box, adrenal = canvas.tube([apex, body, (body[0] + limb, body[1] - 14, body[2] - 8)], [3, 3, 2])
            canvas.paint(box, adrenal, Tissue.ADRENAL, over=CAVITY)
