"""The cervical spine and the cord in it."""

import numpy as np

from protoseg.synthesis.anatomy.bone import paint_bone
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.head.frame import spine_y
from protoseg.synthesis.anatomy.head.labels import HEAD_LABELS
from protoseg.synthesis.anatomy.shapes import capsule, ellipse, ellipsoid
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_cervical_spine"]

# Heights of the discs' middles, mm, from under C2 down to under T3.
DISCS = (-52, -68, -84, -100, -117, -135, -154, -174, -195)


def paint_cervical_spine(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint atlas, axis and the vertebrae below, then the canal with the cord in its fluid."""
    label = HEAD_LABELS["vertebrae"]
    box = canvas.box((-44, -70, -40), (44, 20, -12))
    x, y, z = canvas.coordinates(box)
    ring = np.maximum(np.abs(ellipse(x, y + 19, (20.0, 20.0))) - 3.8, np.abs(z + 22) - 6)
    masses = ellipsoid(np.abs(x), y, z, centre=(19, -10, -21), radii=(8, 9, 9))
    wings = capsule(np.abs(x), y, z, start=(20, -10, -22), end=(37, -10, -24), radii=(5, 4))
    for part in (ring, wings, masses):
        paint_bone(canvas, box, part, label=label)
    for top, low in zip((-32, *DISCS), DISCS):
        _paint_vertebra(canvas, (top + low) / 2, top - low, rng.uniform(3.5, 5))
    box, dens = canvas.tube([(0, -8, -16), (0, -9, -44)], [4.5, 6], step=8)
    paint_bone(canvas, box, dens, label=label)
    box = canvas.box((-14, -75, -210), (14, -5, -8))
    x, y, z = canvas.coordinates(box)
    middle = y - spine_y(z) + 16 - 3 / (1 + np.exp(-(z + 40) / 6))
    ends = np.abs(z + 110) - 98
    canvas.paint(box, np.maximum(ellipse(x, middle, (12.0, 8.5)), ends), Tissue.VISCERAL_FAT)
    canvas.paint(box, np.maximum(ellipse(x, middle, (11.0, 7.5)), ends), Tissue.CEREBROSPINAL_FLUID)
    cord = np.maximum(ellipse(x, middle - 0.5, (6.6, 4.3)), np.maximum(z + 18, ends))
    canvas.paint(box, cord, Tissue.WHITE_MATTER, label=HEAD_LABELS["spinal_cord"])
    butterfly = np.minimum(ellipse(x, middle - 0.5, (3.6, 1.0)), ellipse(np.abs(x) - 2.4, middle - 0.5, (0.8, 2.4)))
    gray = np.maximum(butterfly, cord + 1)
    canvas.paint(box, gray, Tissue.GRAY_MATTER, label=None, over={Tissue.WHITE_MATTER})


def _paint_vertebra(canvas: Canvas, middle: float, pitch: float, gap: float) -> None:
    """One vertebra from C2 down, with the disc below it."""
    label = HEAD_LABELS["vertebrae"]
    centre = float(spine_y(middle))
    thoracic = middle < -140
    box = canvas.box((-36, centre - 60, middle - 26), (36, centre + 14, middle + 16))
    x, y, z = canvas.coordinates(box)
    side, v, w = np.abs(x), y - centre, z - middle
    column = ellipse(x, v, (12.5 + 2 * thoracic, 8.5 + 2 * thoracic))
    canvas.paint(box, np.maximum(column + 0.5, np.abs(w) - pitch / 2 - 1), Tissue.DISC)
    body = np.maximum(column, np.abs(w) - (pitch - gap) / 2)
    arch = np.maximum(np.abs(ellipse(x, v + 16, (15.0, 11.0))) - 2.8, np.abs(w + 2) - 5)
    pillars = np.maximum(ellipse(side - 18, v + 13, (6.0, 7.5)), np.abs(w + 0.4 * (v + 13)) - pitch / 2 + 0.8)
    wings = capsule(side, v, w, start=(12, 0, 0), end=(27, -6, -2), radii=(4, 3.5))
    length = 44 if middle > -115 else 56
    spinous = capsule(side, v, w, start=(0, -26, -2), end=(2.5, -length, -10), radii=(4, 3.5))
    for part in (arch, spinous, wings, pillars, body):
        paint_bone(canvas, box, part, label=label)
