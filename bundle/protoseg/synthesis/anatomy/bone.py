"""Bone as every region paints it, and the vertebrae that abdomen and chest share."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Box, Canvas
from protoseg.synthesis.anatomy.shapes import Array, capsule, ellipse
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["SHELL", "paint_bone", "paint_vertebra"]

SHELL = 1.4  # mm of cortical bone


def paint_bone(canvas: Canvas, box: Box, distance: Array, *, label: int = 0, shell: Array | float = SHELL) -> None:
    """Paint spongy bone in a shell (mm) of cortical bone."""
    canvas.paint(box, distance, Tissue.CORTICAL_BONE, label=label)
    canvas.paint(box, distance + shell, Tissue.SPONGY_BONE, label=label)


def paint_vertebra(
    canvas: Canvas, middle: float, height: float, *, centre_y: float, size: float, lumbar: bool, label: int
) -> None:
    """Paint a vertebra, `middle` and `height` (mm) being its body's, and half of the discs above and below."""
    box = canvas.box((-45, centre_y - 70, middle - 32), (45, centre_y + 20, middle + 28))
    x, y, z = canvas.coordinates(box)
    v, w = y - centre_y, z - middle
    waist = 1 - 0.1 * np.clip(1 - (2 * w / height) ** 2, 0, 1)
    column = np.maximum(ellipse(x / waist, v / waist, (23.5 * size, 16.5 * size)), -v - 14.5 * size)
    canvas.paint(box, np.maximum(column + 1, np.abs(w) - height / 2 - 6), Tissue.DISC)
    bone = np.maximum(column, 2 * np.abs(w) - height)  # a thin endplate
    arch = np.maximum(np.abs(ellipse(x, v + 24, (14.5, 11.5))) - 3.2, np.abs(w - 1) - 0.36 * height)
    reach, back, rise = (37, -33, 3) if lumbar else (27, -36, 5)
    wings = capsule(np.abs(x), v, w, start=(13, -24, 2), end=(reach, back, rise), radii=(5, 3.5))
    facets = capsule(np.abs(x), v, w, start=(15, -33, -12), end=(16, -31, 12), radii=(5, 5))
    spinous = capsule(x * 0, v, w, start=(0, -36, 0), end=(0, -50, -6 if lumbar else -18), radii=(7, 7))
    process = np.maximum(spinous, np.abs(x) - 3.2)
    for part in (arch, wings, facets, process, bone):
        paint_bone(canvas, box, part, label=label)
