"""The content of hollow organs, and small bowel in loops."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from protoseg.synthesis.anatomy.canvas import Box, Canvas
from protoseg.synthesis.anatomy.shapes import Array, SmoothNoise
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_loops", "paint_lumen"]


def paint_lumen(canvas: Canvas, box: Box, distance: Array, *, content: Tissue, wall: float, gas_above: float) -> None:
    """Fill a hollow organ: content, and gas above a level, since it rises to the front of a person lying down."""
    inside = distance + wall
    canvas.paint(box, inside, content, label=None, over={Tissue.GUT_WALL})
    level = gas_above - np.broadcast_to(canvas.template_axes[1][box[1]][None, :, None], inside.shape)
    canvas.paint(box, np.maximum(inside, level), Tissue.GAS, label=None, over={content})


def paint_loops(canvas: Canvas, rng: np.random.Generator, *, bay: NDArray[np.bool_], share: float, label: int) -> None:
    """Paint small bowel that wanders through the fat of `bay` (X, Y, Z) until it fills a share of it."""
    radius = rng.uniform(10.5, 13.5)
    for path in _loops(canvas, bay, rng, radius=radius, share=share):
        calibre = radius * rng.uniform(0.85, 1.2)
        box, distance = canvas.tube(path, calibre * rng.uniform(0.85, 1.15, len(path)), step=7)
        distance += 1.1 * canvas.noise(SmoothNoise(rng, 9.0), box)
        canvas.paint(box, distance, Tissue.GUT_WALL, label=label, over={Tissue.VISCERAL_FAT})
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
