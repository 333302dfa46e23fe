"""Muscles of pelvis and thigh: iliopsoas, the buttocks, the pelvic floor, and the groups around the femur."""

from itertools import pairwise

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.pelvis.body import FAT, PelvicBody, profile
from protoseg.synthesis.anatomy.pelvis.bones import crest_height, wing_offset
from protoseg.synthesis.anatomy.pelvis.labels import PELVIS_LABELS
from protoseg.synthesis.anatomy.shapes import Array, Point, SmoothNoise, capsule, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_muscles"]

SOFT = FAT | {Tissue.MUSCLE}

# Courses (mm, right side) and radii of the muscles that share the thigh's room.
THIGH: tuple[tuple[tuple[Point, ...], float], ...] = (
    (((104, 36, 34), (112, 46, -20), (108, 46, -120), (104, 42, -240)), 13),  # rectus femoris
    (((118, 48, 76), (104, 56, 20), (84, 52, -60), (62, 40, -150), (48, 20, -240)), 8),  # sartorius
    (((124, 44, 70), (142, 28, 10), (150, 14, -80)), 9),  # tensor fasciae latae
    (((140, 8, -34), (148, 0, -90), (138, 0, -240)), 22),  # vastus lateralis
    (((118, 18, -60), (112, 22, -140), (98, 22, -240)), 18),  # vastus medialis and intermedius
    (((45, 38, 4), (75, 24, -28), (102, -4, -62)), 10),  # pectineus
    (((20, 36, -25), (58, 24, -70), (85, 14, -160), (95, 5, -220)), 15),  # adductor longus and brevis
    (((55, -22, -66), (75, -22, -120), (90, -18, -240)), 24),  # adductor magnus
    (((16, 14, -42), (30, 0, -120), (36, -14, -240)), 8),  # gracilis
    (((64, -48, -66), (84, -60, -120), (86, -56, -240)), 15),  # semitendinosus and semimembranosus
    (((68, -48, -66), (112, -54, -140), (118, -50, -240)), 13),  # biceps femoris
    (((40, 14, -30), (75, -6, -28), (118, -22, -15)), 10),  # obturator externus
    (((78, -40, -40), (112, -26, -42)), 11),  # quadratus femoris
)


def paint_muscles(canvas: Canvas, body: PelvicBody, rng: np.random.Generator, *, fatness: float, woman: bool) -> None:
    """Paint both sides, deep muscles first; the fatter the person, the wider the seams between them."""
    bulk = rng.uniform(0.8, 1.1) - 0.1 * woman
    seam = rng.uniform(0.5, 1.2) + 1.2 * fatness
    for side, name in ((1, "right"), (-1, "left")):
        _paint_thigh(canvas, body, rng, side=side, seam=seam)
        _paint_small_pelvis(canvas, rng, side=side)
        _paint_iliopsoas(canvas, rng, side=side, bulk=bulk)
        _paint_buttock(canvas, body, rng, side=side, bulk=bulk, seam=seam, label=PELVIS_LABELS[f"{name}_gluteus"])
    _paint_floor(canvas)


def _paint_thigh(canvas: Canvas, body: PelvicBody, rng: np.random.Generator, *, side: int, seam: float) -> None:
    """Divide the room under the fascia among the muscles: each takes what is nearest to its course."""
    box = canvas.box(*np.sort([(0, -115, -240), (side * 165, 70, 85)], axis=0))
    x, y, z = canvas.coordinates(box)
    x = side * x
    nearest = np.full(x.shape, 1e3, dtype=np.float32)
    second = nearest.copy()
    for course, radius in THIGH:
        size = radius * rng.uniform(0.9, 1.1)
        rods = [capsule(x, y, z, start=a, end=b, radii=(size, size)) for a, b in pairwise(course)]
        distance = np.minimum.reduce(rods)
        second = np.minimum(second, np.maximum(nearest, distance))
        nearest = np.minimum(nearest, distance)
    wobble = canvas.noise(SmoothNoise(rng, 18.0), box)
    muscle = np.maximum(0.5 * (nearest - second) + seam + 0.4 * wobble, nearest - 10 - 2 * wobble)
    canvas.paint(box, np.maximum(muscle, body.outline[box] + 1.5), Tissue.MUSCLE, over={Tissue.SUBCUTANEOUS_FAT})


def _paint_small_pelvis(canvas: Canvas, rng: np.random.Generator, *, side: int) -> None:
    """Obturator internus lines the small pelvis's side; piriformis leaves it through the notch."""
    centre = (side * 51, -6 + rng.normal(0, 2), -8 + rng.normal(0, 2))
    box = canvas.around(centre, (10, 38, 42))
    internus = ellipsoid(*canvas.coordinates(box), centre=centre, radii=(rng.uniform(9, 12), 38, 42))
    canvas.paint(box, internus, Tissue.MUSCLE, over=FAT)
    course = [(side * 28, -64, 48), (side * 58, -56, 36), (side * 92, -42, 20), (side * 128, -22, 6)]
    box, piriformis = canvas.tube(course, [8, 13, 11, 5])
    canvas.paint(box, piriformis, Tissue.MUSCLE, over=FAT)


