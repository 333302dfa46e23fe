"""A person's chest: proportions drawn at random, then every part painted in order."""

from collections.abc import Sequence

import numpy as np

from protoseg.synthesis.anatomy.abdomen.gut import paint_stomach
from protoseg.synthesis.anatomy.abdomen.organs import paint_liver, paint_spleen
from protoseg.synthesis.anatomy.abdomen.vessels import paint_liver_vessels
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.chest.airways import paint_airways, paint_oesophagus, paint_thyroid
from protoseg.synthesis.anatomy.chest.disease import paint_lung_disease
from protoseg.synthesis.anatomy.chest.frame import in_abdominal_coordinates
from protoseg.synthesis.anatomy.chest.heart import paint_heart
from protoseg.synthesis.anatomy.chest.labels import CHEST_LABELS
from protoseg.synthesis.anatomy.chest.lungs import paint_lung_vessels, paint_lungs
from protoseg.synthesis.anatomy.chest.mediastinum import paint_mediastinum
from protoseg.synthesis.anatomy.chest.shoulders import ARMS_DOWN, ARMS_UP, paint_shoulder_bones
from protoseg.synthesis.anatomy.chest.skeleton import paint_chest_skeleton
from protoseg.synthesis.anatomy.chest.vessels import paint_aorta, paint_chest_veins, paint_pulmonary_vessels
from protoseg.synthesis.anatomy.chest.wall import paint_chest_wall
from protoseg.synthesis.anatomy.region import Region
from protoseg.synthesis.anatomy.shapes import Array
from protoseg.synthesis.anatomy.table import paint_table
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["CHEST", "paint_chest"]

MANY_PIECES = {"aorta", "vertebrae", "ribs", "scapulae", "clavicles", "humeri", "thyroid"}
"""What comes in several pieces, or in two where a scan ends half-way along it."""


def paint_chest(seed: np.random.SeedSequence, *, axes: Sequence[Array], table: bool) -> Canvas:
    """Paint a person from the thyroid to the domes of the diaphragm, see `PaintPerson`.

    The origin lies on the midline in the middle of the chest, where the trachea forks.
    """
    habitus, warp, *parts = (np.random.default_rng(child) for child in seed.spawn(20))
    fatness, build = float(habitus.beta(1.4, 1.5)), habitus.normal(0, 0.03)
    female = bool(habitus.random() < 0.5)
    arms = ARMS_UP if habitus.random() < 0.6 else ARMS_DOWN
    proportions = (
        0.98 + build + 0.06 * fatness - 0.04 * female + habitus.normal(0, 0.02),
        0.95 + build + 0.16 * fatness - 0.02 * female + habitus.normal(0, 0.03),
        1.00 - 0.04 * female + habitus.normal(0, 0.04),
    )
    blood = Tissue(habitus.choice([Tissue.VEIN, Tissue.PORTAL_VEIN, Tissue.ARTERY]))
    canvas = Canvas(warp, axes=axes, proportions=proportions, deformation=habitus.uniform(2.5, 4.5))
    breath = float(habitus.uniform(252, 276))  # mm down to the abdomen's origin: the diaphragm's height
    below = in_abdominal_coordinates(canvas, depth=breath)
    chest = paint_chest_wall(canvas, below, parts[0], arms=arms, fatness=fatness, female=female)
    if table:
        paint_table(canvas)
    paint_lungs(canvas, chest, parts[1])
    paint_chest_skeleton(canvas, chest, parts[2])
    paint_shoulder_bones(canvas, parts[3], arms=arms)
    paint_mediastinum(canvas, chest, parts[4], fatness=fatness)
    paint_liver(below, chest, parts[5])
    paint_liver_vessels(below, parts[6])
    paint_spleen(below, chest, parts[7])
    paint_stomach(below, chest, parts[8])
    paint_heart(canvas, chest, parts[9], right_blood=blood, fatness=fatness, depth=breath)
    paint_chest_veins(canvas, parts[10], arms=arms, blood=blood)
    paint_pulmonary_vessels(canvas, parts[11], blood=blood)
    paint_aorta(canvas, parts[12], arms=arms)
    paint_airways(canvas, parts[13])
    paint_oesophagus(canvas, parts[14], depth=breath)
    paint_thyroid(canvas, parts[15])
    paint_lung_vessels(canvas, parts[16], blood=blood)
    paint_lung_disease(canvas, parts[17])
    whole = [value for name, value in CHEST_LABELS.items() if name not in MANY_PIECES]
    canvas.sweep_crumbs(whole, into=Tissue.VISCERAL_FAT)
    return canvas


CHEST = Region("chest", CHEST_LABELS, paint_chest, middle=(-95, 0), forwards=-6)
"""From the thyroid to the domes of the diaphragm."""
