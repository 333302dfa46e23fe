"""A person's abdomen: proportions drawn at random, then every part painted in order."""

from collections.abc import Sequence

import numpy as np

from protoseg.synthesis.anatomy.abdomen.gut import paint_colon, paint_small_bowel, paint_stomach
from protoseg.synthesis.anatomy.abdomen.labels import ABDOMEN_LABELS
from protoseg.synthesis.anatomy.abdomen.organs import (
    paint_gallbladder,
    paint_kidneys,
    paint_liver,
    paint_pancreas,
    paint_spleen,
)
from protoseg.synthesis.anatomy.abdomen.skeleton import paint_skeleton
from protoseg.synthesis.anatomy.abdomen.trunk import paint_trunk
from protoseg.synthesis.anatomy.abdomen.vessels import (
    paint_branches,
    paint_great_vessels,
    paint_liver_vessels,
    paint_mesentery,
)
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.region import Region
from protoseg.synthesis.anatomy.shapes import Array
from protoseg.synthesis.anatomy.table import paint_table
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["ABDOMEN", "paint_abdomen"]

IN_ONE_PIECE = ("spleen", "right_kidney", "left_kidney", "liver", "gallbladder", "stomach")


def paint_abdomen(seed: np.random.SeedSequence, *, axes: Sequence[Array], table: bool) -> Canvas:
    """Paint a person from the lung bases to about the iliac crest, see `PaintPerson`.

    The origin lies on the midline in the middle of the trunk, at the disc between the first two lumbar vertebrae.
    """
    habitus, warp, *parts = (np.random.default_rng(child) for child in seed.spawn(16))
    fatness = float(habitus.beta(1.4, 1.5))
    build = habitus.normal(0, 0.03)
    proportions = (
        0.99 + build + 0.06 * fatness + habitus.normal(0, 0.02),
        0.96 + build + 0.26 * fatness + habitus.normal(0, 0.02),
        1.00 + habitus.normal(0, 0.03),
    )
    canvas = Canvas(warp, axes=axes, proportions=proportions, deformation=habitus.uniform(3, 5))
    trunk = paint_trunk(canvas, parts[0], fatness=fatness)
    if table:
        paint_table(canvas)
    paint_skeleton(canvas, trunk, parts[1])
    paint_liver(canvas, trunk, parts[2])
    paint_kidneys(canvas, parts[3])
    paint_spleen(canvas, trunk, parts[4])
    paint_great_vessels(canvas, parts[5])
    paint_liver_vessels(canvas, parts[6])
    paint_gallbladder(canvas, parts[7])
    paint_pancreas(canvas, parts[8])
    paint_stomach(canvas, trunk, parts[9])
    paint_branches(canvas, parts[10])
    paint_colon(canvas, trunk, parts[11])
    paint_mesentery(canvas, parts[12])
    paint_small_bowel(canvas, trunk, parts[13], fatness=fatness)
    canvas.sweep_crumbs([ABDOMEN_LABELS[organ] for organ in IN_ONE_PIECE], into=Tissue.VISCERAL_FAT)
    return canvas


ABDOMEN = Region("abdomen", ABDOMEN_LABELS, paint_abdomen, middle=(12, 30), forwards=-4)
"""From the lung bases to about the iliac crest."""
