"""A person's pelvis: proportions drawn at random, then every part painted in order."""

from collections.abc import Sequence

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.pelvis.body import paint_body
from protoseg.synthesis.anatomy.pelvis.bones import paint_bones
from protoseg.synthesis.anatomy.pelvis.bowel import paint_bowel
from protoseg.synthesis.anatomy.pelvis.labels import PELVIS_LABELS
from protoseg.synthesis.anatomy.pelvis.muscles import paint_muscles
from protoseg.synthesis.anatomy.pelvis.organs import (
    paint_bladder,
    paint_genitals,
    paint_prostate,
    paint_rectum,
    paint_uterus,
    plan_bladder,
)
from protoseg.synthesis.anatomy.pelvis.vessels import paint_vessels
from protoseg.synthesis.anatomy.region import Region
from protoseg.synthesis.anatomy.shapes import Array
from protoseg.synthesis.anatomy.table import paint_table
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["PELVIS", "paint_pelvis"]

IN_ONE_PIECE = ("urinary_bladder", "prostate", "uterus", "rectum")


def paint_pelvis(seed: np.random.SeedSequence, *, axes: Sequence[Array], table: bool) -> Canvas:
    """Paint a man or a woman from the iliac crest to the upper thighs, see `PaintPerson`.

    The origin lies midway between the hip joints.
    """
    habitus, warp, *parts = (np.random.default_rng(child) for child in seed.spawn(12))
    woman = bool(habitus.random() < 0.5)
    fatness = float(habitus.beta(1.4, 1.5))
    build = (-0.02 if woman else 0.01) + habitus.normal(0, 0.03)
    proportions = (
        1.0 + build + 0.02 * fatness + habitus.normal(0, 0.02),
        0.98 + build + 0.10 * fatness + habitus.normal(0, 0.02),
        1.0 + build + habitus.normal(0, 0.025),
    )
    canvas = Canvas(warp, axes=axes, proportions=proportions, deformation=habitus.uniform(2.5, 4.5))
    body = paint_body(canvas, parts[0], fatness=fatness, woman=woman)
    paint_muscles(canvas, body, parts[1], fatness=fatness, woman=woman)
    paint_bones(canvas, parts[2], woman=woman)
    paint_vessels(canvas, parts[3])
    rectum_top = paint_rectum(canvas, parts[4])
    bladder = plan_bladder(parts[5], woman=woman)
    if woman:
        paint_uterus(canvas, body, bladder, parts[6])
    else:
        paint_prostate(canvas, parts[6])
        paint_genitals(canvas, parts[7])
    paint_bladder(canvas, body, bladder, parts[8])
    paint_bowel(canvas, body, parts[9], rectum_top=rectum_top, fatness=fatness)
    canvas.sweep_crumbs([PELVIS_LABELS[organ] for organ in IN_ONE_PIECE], into=Tissue.VISCERAL_FAT)
    if table:
        paint_table(canvas)
    return canvas


PELVIS = Region("pelvis", PELVIS_LABELS, paint_pelvis, middle=(5, 45), forwards=-22)
"""From the iliac crest to the upper thighs."""