def _paint_iliopsoas(canvas: Canvas, rng: np.random.Generator, *, side: int, bulk: float) -> None:
    """Psoas from the lumbar spine and iliacus from the wing, to the lesser trochanter."""
    label = PELVIS_LABELS["psoas"]
    box = canvas.box(*np.sort([(side * 30, -75, 15), (side * 140, 50, 135)], axis=0))
    x, y, z = canvas.coordinates(box)
    x = side * x
    offset, _ = wing_offset(x, y, z)
    thickness = bulk * profile(z, (30, 60, 90, 120), (20, 22, 14, 4))
    iliacus = np.maximum(-offset - thickness, offset)
    iliacus = np.maximum(iliacus, np.maximum(z + 8 - crest_height(y), np.maximum(-48 - y, y - 40)))
    iliacus += 1.2 * canvas.noise(SmoothNoise(rng, 20.0), box)
    canvas.paint(box, np.maximum(iliacus, 18 - z), Tissue.MUSCLE, label=label, over=SOFT)
    course = [(32, -26, 235), (40, -14, 190), (45, -6, 150), (53, 2, 105), (68, 18, 58)]
    course += [(86, 32, 14), (94, 27, -14), (112, -14, -55)]
    radii = np.multiply(bulk, [14, 18, 21, 21, 17, 14, 13, 7])
    path = np.multiply(course, (side, 1, 1)) + rng.normal(0, 1.2, (8, 3))
    box, psoas = canvas.tube(path, radii)
    psoas += canvas.noise(SmoothNoise(rng, 20.0), box)
    canvas.paint(box, psoas - 0.5, Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})
    canvas.paint(box, psoas, Tissue.MUSCLE, label=label, over=SOFT)


def _paint_buttock(
    canvas: Canvas, body: PelvicBody, rng: np.random.Generator, *, side: int, bulk: float, seam: float, label: int
) -> None:
    """Gluteus medius and minimus on the wing's outside, maximus behind them."""
    box = canvas.box(*np.sort([(0, -150, -110), (side * 165, 60, 140)], axis=0))
    x, y, z = canvas.coordinates(box)
    x, outline = side * x, body.outline[box]
    wobble = canvas.noise(SmoothNoise(rng, 22.0), box)
    offset, _ = wing_offset(x, y, z)
    front = y - profile(z, (0, 30, 80), (16, 30, 44))
    depth = profile(z, (-10, 40, 90, 135), (50, 40, 30, 14)) * profile(y, (-80, -55, -20), (0.05, 0.6, 1))
    medius = np.maximum(np.maximum(-offset, offset - bulk * depth), np.maximum(front, z + 3 - crest_height(y)))
    bottom = profile(x, (105, 128), (16, -8)) - z
    medius = np.maximum(np.maximum(medius, outline + 3), np.maximum(bottom, -80 - y))
    canvas.paint(box, medius + wobble, Tissue.MUSCLE, label=label, over=SOFT)
    split = np.abs(offset - 15 - 2 * wobble) - 0.5 * seam
    canvas.paint(box, np.maximum(split, medius + 3), Tissue.SUBCUTANEOUS_FAT, label=None, over={Tissue.MUSCLE})
    maximus = _maximus(x, y, z, outline, bulk=bulk) + 1.5 * wobble
    gap = np.maximum(maximus - 1.5 - seam, outline + 1)
    canvas.paint(box, gap, Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})
    canvas.paint(box, maximus, Tissue.MUSCLE, label=label, over=SOFT)
    streaks = np.hypot(*(canvas.noise(SmoothNoise(rng, scale), box) * scale for scale in (8.0, 12.0))) - 0.8 * seam
    canvas.paint(box, np.maximum(streaks, maximus + 2), Tissue.SUBCUTANEOUS_FAT, label=None, over={Tissue.MUSCLE})


def _maximus(x: Array, y: Array, z: Array, outline: Array, *, bulk: float) -> Array:
    """A slab under the fascia whose fibres run down and outwards, from the sacrum to behind the femur."""
    down = z + 0.55 * (x - 40)
    deep = profile(x, (10, 60, 110, 148), (-82, -74, -58, -24)) + 25 * (bulk - 1)
    deep = deep + profile(down, (-75, -30, 30, 95), (11, 5, 0, -14))
    inner = profile(z, (-60, -20, 30, 90), (20, 14, 24, 34)) - x
    edges = np.maximum(np.maximum(0.8 * (down - 92), -0.8 * (down + 68)), inner)
    return -smooth_union(-np.maximum(outline + 1.5, edges), 0.9 * (deep - y), 16.0)


def _paint_floor(canvas: Canvas) -> None:
    """Levator ani: a thin funnel from the small pelvis's sides to the anus."""
    box = canvas.box((-60, -75, -50), (60, 30, 5))
    x, y, z = canvas.coordinates(box)
    width = profile(z, (-50, -28, -5), (10, 20, 47))
    depth = profile(z, (-50, -28, -5), (15, 32, 50))
    funnel = np.hypot(x / width, (y + profile(z, (-50, -5), (38, 28))) / depth) - 1
    sheet = np.abs(funnel * np.minimum(width, depth)) - 1.8
    canvas.paint(box, np.maximum(sheet, np.maximum(np.maximum(z + 4, -50 - z), y - 12)), Tissue.MUSCLE, over=FAT)
