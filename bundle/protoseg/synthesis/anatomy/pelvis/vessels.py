"""Iliac and femoral vessels, with the ends of aorta and vena cava that they hang on."""

from dataclasses import dataclass

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.pelvis.body import FAT
from protoseg.synthesis.anatomy.pelvis.labels import PELVIS_LABELS
from protoseg.synthesis.anatomy.shapes import Array
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_vessels"]

Course = tuple[tuple[float, float, float, float], ...]  # x, y, z and radius, in mm


@dataclass(frozen=True)
class Tree:
    """Arteries or veins from the great vessel down, those of the right side; the left ones mirror them."""

    tissue: Tissue
    great_label: str
    iliac_label: str
    great: Course  # starts at the fork
    external: Course  # common and external iliac vessel, after the fork
    internal: Course  # from the external course's second point
    femoral: Course  # from the external course's last point
    branch: Course  # the one that stands out in the thigh


VEINS = Tree(
    Tissue.VEIN,
    "vena_cava",
    "iliac_veins",
    great=((17, 4, 136, 10), (18, 6, 170, 11), (19, 4, 235, 12)),
    external=((34, -10, 112, 8), (48, -24, 86, 7), (52, -8, 58, 6.5), (64, 24, 26, 6), (66, 42, 6, 6)),
    internal=((42, -44, 62, 4.5), (41, -52, 36, 4), (40, -42, 14, 2.5)),
    femoral=((67, 37, -30, 6), (70, 23, -100, 5), (74, 8, -170, 4.5), (82, -4, -240, 4.5)),
    branch=((65, 46, -12, 2.5), (54, 58, -40, 2.2), (40, 52, -120, 2), (30, 32, -220, 2)),  # great saphenous vein
)
ARTERIES = Tree(
    Tissue.ARTERY,
    "aorta",
    "iliac_arteries",
    great=((-3, 10, 152, 8.5), (-5, 10, 185, 9), (-7, 8, 235, 9.5)),
    external=((26, 0, 118, 6), (46, -14, 88, 5.4), (56, 4, 60, 4.6), (72, 32, 26, 4.6), (78, 45, 6, 4.6)),
    internal=((48, -34, 66, 3.2), (46, -46, 38, 2.8), (44, -36, 14, 2)),
    femoral=((78, 42, -30, 4.6), (74, 30, -100, 3.8), (70, 16, -170, 3.5), (74, 4, -240, 3.5)),
    branch=((80, 40, -32, 3.4), (92, 24, -70, 2.6), (94, 12, -120, 2)),  # deep femoral artery
)


def paint_vessels(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint veins first: at the pelvic brim the arteries cross in front of them."""
    wide, winding = rng.uniform(0.88, 1.15), rng.uniform(1, 4)
    for tree in (VEINS, ARTERIES):
        size = np.array([1, 1, 1, wide])
        great = np.multiply(tree.great, size)
        _paint(canvas, great, tree.tissue, label=PELVIS_LABELS[tree.great_label])
        for side in (1, -1):
            mirror = size * (side, 1, 1, 1)
            external = _sway(rng, np.multiply(tree.external, mirror), by=0.8 * winding)
            internal = _sway(rng, np.multiply(tree.internal, mirror), by=winding)
            iliac = PELVIS_LABELS[tree.iliac_label]
            _paint(canvas, np.vstack([great[:1] * (1, 1, 1, 0.75), external]), tree.tissue, label=iliac)
            _paint(canvas, np.vstack([external[1:2] * (1, 1, 1, 0.7), internal]), tree.tissue, label=iliac)
            femoral = _sway(rng, np.multiply(tree.femoral, mirror), by=1)
            _paint(canvas, np.vstack([external[-1:], femoral]), tree.tissue)
            _paint(canvas, _sway(rng, np.multiply(tree.branch, mirror), by=1), tree.tissue)


def _sway(rng: np.random.Generator, course: Array, *, by: float) -> Array:
    """A course whose points are moved at random by about `by` mm."""
    moved = course.copy()
    moved[:, :3] += rng.normal(0, by, (len(course), 3))
    return moved


def _paint(canvas: Canvas, course: Array, tissue: Tissue, *, label: int = 0) -> None:
    box, distance = canvas.tube(course[:, :3], course[:, 3], step=6)
    canvas.paint(box, distance - 1.5, Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})
    canvas.paint(box, distance, tissue, label=label, over=FAT | {Tissue.MUSCLE})
