"""The hollow organs from oesophagus to colon: walls, and what they hold."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from protoseg.data.anatomy.abdomen.organs import CAVITY
from protoseg.data.anatomy.abdomen.trunk import Trunk, by_spine
from protoseg.data.anatomy.canvas import Box, Canvas
from protoseg.data.anatomy.shapes import Array, SmoothNoise
from protoseg.data.anatomy.tissues import ORGANS, Tissue

__all__ = ["paint_colon", "paint_loops", "paint_lumen", "paint_small_bowel", "paint_stomach"]


def paint_lumen(canvas: Canvas, box: Box, distance: Array, *, content: Tissue, wall: float, gas_above: float) -> None:
    """Fill a hollow organ: content, and gas above a level since it rises to the front of a lying person."""
    inside = distance + wall
    canvas.paint(box, inside, content, label=None, over={Tissue.GUT_WALL})
    level = gas_above - np.broadcast_to(canvas.template_axes[1][box[1]][None, :, None], inside.shape)
    canvas.paint(box, np.maximum(inside, level), Tissue.GAS, label=None, over={content})


def paint_stomach(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    """Oesophagus, stomach and duodenum."""
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
    canvas.paint(box, distance, Tissue.GUT_WALL, label=ORGANS["stomach"], over=CAVITY)
    content = Tissue.GUT_FLUID if rng.random() < 0.6 else Tissue.STOOL
    paint_lumen(canvas, box, distance, content=content, wall=4.0, gas_above=rng.uniform(22, 60))
    loop = [(26, 34, 14), (46, 20, 8), (52, 8, -16), (44, 4, -42), (8, 6, -48), (-22, 8, -28), (-38, 24, -30)]
    box, distance = canvas.tube(np.add(loop, rng.normal(0, 2.5, (7, 3))), [9, 12, 12, 12, 10, 11, 12])
    distance += 0.8 * canvas.noise(SmoothNoise(rng, 10.0), box)
    canvas.paint(box, distance, Tissue.GUT_WALL, label=ORGANS["bowel"], over=CAVITY)
    paint_lumen(canvas, box, distance, content=Tissue.GUT_FLUID, wall=3.0, gas_above=rng.uniform(10, 60))


def paint_colon(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    """The frame round the small bowel, with haustra, stool and gas."""
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
    canvas.paint(box, distance, Tissue.GUT_WALL, label=ORGANS["bowel"], over=CAVITY)
    paint_lumen(canvas, box, distance, content=Tissue.STOOL, wall=2.6, gas_above=rng.uniform(45, 75))
    bubbles = 1.1 - canvas.noise(SmoothNoise(rng, 9.0), box)
    canvas.paint(box, np.maximum(bubbles * 5, distance + 4), Tissue.GAS, label=None, over={Tissue.STOOL})


def paint_small_bowel(canvas: Canvas, trunk: Trunk, rng: np.random.Generator, *, fatness: float) -> None:
    """Loops in front of the spine, below stomach and liver; the fatter, the fewer."""
    x, y, z = canvas.coordinates(canvas.everywhere)
    bay = (trunk.cavity < 0) & (trunk.diaphragm < -12) & (y > -22) & (z < 20 + 0.25 * y - 0.25 * x)
    paint_loops(canvas, rng, bay=bay, share=1.0 - 0.45 * fatness, label=ORGANS["bowel"])


def paint_loops(canvas: Canvas, rng: np.random.Generator, *, bay: NDArray[np.bool_], share: float, label: int) -> None:
    """Small bowel that wanders through the fat of `bay` (X, Y, Z) until it has filled a share of it."""
    radius = rng.uniform(10.5, 13.5)
    for path in _loops(canvas, bay, rng, radius=radius, share=share):
        calibre = radius * rng.uniform(0.85, 1.2)
        box, distance = canvas.tube(path, calibre * rng.uniform(0.85, 1.15, len(path)), step=7)
        distance += 1.1 * canvas.noise(SmoothNoise(rng, 9.0), box)
        canvas.paint(box, distance, Tissue.GUT_WALL, label=label, over=CAVITY)
        wall = rng.choice([2.4, 3.0, 6.0])
        level = float(np.quantile(path[:, 1], rng.uniform(0.6, 1.0))) + rng.uniform(0, 14)
        paint_lumen(canvas, box, distance, content=Tissue.GUT_FLUID, wall=wall, gas_above=level)


def _loops(
    canvas: Canvas, bay: NDArray[np.bool_], rng: np.random.Generator, *, radius: float, share: float
) -> list[NDArray[np.float32]]:
    """Self-avoiding random walks through free space: lists of control points (template mm)."""
    free = _free_points(canvas, bay, clearance=0.72 * radius)
    target = int(share * len(free))
    total, loops = len(free), list[NDArray[np.float32]]()
    while len(free) > max(total - target, 3):
        path = [free[rng.integers(len(free))]]
        heading = rng.normal(0, 1, 3).astype(np.float32)
        for _ in range(rng.integers(6, 16)):
            steps = free - path[-1]
            length = np.linalg.norm(steps, axis=1)
            near = (length > 0.9 * radius) & (length < 1.6 * radius)
            if not near.any():
                break
            options = steps[near] / length[near, None]
            best = np.argmax(options @ heading + rng.normal(0, 0.35, len(options)))
            heading = 0.7 * heading + options[best] + 0.25 * rng.normal(0, 1, 3).astype(np.float32)
            heading /= np.linalg.norm(heading)
            path.append(path[-1] + steps[near][best])
            free = free[np.linalg.norm(free - path[-2], axis=1) > 1.25 * radius]
        free = free[np.linalg.norm(free - path[-1], axis=1) > 1.5 * radius]
        if len(path) > 2:
            loops.append(np.stack(path))
    return loops


def _free_points(canvas: Canvas, bay: NDArray[np.bool_], *, clearance: float) -> NDArray[np.float32]:
    """Template coordinates (N, 3) of a bay's fat with room for a loop, on a grid of about 5 mm."""
    steps = [max(1, round(5.0 / float(axis[1] - axis[0]))) for axis in canvas.axes]
    thin = tuple(slice(None, None, step) for step in steps)
    sampling = [step * float(axis[1] - axis[0]) for step, axis in zip(steps, canvas.axes)]
    room = distance_transform_edt(canvas.tissue[thin] == Tissue.VISCERAL_FAT, sampling=sampling)
    x, y, z = (c[thin] for c in (canvas.x, canvas.y, canvas.z))
    free = bay[thin] & (room > clearance)
    return np.stack([x[free], y[free], z[free]], axis=1)
