"""The skull: vault, base, face bones, mandible and teeth."""

import numpy as np

from protoseg.synthesis.anatomy.bone import paint_bone
from protoseg.synthesis.anatomy.canvas import Box, Canvas
from protoseg.synthesis.anatomy.head.frame import Head, paired_ellipsoid, paired_tube
from protoseg.synthesis.anatomy.head.labels import HEAD_LABELS
from protoseg.synthesis.anatomy.shapes import Array, SmoothNoise, ellipse, ellipsoid
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_mandible", "paint_skull"]

BONE = {Tissue.CORTICAL_BONE, Tissue.SPONGY_BONE}


def paint_skull(canvas: Canvas, head: Head, rng: np.random.Generator) -> None:
    """Paint face bones first, then the braincase, which ends at the cavity that it holds."""
    skull = HEAD_LABELS["skull"]
    for box, distance in _face_bones(canvas, rng):
        x, y, _ = canvas.coordinates(box)
        rim = y + 0.36 * np.abs(x) - 84 - 12 * (np.abs(x) < 12)  # the cheeks recede sideways
        bounds = np.maximum(rim, head.outline[box] + 5)
        paint_bone(canvas, box, np.maximum(distance, bounds), label=skull)
    for centre, radii in (((0, 20, 12), (15, 17, 19)), ((0, 6, 2), (12, 8, 14))):  # sphenoid body, clivus
        box = canvas.around(centre, radii)
        paint_bone(canvas, box, ellipsoid(*canvas.coordinates(box), centre=centre, radii=radii), label=skull)
    box, petrous = paired_tube(canvas, [(60, -18, 2), (38, -8, 6), (16, 4, 8)], [13, 11, 7])
    canvas.paint(box, petrous, Tissue.CORTICAL_BONE, label=skull)
    box, mastoid = paired_ellipsoid(canvas, (54, -24, -8), (10, 14, 19))
    paint_bone(canvas, box, mastoid, label=skull)
    walls = 8 - 6.6 * rng.uniform(0.2, 0.75) + 4 * canvas.noise(SmoothNoise(rng, 7.0), box)
    canvas.paint(box, np.maximum(mastoid + 3, walls - 2), Tissue.GAS, label=None, over=BONE)  # air cells
    box, ear = paired_tube(canvas, [(82, -4, -2), (60, -2, 0), (46, 0, 4)], [3.5, 3.5, 4])
    canvas.paint(box, ear, Tissue.GAS)
    _paint_braincase(canvas, head, rng)


def _paint_braincase(canvas: Canvas, head: Head, rng: np.random.Generator) -> None:
    everywhere = canvas.everywhere
    _, y, z = canvas.coordinates(everywhere)
    uneven = canvas.noise(SmoothNoise(rng, 30.0), everywhere)
    base = 1 / (1 + np.exp((z - 42) / 4)) / (1 + np.exp((22 - y) / 4))
    thickness = rng.uniform(5.5, 7.5) + 0.7 * uneven + 1.5 * (y < -60) - 3.5 * base
    outer = np.where(z > 40, head.vault, head.cavity) - thickness
    between_fossae = np.maximum(np.maximum(head.vault - thickness, 5 - z), y - 20)
    skull = np.maximum(np.minimum(outer, between_fossae), -24 - z).astype(np.float32)
    canvas.paint(everywhere, skull, Tissue.CORTICAL_BONE, label=HEAD_LABELS["skull"], over=set(Tissue) - {Tissue.GAS})
    diploe = np.abs(head.cavity - 0.5 * thickness) + 1.8 - 0.5 * thickness
    canvas.paint(everywhere, diploe.astype(np.float32), Tissue.SPONGY_BONE, label=None, over={Tissue.CORTICAL_BONE})
    size = rng.uniform(0.2, 1.1)
    box, frontal = paired_ellipsoid(canvas, (11 * size, 88, 32 + 6 * size), (15 * size, 4.5, 10 * size))
    canvas.paint(box, np.maximum(frontal, outer[box] + 2), Tissue.GAS, label=HEAD_LABELS["sinuses"], over=BONE)
    canvas.paint(everywhere, head.cavity, Tissue.CEREBROSPINAL_FLUID)
    foramen = canvas.box((-15, -45, -60), (15, 0, 0))
    x, y, z = canvas.coordinates(foramen)
    hole = np.maximum(ellipse(x, y + 22, (14.0, 16.0)), np.abs(z + 13) - 13)
    canvas.paint(foramen, hole, Tissue.CEREBROSPINAL_FLUID)


