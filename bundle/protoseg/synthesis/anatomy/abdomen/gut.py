"""The hollow organs from esophagus to colon: walls, and what they hold."""

import numpy as np

from protoseg.synthesis.anatomy.abdomen.labels import ABDOMEN_LABELS
from protoseg.synthesis.anatomy.abdomen.organs import CAVITY
from protoseg.synthesis.anatomy.abdomen.trunk import Trunk, by_spine
from protoseg.synthesis.anatomy.bowel_loops import paint_loops, paint_lumen
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import SmoothNoise
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_colon", "paint_small_bowel", "paint_stomach"]


def paint_stomach(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    """Paint esophagus, stomach and duodenum."""
    oesophagus = [by_spine(-10, 26, 190), by_spine(-14, 38, 130), (-30, -8, 106)]
    box, distance = canvas.tube(oesophagus, [7, 7, 8])
    canvas.paint(box, distance, Tissue.GUT_WALL, over=CAVITY | {Tissue.LUNG})
    fullness = rng.uniform(0.75, 1.15)
    course = [(-46, -18, 108), (-58, -6, 90), (-72, 24, 60), (-52, 46, 30), (-16, 52, 12), (26, 34, 14)]
    path = np.add(course, rng.normal(0, 4, (6, 3)))
    widths = [34 * fullness, 42 * fullness, 38 * fullness, 28 * fullness, 20 * fullness, 9]
    box, distance = canvas.tube(path, widths)
    distance += 2.5 * canvas.noise(SmoothNoise(rng, 30.0), box)
    distance += 0.8 * canvas.noise(SmoothNoise(rng, 10.0), box)
    distance = np.maximum(distance, np.maximum(trunk.cavity[box] + 3, trunk.diaphragm[box] + 3.5))
    canvas.paint(box, distance, Tissue.GUT_WALL, label=ABDOMEN_LABELS["stomach"], over=CAVITY)
    content = Tissue.GUT_FLUID if rng.random() < 0.6 else Tissue.STOOL
    paint_lumen(canvas, box, distance, content=content, wall=4.0, gas_above=rng.uniform(22, 60))
    loop = [(26, 34, 14), (46, 20, 8), (52, 8, -16), (44, 4, -42), (8, 6, -48), (-22, 8, -28), (-38, 24, -30)]
    box, distance = canvas.tube(np.add(loop, rng.normal(0, 2.5, (7, 3))), [9, 12, 12, 12, 10, 11, 12])
    distance += 0.8 * canvas.noise(SmoothNoise(rng, 10.0), box)
    canvas.paint(box, distance, Tissue.GUT_WALL, label=ABDOMEN_LABELS["bowel"], over=CAVITY)
    paint_lumen(canvas, box, distance, content=Tissue.GUT_FLUID, wall=3.0, gas_above=rng.uniform(10, 60))


def paint_colon(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    """Paint the frame around the small bowel, with haustra, stool and gas."""
    ascending = [(88, 4, -170), (98, -4, -130), (104, -12, -80), (96, 0, -42)]
    sagging = rng.uniform(-75, -45)
    transverse = [(72, 46, -44), (36, 66, -52), (-8, 70, sagging), (-52, 62, -24), (-86, 34, 14)]
    descending = [(-108, -4, 26), (-114, -26, -10), (-110, -24, -60), (-104, -12, -120), (-84, 6, -170)]
    path = np.array(ascending + transverse + descending)
    path = path + rng.normal(0, 4, path.shape)
    base = rng.uniform(0.85, 1.1)
    widths = [base * w for w in (25, 25, 23, 21, 19, 19, 19, 18, 17, 16, 13, 13, 14, 16)]
    box, distance = canvas.tube(path, widths, step=10)
    distance += 2.6 * canvas.noise(SmoothNoise(rng, 15.0), box)
    distance = np.maximum(distance, trunk.cavity[box] + 2.5)
    canvas.paint(box, distance, Tissue.GUT_WALL, label=ABDOMEN_LABELS["bowel"], over=CAVITY)
    paint_lumen(canvas, box, distance, content=Tissue.STOOL, wall=2.6, gas_above=rng.uniform(45, 75))
    bubbles = 1.1 - canvas.noise(SmoothNoise(rng, 9.0), box)
    canvas.paint(box, np.maximum(bubbles * 5, distance + 4), Tissue.GAS, label=None, over={Tissue.STOOL})


def paint_small_bowel(canvas: Canvas, trunk: Trunk, rng: np.random.Generator, *, fatness: float) -> None:
    """Paint loops in front of the spine, below stomach and liver; the fatter the person, the fewer."""
    x, y, z = canvas.coordinates(canvas.everywhere)
    bay = (trunk.cavity < 0) & (trunk.diaphragm < -12) & (y > -22) & (z < 20 + 0.25 * y - 0.25 * x)
    paint_loops(canvas, rng, bay=bay, share=1.0 - 0.45 * fatness, label=ABDOMEN_LABELS["bowel"])
