"""Spine, ribs and the top of the pelvis, with the muscles that hang on the spine."""

from itertools import pairwise

import numpy as np

from protoseg.synthesis.anatomy.abdomen.labels import ABDOMEN_LABELS
from protoseg.synthesis.anatomy.abdomen.trunk import Trunk, by_spine, spine_y
from protoseg.synthesis.anatomy.bone import paint_bone, paint_vertebra
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import SmoothNoise, ellipse
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_skeleton"]

# mm from disc to disc; the template's z = 0 is the disc between L1 and L2.
PITCH_DOWN = (36, 37, 36, 34)  # L2 ... L5
PITCH_UP = (35, 31, 29, 27, 26, 25, 25)  # L1, T12 ... T7
# Twelfth rib and up: height of its vertebra (mm), and where its bone ends (0 spine, 0.5 flank, 1 sternum).
RIBS = ((31, 0.33), (29, 0.45), (27, 0.6), (26, 0.64), (25, 0.67), (25, 0.7), (25, 0.72), (25, 0.74))


def paint_skeleton(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    """Paint bones outside in."""
    _paint_muscles(canvas, rng)
    _paint_pelvis(canvas, trunk, rng)
    _paint_ribs(canvas, trunk, rng)
    _paint_spine(canvas, rng)


def _paint_muscles(canvas: Canvas, rng: np.random.Generator) -> None:
    bulk = rng.uniform(0.8, 1.15)
    for side in (-1, 1):
        path = [by_spine(side * 24, 2, 22), by_spine(side * 34, 3, -30)]
        path += [by_spine(side * 42, 8, -80), by_spine(side * 52, 18, -130)]
        box, psoas = canvas.tube(path, [5 * bulk, 14 * bulk, 20 * bulk, 21 * bulk])
        psoas += 1.2 * canvas.noise(SmoothNoise(rng, 20.0), box)
        canvas.paint(box, psoas, Tissue.MUSCLE, label=ABDOMEN_LABELS["psoas"])
        crus = [by_spine(side * 16 - 4, 20, 95), by_spine(side * 15 - 4, 22, 50)]
        crus += [by_spine(side * 12 - 3, 20, 0)]
        box, distance = canvas.tube(crus, [3, 5, 2.5])
        canvas.paint(box, distance, Tissue.MUSCLE)


def _paint_pelvis(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    _, _, z = canvas.coordinates(canvas.everywhere)
    crest = rng.uniform(-106, -88) - 60 * ((trunk.around - 0.34) / 0.24) ** 2
    depth = -trunk.outline - 14 - 70 * np.maximum(0, 0.32 - trunk.around)
    wing = np.maximum(np.abs(depth) - 4.5, (z - crest) * 0.8)
    paint_bone(canvas, canvas.everywhere, wing)


def _paint_ribs(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    """Arcs in the wall that slant down to the flank; in front, cartilage rises to the sternum."""
    everywhere = canvas.everywhere
    _, _, z = canvas.coordinates(everywhere)
    around = trunk.around
    depth = -trunk.outline - 8 - 190 * np.maximum(0, 0.19 - around)
    descent = np.sin(np.clip(around / 0.62, 0, 1) * np.pi / 2) * rng.uniform(74, 96)
    ascent = 140 * np.maximum(0, around - 0.62)
    head = float(PITCH_UP[0])
    for number, (pitch, end) in zip(range(12, 0, -1), RIBS):
        slope = 0.5 if number == 12 else 1.0
        height = z - (head + 0.7 * pitch) + slope * descent - ascent
        section = ellipse(depth, height.astype(np.float32), (3.8, 7.0))
        paint_bone(canvas, everywhere, np.maximum(section, np.maximum(0.055 - around, around - end) * 250))
        if number < 11:
            cartilage = np.maximum(section - 0.5, np.maximum(end - around, around - 0.93) * 250)
            over = {Tissue.MUSCLE, Tissue.SUBCUTANEOUS_FAT}
            canvas.paint(everywhere, cartilage, Tissue.CARTILAGE, over=over)
        head += pitch


def _paint_spine(canvas: Canvas, rng: np.random.Generator) -> None:
    disc = rng.uniform(7, 10.5)
    edges = [0.0]
    for pitch in PITCH_UP:
        edges.append(edges[-1] + pitch)
    for pitch in PITCH_DOWN:
        edges.insert(0, edges[0] - pitch)
    label = ABDOMEN_LABELS["vertebrae"]
    for low, high in pairwise(edges):
        lumbar = low < 30
        size = float(np.clip(1.02 - 0.0016 * (low + 40), 0.78, 1.08))
        gap = disc if lumbar else 0.55 * disc
        middle = (low + high) / 2
        centre_y = float(spine_y(middle))
        paint_vertebra(canvas, middle, high - low - gap, centre_y=centre_y, size=size, lumbar=lumbar, label=label)
    x, y, z = canvas.coordinates(box := canvas.box((-15, -95, edges[0]), (15, -30, edges[-1])))
    canal = ellipse(x, y - spine_y(z) + 24, (10.5, 8.0))
    canvas.paint(box, canal, Tissue.SPINAL_CANAL)
