"""The soft face: eyes,: orbits, chewing muscles, glands and the tongue."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.head.frame import Head, paired_ellipsoid, paired_tube
from protoseg.synthesis.anatomy.head.labels import HEAD_LABELS
from protoseg.synthesis.anatomy.shapes import SmoothNoise, ellipse, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_chewing_muscles", "paint_orbits", "paint_salivary_glands", "paint_soft_face", "paint_tongue"]

EYE, APEX = (31.5, 71.0, 14.0), (18.0, 30.0, 21.0)


def paint_soft_face(canvas: Canvas, head: Head, rng: np.random.Generator, *, fatness: float) -> None:
    """Paint skin and the fat under it; muscle begins deeper, but directly in the nape."""
    everywhere = canvas.everywhere
    x, y, z = canvas.coordinates(everywhere)
    canvas.paint(everywhere, head.outline, Tissue.SKIN)
    canvas.paint(everywhere, head.outline + 2.2, Tissue.SUBCUTANEOUS_FAT)
    nape = 1 / (1 + np.exp((y + 4 + 0.3 * np.abs(x)) / 4)) / (1 + np.exp((z - 2) / 4))
    cover = 3.5 + (4 + 9 * fatness) * (1 - 0.5 * nape)
    cover += 1.5 * canvas.noise(SmoothNoise(rng, 35.0), everywhere)
    canvas.paint(everywhere, np.maximum(head.outline + cover, z + 70), Tissue.MUSCLE)
    canvas.paint(everywhere, np.maximum(head.outline + cover, 16 * (0.5 - nape)), Tissue.MUSCLE)
    deep = np.maximum(head.outline + cover + 8, np.abs(y - 55) - 50)
    canvas.paint(everywhere, np.maximum(deep, -z - 90), Tissue.VISCERAL_FAT)
    box = canvas.box((-100, -45, -35), (100, 10, 35))
    _, y, z = canvas.coordinates(box)
    flap = np.abs(head.outline[box] - 1.5 - 0.28 * np.maximum(0, 2 - y)) - 2.3  # leaves the head backwards
    ear = np.maximum(flap, ellipse(y + 15 + 0.2 * z, z, (16.0, 29.0)))
    canvas.paint(box, ear, Tissue.SKIN, over={Tissue.AIR})
    canvas.paint(box, ear + 1, Tissue.CARTILAGE, over={Tissue.SKIN})


def paint_chewing_muscles(canvas: Canvas, head: Head, rng: np.random.Generator) -> None:
    """Paint temporal muscles on the skull, masseters outside the jaw, pterygoids inside it, lips and cheeks."""
    bulk = rng.uniform(0.85, 1.12)
    box = canvas.box((-85, -20, -20), (85, 70, 66))
    x, y, z = canvas.coordinates(box)
    fan = ellipsoid(np.abs(x), y, z, centre=(64, 34, 16), radii=(17 * bulk, 38, 48))
    canvas.paint(box, np.maximum(fan, head.outline[box] + 5), Tissue.MUSCLE)
    courses = (
        ([(56, 36, -6), (56, 27, -34), (53, 20, -60)], [5, 7, 6], (1, 2.4, 1)),
        ([(24, 33, -8), (35, 23, -30), (41, 16, -56)], [7, 8.5, 6], (1.15, 1.9, 1)),
        ([(18, 36, -4), (34, 24, -6), (46, 10, -6)], [8, 10, 6], (1, 1, 1.2)),
        ([(50, -16, -24), (42, -2, -44), (34, 12, -66)], [5, 5, 4], (1, 1.4, 1)),
        ([(6, 92, -30), (26, 84, -34), (42, 60, -38), (46, 40, -36)], [3, 3, 2, 2], (1, 1, 3)),
        ([(6, 88, -62), (20, 82, -62)], [4, 3], (1, 1, 3)),
    )
    for points, radii, stretch in courses:
        box, muscle = paired_tube(canvas, points, [r * bulk for r in radii], stretch=stretch)
        limit = np.maximum(muscle, head.outline[box] + 3.5)
        canvas.paint(box, limit, Tissue.MUSCLE)


def paint_salivary_glands(canvas: Canvas, head: Head, rng: np.random.Generator) -> None:
    """Paint the parotids around the ramus of the mandible under the ear; the submandibular glands under its body."""
    size = rng.uniform(0.85, 1.12)
    box, lateral = paired_ellipsoid(canvas, (53, 3, -30), (13 * size, 20 * size, 28 * size))
    _, y, z = canvas.coordinates(box)
    side = np.abs(canvas.coordinates(box)[0])
    behind = ellipsoid(side, y, z, centre=(45, -5, -28), radii=(14 * size, 11 * size, 24 * size))
    parotid = smooth_union(lateral, behind, 5) + 1.5 * canvas.noise(SmoothNoise(rng, 12.0), box)
    canvas.paint(
        box, np.maximum(parotid, head.outline[box] + 4), Tissue.SALIVARY_GLAND, label=HEAD_LABELS["parotid_glands"]
    )
    box, gland = paired_ellipsoid(canvas, (31, 30, -78), (9 * size, 16 * size, 13 * size))
    gland += 1.0 * canvas.noise(SmoothNoise(rng, 12.0), box)
    label = HEAD_LABELS["submandibular_glands"]
    canvas.paint(box, np.maximum(gland, head.outline[box] + 6), Tissue.SALIVARY_GLAND, label=label)


def paint_tongue(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the tongue on the floor of the mouth, often with air above it, and the soft palate."""
    label = HEAD_LABELS["tongue"]
    size = rng.uniform(0.93, 1.05)
    box = canvas.box((-30, 5, -86), (30, 82, -20))
    x, y, z = canvas.coordinates(box)
    mouth = ellipsoid(x, y, z, centre=(0, 48, -44), radii=(27, 34, 24))
    canvas.paint(box, mouth, Tissue.MUSCLE)
    floor = ellipsoid(x, y, z, centre=(0, 47, -68), radii=(23, 34, 19))
    canvas.paint(box, floor, Tissue.MUSCLE)
    if rng.random() < 0.6:
        canvas.paint(box, np.maximum(mouth + 2, -24 - rng.uniform(1, 4) - z), Tissue.GAS)
    tongue = ellipsoid(x, y, z, centre=(0, 46, -48), radii=(22 * size, 30 * size, 21 * size))
    root = ellipsoid(x, y, z, centre=(0, 30, -60), radii=(18 * size, 17, 20))
    body = smooth_union(tongue, root, 8)
    canvas.paint(box, body, Tissue.MUSCLE, label=label)
    streaks = np.abs(canvas.noise(SmoothNoise(rng, 9.0), box)) * 6 - 0.5
    septum = np.minimum(np.abs(x) - 0.5, streaks)
    canvas.paint(box, np.maximum(septum, body + 4), Tissue.VISCERAL_FAT, label=label, over={Tissue.MUSCLE})
    box, palate = canvas.tube([(0, 34, -20), (0, 22, -24), (0, 15, -38)], [3.5, 5, 4], step=6)
    canvas.paint(box, palate, Tissue.MUSCLE)


