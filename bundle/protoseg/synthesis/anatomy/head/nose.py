"""The nose: its cavity and the sinuses that open into it."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.head.frame import Head, paired_ellipsoid, paired_tube
from protoseg.synthesis.anatomy.head.labels import HEAD_LABELS
from protoseg.synthesis.anatomy.shapes import SmoothNoise
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_nose"]

SINUSES = HEAD_LABELS["sinuses"]


def paint_nose(canvas: Canvas, head: Head, rng: np.random.Generator) -> None:
    """Hollow out the face: sinuses, some with thick mucosa or a fluid level, and the nasal cavity."""
    sizes = rng.uniform(0.82, 1.08, 3)
    swelling = float(rng.choice([0.4, 0.8, 4.0], p=[0.5, 0.35, 0.15]))
    box, antrum = paired_ellipsoid(canvas, (30, 57, -9), (15 * sizes[0], 18 * sizes[0], 17 * sizes[0]))
    x, y, z = canvas.coordinates(box)
    antrum = np.maximum(antrum, 0.8 * (z + y / 4 - 22))  # the orbit's floor rises backwards
    antrum += 1.5 * canvas.noise(SmoothNoise(rng, 18.0), box)
    canvas.paint(box, antrum, Tissue.MUCOSA, label=SINUSES)
    canvas.paint(box, antrum + swelling * (1 + 0.5 * np.sign(x)), Tissue.GAS, label=SINUSES)
    if rng.random() < 0.15:
        level = np.maximum(antrum + swelling, y - rng.uniform(44, 58))  # of someone who lies on the back
        canvas.paint(box, level, Tissue.GUT_FLUID, label=SINUSES)
    box, sphenoid = paired_ellipsoid(canvas, (6.5, 24, 14), (7.5 * sizes[1], 11 * sizes[1], 9 * sizes[1]))
    canvas.paint(box, sphenoid, Tissue.GAS, label=SINUSES)
    box = canvas.box((-16, 34, 2), (16, 84, 28))
    x, y, z = canvas.coordinates(box)
    ethmoid = np.maximum(np.maximum(np.abs(x) - 13 + 0.1 * (y - 50), np.abs(y - 57) - 22), np.abs(z - 15) - 10)
    canvas.paint(box, ethmoid - 1, Tissue.CORTICAL_BONE, label=HEAD_LABELS["skull"])
    walls = 3.5 - 1.8 * np.abs(5 * canvas.noise(SmoothNoise(rng, 9.0), box))
    canvas.paint(box, ethmoid, Tissue.MUCOSA, label=SINUSES)
    canvas.paint(box, np.maximum(ethmoid, walls), Tissue.GAS, label=SINUSES)
    _paint_nasal_cavity(canvas, head, rng)


def _paint_nasal_cavity(canvas: Canvas, head: Head, rng: np.random.Generator) -> None:
    """Two slits beside a septum that is seldom straight; the turbinates hang into them."""
    box = canvas.box((-18, 22, -20), (18, 106, 26))
    x, y, z = canvas.coordinates(box)
    width = np.interp(z, (-18, -8, 6, 24), (15, 15, 8, 3)) * np.interp(y, (24, 40, 84, 100), (0.85, 1, 0.85, 0.5))
    cavity = np.maximum(np.maximum(np.abs(x) - width, np.abs(y - 62) - 38), np.abs(z - 3) - 20)
    roof = np.interp(y, (30, 42, 70, 100), (12, 22, 24, 2))
    cavity = np.maximum(np.maximum(cavity, 0.8 * (z - roof)), head.outline[box] + 4)
    canvas.paint(box, cavity - 1, Tissue.MUCOSA)
    canvas.paint(box, cavity, Tissue.GAS, label=SINUSES)
    bend = rng.normal(0, 2.5) * np.exp(-(((z - 2) / 12) ** 2))
    canvas.paint(box, np.maximum(cavity, np.abs(x - bend) - 1.3), Tissue.MUCOSA)
    for height, reach, thick in ((-10, 8.5, rng.uniform(3, 4.5)), (4, 6, rng.uniform(2.2, 3.2))):
        points = [(reach, 36, height), (reach + 0.5, 60, height), (reach, 82, height)]
        part, turbinate = paired_tube(canvas, points, [thick, thick, thick - 1], stretch=(1, 1, 1.5))
        canvas.paint(part, turbinate, Tissue.MUCOSA)
        canvas.paint(part, turbinate + thick - 0.6, Tissue.CORTICAL_BONE)