def _face_bones(canvas: Canvas, rng: np.random.Generator) -> list[tuple[Box, Array]]:
    """Orbits, zygomatic arches, maxillae and the pterygoid processes behind them."""
    brow = rng.normal(0, 1)
    orbit, shell = paired_tube(canvas, [(18, 28, 21), (26, 50, 18), (33, 74, 14)], [7, 17, 22.5])
    parts = [(orbit, shell)]
    parts.append(paired_tube(canvas, [(12, 84, 34 + brow), (32, 84, 36 + brow), (50, 68, 28)], [6, 5.5, 5], step=6))
    parts.append(paired_tube(canvas, [(50, 66, 30), (50, 64, 14), (46, 66, -4)], [4, 4, 6], step=6))
    parts.append(paired_tube(canvas, [(44, 66, -6), (58, 48, -2), (64, 26, 0), (61, 4, 2)], [6, 3.5, 3, 4], step=6))
    parts.append(paired_ellipsoid(canvas, (29, 58, -10), (18, 21, 20)))  # the body of the maxilla
    parts.append(paired_tube(canvas, [(5, 88, 27), (6, 96, 12)], [4, 2.5], step=6))
    parts.append(paired_tube(canvas, [(13, 36, 8), (14, 34, -20)], [4, 3.5], step=6))
    box = canvas.box((-32, 32, -40), (32, 92, -14))
    x, y, z = canvas.coordinates(box)
    jaw = ellipse(x, y - 44, (31.0, 47.0))
    palate = np.maximum(np.maximum(jaw, 34 - y), np.abs(z + 20) - 2.6)
    arch = np.maximum(np.maximum(np.abs(jaw + 5) - 5, 40 - y), np.abs(z + 28) - 9)
    parts.append((box, np.minimum(palate, arch)))
    return parts


def paint_mandible(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint a horseshoe with two rising rami, and the teeth of both jaws that are left."""
    mandible = HEAD_LABELS["mandible"]
    chin, angle = rng.normal(84, 2), rng.normal(47, 2)
    corpus = [(0, chin, -77), (18, chin - 8, -76), (36, 46, -70), (angle, 16, -60)]
    box, body = paired_tube(canvas, corpus, [5.5, 5.5, 5, 4], step=6, stretch=(1, 1, 3))
    rami = [(angle, 12, -56), (angle + 1, 14, -36), (angle + 2, 9, -16), (angle + 3, 9, -4)]
    ramus_box, ramus = paired_tube(canvas, rami, [4, 3.2, 3, 4], step=6, stretch=(1, 3.2, 1.2))
    coronoid_box, coronoid = paired_tube(canvas, [(angle + 1, 26, -30), (angle + 2, 28, -10)], [3.5, 2], step=6)
    for part, distance in ((ramus_box, ramus), (coronoid_box, coronoid), (box, body)):
        paint_bone(canvas, part, distance, label=mandible)
    toothless = rng.random() < 0.2
    box = canvas.box((-32, 34, -62), (32, 92, -30))
    x, y, z = canvas.coordinates(box)
    arch = ellipse(x, y - 42, (28.0, 44.0))
    around = np.arctan2(x, y - 30)
    between = 3.2 * (np.abs(np.cos(around * 11)) - 0.35)
    teeth = np.maximum(np.maximum(np.abs(arch) - 3.4, -between), 38 - y)
    upper, lower = np.abs(z + 38) - 7, np.abs(z + 54) - 8
    for row, label in ((upper, HEAD_LABELS["skull"]), (lower, mandible)):
        if not toothless:
            canvas.paint(box, np.maximum(teeth, row), Tissue.TOOTH, label=label)