def paint_orbits(canvas: Canvas, head: Head, rng: np.random.Generator) -> None:
    """Paint a cone of fat with the eye in front, four straight muscles and the optic nerve."""
    box, cone = paired_tube(canvas, [APEX, (25, 50, 17.5), (33, 73, 14)], [4, 14, 19])
    cone = np.maximum(cone, head.outline[box] + 4)
    canvas.paint(box, cone, Tissue.VISCERAL_FAT, over=set(Tissue) - {Tissue.AIR, Tissue.SKIN, Tissue.GAS})
    lids = np.maximum(cone - 4, np.abs(head.outline[box] + 3.5) - 1.5)
    canvas.paint(box, lids, Tissue.MUSCLE, over={Tissue.VISCERAL_FAT, Tissue.SUBCUTANEOUS_FAT})
    eye_x, eye_y, eye_z = EYE
    for across, up in ((0, 10.5), (0, -10.5), (10.5, 0), (-10.5, 0)):
        path = [APEX, (25 + across, 52, 17 + up), (eye_x + across, eye_y + 1, eye_z + up)]
        box, muscle = paired_tube(canvas, path, [1.5, 2.3, 1.0], step=6)
        canvas.paint(box, muscle, Tissue.MUSCLE, over={Tissue.VISCERAL_FAT})
    nerve = [(3, 14, 31), (12, 22, 26), APEX, (25, 46, 17), (eye_x - 1, eye_y - 11, eye_z)]
    box, optic = paired_tube(canvas, nerve, [2.4, 2.2, 2.0, 2.0, 2.0], step=5)
    canvas.paint(box, optic - 1, Tissue.CEREBROSPINAL_FLUID, over={Tissue.VISCERAL_FAT})
    canvas.paint(box, optic, Tissue.WHITE_MATTER)
    radius, gaze = rng.normal(12, 0.4), rng.normal(0, 2)
    for sign, name in ((1, "right_eye"), (-1, "left_eye")):
        label = HEAD_LABELS[name]
        centre = (sign * eye_x, eye_y, eye_z)
        box = canvas.around(centre, (radius, radius + 3, radius))
        x, y, z = canvas.coordinates(box)
        globe = ellipsoid(x, y, z, centre=centre, radii=(radius, radius, radius))
        cornea = ellipsoid(x, y, z, centre=(centre[0] + gaze / 2, eye_y + 5.5, eye_z), radii=(7.5, 8, 7.5))
        ball = smooth_union(globe, cornea, 2)
        canvas.paint(box, ball, Tissue.MUSCLE, label=label)
        canvas.paint(box, ball + 1.3, Tissue.VITREOUS, label=label)
        lens = ellipsoid(x, y, z, centre=(centre[0] + gaze, eye_y + 7.5, eye_z), radii=(4.8, 2.3, 4.8))
        canvas.paint(box, lens, Tissue.LENS, label=label)
