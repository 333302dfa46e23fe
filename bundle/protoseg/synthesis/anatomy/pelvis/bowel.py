"""Colon and small bowel of the pelvis."""

import numpy as np
from numpy.typing import ArrayLike

from protoseg.synthesis.anatomy.bowel_loops import paint_loops, paint_lumen
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.pelvis.body import PelvicBody, spine_y
from protoseg.synthesis.anatomy.pelvis.labels import PELVIS_LABELS
from protoseg.synthesis.anatomy.shapes import Point, SmoothNoise
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_bowel"]


def paint_bowel(
    canvas: Canvas, body: PelvicBody, rng: np.random.Generator, *, rectum_top: Point, fatness: float
) -> None:
    """Paint sigmoid and descending colon, caecum and ascending colon, then small bowel where there is room."""
    sway = rng.uniform(-20, 20, 2)
    sigmoid = [(18 + sway[0], -12, 84), (22 + sway[1], 16, 92), (-26, 24, 78), (-56, 10, 76), (-80, 14, 96)]
    descending = [(-96, -4, 128), (-104, -18, 170), (-106, -24, 235)]
    course = np.array([rectum_top, *sigmoid, *descending])
    course[1:] += rng.normal(0, 5, (len(course) - 1, 3))
    slim = rng.uniform(0.85, 1.3)
    _paint_colon(canvas, body, course, np.multiply(slim, [12, 12, 13, 13, 12, 12, 13, 14, 15]), rng)
    caecum = np.array([(70, 26, 66), (80, 18, 92), (90, 4, 126), (98, -6, 170), (98, -8, 235)])
    caecum = caecum + rng.normal(0, 5, caecum.shape)
    _paint_colon(canvas, body, caecum, np.multiply(rng.uniform(0.85, 1.15), [19, 25, 26, 24, 23]), rng)
    _, y, z = canvas.coordinates(canvas.everywhere)
    bay = (body.cavity < 0) & (y > np.where(z > 92, spine_y(z) + 16, -40)) & (z > 22)
    paint_loops(canvas, rng, bay=bay, share=1.0 - 0.45 * fatness, label=PELVIS_LABELS["bowel"])


def _paint_colon(
    canvas: Canvas, body: PelvicBody, course: ArrayLike, radii: ArrayLike, rng: np.random.Generator
) -> None:
    box, distance = canvas.tube(course, radii, step=8)
    distance += 2.2 * canvas.noise(SmoothNoise(rng, 14.0), box)
    distance = np.maximum(distance, body.cavity[box] + 2)
    fat = {Tissue.VISCERAL_FAT}
    canvas.paint(box, distance, Tissue.GUT_WALL, label=PELVIS_LABELS["bowel"], over=fat)
    paint_lumen(canvas, box, distance, content=Tissue.STOOL, wall=2.8, gas_above=rng.uniform(10, 45))
    bubbles = 1.1 - canvas.noise(SmoothNoise(rng, 9.0), box)
    canvas.paint(box, np.maximum(bubbles * 5, distance + 4), Tissue.GAS, label=None, over={Tissue.STOOL})
