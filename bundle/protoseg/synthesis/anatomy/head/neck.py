"""The neck's soft parts: muscles, airway, thyroid and the large vessels."""

import numpy as np

from protoseg.synthesis.anatomy.bone import paint_bone
from protoseg.synthesis.anatomy.canvas import Box, Canvas
from protoseg.synthesis.anatomy.head.frame import Head, by_spine, paired_tube
from protoseg.synthesis.anatomy.head.labels import HEAD_LABELS
from protoseg.synthesis.anatomy.shapes import Array, Point, SmoothNoise, ellipse
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_airway", "paint_neck_muscles", "paint_neck_vessels", "paint_thyroid"]

FLESH = {Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT, Tissue.MUSCLE}


def paint_neck_muscles(canvas: Canvas, head: Head, rng: np.random.Generator, *, fatness: float) -> None:
    """Paint fat between the nape's muscles and beside the throat, then the muscles that stand out in it."""
    box = canvas.box((-200, -150, -220), (200, 60, -20))
    x, y, _ = canvas.coordinates(box)
    wave, thickness, *strands = (canvas.noise(SmoothNoise(rng, scale), box) for scale in (22.0, 18.0, 9.0, 14.0))
    for depth in (16, 27):
        sheet = np.abs(head.outline[box] + depth + 3 * fatness + 3 * wave) - 0.3 - 0.9 * fatness - 0.5 * thickness
        canvas.paint(box, np.maximum(sheet, y + 26), Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})
    streaks = np.hypot(9 * strands[0], 14 * strands[1]) - 1.2 - 1.6 * fatness
    canvas.paint(box, streaks, Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})
    raphe = np.maximum(np.abs(x) - 1.2 - fatness, y + 45)
    canvas.paint(box, raphe, Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})
    box, throat = paired_tube(
        canvas, [(30, 6, -40), (32, 6, -80), (32, -2, -115), (34, -16, -150)], [11, 12, 12, 12], stretch=(1.2, 1.2, 1)
    )
    canvas.paint(box, np.maximum(throat, head.outline[box] + 5), Tissue.VISCERAL_FAT, over=FLESH)
    bulk = rng.uniform(0.8, 1.15)
    courses = (
        (
            [(56, -24, -24), (53, -8, -60), (40, 14, -100), (20, 14, -138), (14, 10, -155)],
            [5, 6, 6, 5, 4],
            (1.1, 2.0, 1),
        ),
        ([by_spine(24, -3, -70), by_spine(34, -4, -115), by_spine(48, 0, -160)], [6, 9, 8], (1, 1, 1)),
        ([by_spine(7, 11, -25), by_spine(8, 11, -100), by_spine(9, 11, -140)], [4, 4, 4], (1.4, 1, 1)),
        ([(14, 34, -74), (15, 24, -100), (14, 16, -140)], [3, 4, 4], (2.2, 1, 1)),
        ([(7, 74, -88), (18, 45, -84), (32, 12, -72)], [4, 4, 4], (1, 1, 1)),
    )
    for points, radii, stretch in courses:
        box, distance = paired_tube(canvas, points, [r * bulk for r in radii], stretch=stretch)
        distance += 1.3 * canvas.noise(SmoothNoise(rng, 16.0), box)
        muscle = np.maximum(distance, head.outline[box] + 4.5)
        canvas.paint(box, muscle - 0.3 - 0.8 * fatness, Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})
        canvas.paint(box, muscle, Tissue.MUSCLE)


