"""The brain's large vessels: the venous sinuses in the dura and the arteries at its base."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.head.frame import Head, paired_tube
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_brain_vessels"]

CISTERNS = {Tissue.CEREBROSPINAL_FLUID, Tissue.CORTICAL_BONE, Tissue.SPONGY_BONE}


def paint_brain_vessels(canvas: Canvas, head: Head, rng: np.random.Generator) -> None:
    """Paint sagittal, straight, transverse and sigmoid sinuses; carotid, middle and anterior cerebral arteries."""
    box = canvas.box((-8, -95, 5), (8, 70, 122))
    x, y, z = canvas.coordinates(box)
    sagittal = np.maximum(np.abs(x) + 0.8 * (-head.cavity[box] - 1) - 4, np.abs(head.cavity[box] + 2) - 4)
    sagittal = np.maximum(sagittal, np.minimum(y, 60 - z) - 20)
    canvas.paint(box, sagittal, Tissue.VEIN, label=0, over=set(Tissue) - {Tissue.SKIN})
    box, straight = canvas.tube([(0, -30, 42), (0, -60, 28), (0, -86, 14)], [1.8, 2.2, 3], step=6)
    canvas.paint(box, straight, Tissue.VEIN)
    width = rng.uniform(0.7, 1.2)
    path = [(0, -88, 13), (30, -76, 14), (52, -45, 14), (46, -24, 4), (34, -14, -6)]
    box, transverse = paired_tube(canvas, path, [3, 3.2 * width, 3.4 * width, 3.8 * width, 4 * width], step=6)
    canvas.paint(box, transverse, Tissue.VEIN, over=CISTERNS)
    siphon = [(24, 2, -4), (22, 6, 6), (13, 10, 14), (11, 20, 20), (10, 16, 29), (20, 18, 32), (36, 16, 38)]
    box, artery = paired_tube(canvas, siphon, [2.6, 2.5, 2.4, 2.3, 2, 1.5, 1.2], step=5)
    canvas.paint(box, artery, Tissue.ARTERY, label=0)
    box, anterior = paired_tube(
        canvas, [(9, 17, 30), (2.5, 30, 36), (2, 50, 48), (2, 42, 68)], [1.3, 1.1, 1, 1], step=5
    )
    canvas.paint(box, anterior, Tissue.ARTERY, label=0, over={Tissue.CEREBROSPINAL_FLUID})
    box, basilar = canvas.tube([(0, 8, 8), (0, 8, 20), (0, 4, 30)], [1.8, 1.8, 1.6], step=5)
    canvas.paint(box, basilar, Tissue.ARTERY, label=0)
