"""A person's head and neck: proportions drawn at random, then every part painted in order."""

from collections.abc import Sequence

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.head.brain import paint_brainstem, paint_cerebellum, paint_cerebrum
from protoseg.synthesis.anatomy.head.deep_brain import paint_deep_brain
from protoseg.synthesis.anatomy.head.face import (
    paint_chewing_muscles,
    paint_orbits,
    paint_salivary_glands,
    paint_soft_face,
    paint_tongue,
)
from protoseg.synthesis.anatomy.head.frame import measure_head
from protoseg.synthesis.anatomy.head.labels import HEAD_LABELS
from protoseg.synthesis.anatomy.head.lesions import paint_lesions
from protoseg.synthesis.anatomy.head.neck import paint_airway, paint_neck_muscles, paint_neck_vessels, paint_thyroid
from protoseg.synthesis.anatomy.head.nose import paint_nose
from protoseg.synthesis.anatomy.head.skull import paint_mandible, paint_skull
from protoseg.synthesis.anatomy.head.spine import paint_cervical_spine
from protoseg.synthesis.anatomy.head.vessels import paint_brain_vessels
from protoseg.synthesis.anatomy.region import Region
from protoseg.synthesis.anatomy.shapes import Array
from protoseg.synthesis.anatomy.table import paint_table

__all__ = ["HEAD", "paint_head"]


def paint_head(seed: np.random.SeedSequence, *, axes: Sequence[Array], table: bool) -> Canvas:
    """Paint a person from the vertex to the thyroid, see `PaintPerson`.

    The origin lies on the midline between the ear canals; the vertex is at about z = 126 mm, the chin at -98, the
    thyroid between -100 and -135.
    """
    habitus, warp, *parts = (np.random.default_rng(child) for child in seed.spawn(18))
    fatness = float(habitus.beta(1.4, 1.6))
    width, depth, height = 1.02 + habitus.normal(0, 0.022) + habitus.normal(0, 0.015, 3)
    proportions = (float(width), float(depth), float(height))
    canvas = Canvas(warp, axes=axes, proportions=proportions, deformation=habitus.uniform(1.2, 2.2))
    _nod(canvas, float(np.clip(habitus.normal(0, 2.5), -5, 5)))
    age = float(habitus.beta(1.2, 1.6))  # 0 is young
    ventricles = 0.75 + 0.9 * age + (habitus.random() < 0.08) * habitus.uniform(0.4, 1.0)
    head = measure_head(canvas, parts[0], neck=habitus.normal(0.95 + 0.14 * fatness, 0.05))
    paint_soft_face(canvas, head, parts[1], fatness=fatness)
    paint_neck_muscles(canvas, head, parts[2], fatness=fatness)
    paint_salivary_glands(canvas, head, parts[3])
    paint_chewing_muscles(canvas, head, parts[4])
    paint_tongue(canvas, parts[5])
    paint_cervical_spine(canvas, parts[6])
    paint_airway(canvas, parts[7])
    paint_thyroid(canvas, parts[8])
    paint_skull(canvas, head, parts[9])
    paint_nose(canvas, head, parts[10])
    paint_mandible(canvas, parts[11])
    paint_orbits(canvas, head, parts[12])
    paint_neck_vessels(canvas, parts[13])
    paint_cerebrum(canvas, head, parts[14], atrophy=age)
    paint_cerebellum(canvas, head, parts[15], atrophy=age)
    paint_brainstem(canvas, parts[15])
    paint_deep_brain(canvas, parts[15], ventricles=ventricles)
    paint_brain_vessels(canvas, head, parts[13])
    paint_lesions(canvas, parts[15])
    if table:
        paint_table(canvas)
    return canvas


def _nod(canvas: Canvas, degrees: float) -> None:
    """Tilt the chin, about a point near the atlas."""
    angle = np.deg2rad(degrees)
    y, z = canvas.y + 10, canvas.z + 20
    canvas.y = np.float32(np.cos(angle)) * y - np.float32(np.sin(angle)) * z - 10
    canvas.z = np.float32(np.sin(angle)) * y + np.float32(np.cos(angle)) * z - 20


HEAD = Region("head", HEAD_LABELS, paint_head, middle=(-25, 10))
"""From the vertex to the thyroid."""