def paint_airway(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint pharynx, larynx and trachea with their walls and cartilages, the hyoid, and the esophagus behind."""
    label = HEAD_LABELS["airway"]
    wide = rng.uniform(0.8, 1.1)
    box, hyoid = paired_tube(canvas, [(0, 36, -80), (12, 30, -79), (20, 14, -74)], [3, 2.6, 2.0], step=6)
    paint_bone(canvas, box, hyoid)
    pharynx: list[Point] = [(3, 18, -6), (3, 10, -24), (3, 8, -44), (3, 10, -66), (3, 13, -84)]
    larynx: list[Point] = [(0, 13, -84), (0, 18, -97), (0, 13, -108), (0, 5, -124), (0, -6, -150), (0, -20, -190)]
    box, tube = canvas.tube(larynx, [r * wide for r in (6.5, 3.5, 6.5, 7.5, 7.5, 7.5)], step=6)
    x, _, z = canvas.coordinates(box)
    canvas.paint(box, tube - 2.5, Tissue.MUCOSA, over=FLESH)
    _paint_cartilages(canvas, box, tube)
    glottis = np.maximum(tube, np.abs(x) - 2 - 0.5 * np.abs(z + 97))
    canvas.paint(box, glottis, Tissue.GAS, label=label)
    radii = [r * wide for r in (7, 7, 6, 7, 6.5)]
    box, throat = paired_tube(canvas, pharynx, radii, step=6, stretch=(1.6, 0.9, 1))
    canvas.paint(box, throat - 6, Tissue.MUSCLE, over=FLESH)
    canvas.paint(box, throat - 1.2, Tissue.MUCOSA, over=FLESH)
    canvas.paint(box, throat, Tissue.GAS, label=label)
    box, epiglottis = canvas.tube([(0, 20, -80), (0, 16, -70), (0, 13, -64)], [2.5, 2.2, 1.5], step=4)
    canvas.paint(box, epiglottis, Tissue.MUCOSA)
    box, oesophagus = canvas.tube([by_spine(0, 13, -112), by_spine(-3, 15, -150), by_spine(-4, 15, -190)], [6, 7, 7])
    canvas.paint(box, oesophagus, Tissue.GUT_WALL, over=FLESH | {Tissue.MUCOSA})


def _paint_cartilages(canvas: Canvas, box: Box, tube: Array) -> None:
    """The thyroid cartilage, a shield open at the back, and the cricoid, a signet ring round the airway."""
    x, y, z = canvas.coordinates(box)
    shield = np.maximum(np.abs(ellipse(x, y - 14, (19.0, 19.0))) - 1.8, np.abs(z + 94 + 0.3 * (y - 20)) - 11)
    ring = np.maximum(np.abs(tube - 2) - 2, np.abs(z + 110 + 0.4 * (y - 12)) - 4 - 0.25 * np.maximum(0, 12 - y))
    for cartilage in (np.maximum(shield, 8 - y), ring):
        canvas.paint(box, cartilage, Tissue.CARTILAGE)


def paint_thyroid(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint two lobes beside the trachea and the isthmus before it."""
    label = HEAD_LABELS["thyroid"]
    size = rng.uniform(0.8, 1.25)
    over = FLESH | {Tissue.MUCOSA, Tissue.GUT_WALL, Tissue.CARTILAGE}
    path = [(15, 10, -98), (17, 4, -114), (16, 2, -130)]
    box, lobes = paired_tube(canvas, path, [3 * size, 7.5 * size, 6 * size], stretch=(1, 1.25, 1))
    lobes += 0.8 * canvas.noise(SmoothNoise(rng, 14.0), box)
    canvas.paint(box, lobes, Tissue.THYROID, label=label, over=over)
    box, isthmus = paired_tube(canvas, [(0, 15, -122), (9, 12, -120), (16, 6, -118)], [3.2, 3.5, 4], step=5)
    canvas.paint(box, isthmus, Tissue.THYROID, label=label, over=over)


def paint_neck_vessels(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint carotid, vertebral and jugular vessels, one side's vein often the wider."""
    over = FLESH | {Tissue.THYROID, Tissue.SALIVARY_GLAND, Tissue.MUCOSA}
    carotid, jugular = HEAD_LABELS["carotid_arteries"], HEAD_LABELS["jugular_veins"]
    lateral = rng.normal(0, 1.5)
    common = [(22, -14, -165), (25 + lateral, -2, -128), (28 + lateral, 4, -100), (29 + lateral, 5, -82)]
    internal = [(29 + lateral, 5, -84), (30, 1, -66), (28, 2, -40), (25, 3, -14), (24, 2, -4)]
    external = [(29 + lateral, 6, -84), (29, 11, -66), (38, 10, -48), (48, 4, -30)]
    vertebral = [
        by_spine(19, 2, -130),
        by_spine(18, -1, -100),
        by_spine(18, -1, -45),
        (26, -12, -24),
        (10, -26, -12),
    ]
    vertebral += [(3, -6, -2), (0, 8, 12)]
    for points, radii, label, tissues in (
        (common, [4, 3.6, 3.6, 4.6], carotid, over),
        (internal, [4, 3.2, 2.8, 2.6, 2.6], carotid, over),
        (external, [3.2, 2.4, 2, 1.4], 0, over),
        (vertebral, [2] * 7, None, set(Tissue) - {Tissue.WHITE_MATTER, Tissue.GRAY_MATTER}),
    ):
        box, artery = paired_tube(canvas, points, radii, step=5)
        canvas.paint(box, artery, Tissue.ARTERY, label=label, over=tissues)
    path = [
        (30, -10, -6),
        (34, -5, -30),
        (38 + lateral, 2, -66),
        (37 + lateral, 2, -100),
        (32, -4, -130),
        (26, -12, -165),
    ]
    for side in (-1, 1):
        width = rng.uniform(0.65, 1.2)
        points = [(side * x, y, z) for x, y, z in path]
        box, vein = canvas.tube(points, [width * r for r in (4, 4, 4.8, 5.4, 6, 6.5)], step=6)
        canvas.paint(box, vein, Tissue.VEIN, label=jugular, over=over)
