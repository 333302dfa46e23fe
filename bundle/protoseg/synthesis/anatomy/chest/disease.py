"""Diseases of some people's lungs: effusion, consolidation, ground glass, nodules."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import SmoothNoise, ellipsoid
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_lung_disease"]

LUNG = {Tissue.LUNG}


def paint_lung_disease(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the diseases that this person happens to have; only fluid outside the lung loses the lung's label."""
    if rng.random() < 0.25:
        for side in (-1, 1):
            if rng.random() < 0.6:
                _paint_effusion(canvas, rng, side=side)
    if rng.random() < 0.25:
        _paint_consolidation(canvas, rng)
    if rng.random() < 0.2:
        _paint_ground_glass(canvas, rng)
    if rng.random() < 0.35:
        _paint_nodules(canvas, rng)


def _paint_effusion(canvas: Canvas, rng: np.random.Generator, *, side: int) -> None:
    """Fluid sinks to a lying person's back, in a crescent, and presses the lung above it together."""
    x, y, z = canvas.coordinates(canvas.everywhere)
    level = y - rng.uniform(-78, -40) + 0.12 * (z + 120) - 0.12 * np.abs(x)
    depth = np.maximum(level, 1 - side * x)
    collapsed = np.maximum(depth - rng.uniform(2, 14), z + rng.uniform(40, 90))
    canvas.paint(canvas.everywhere, collapsed, Tissue.MUCOSA, label=None, over=LUNG)
    canvas.paint(canvas.everywhere, depth, Tissue.CYST, over=LUNG | {Tissue.MUCOSA, Tissue.VEIN, Tissue.ARTERY})


def _paint_consolidation(canvas: Canvas, rng: np.random.Generator) -> None:
    centre = (rng.choice([-1, 1]) * rng.uniform(60, 110), rng.uniform(-75, 30), rng.uniform(-130, 20))
    radii = (rng.uniform(12, 34), rng.uniform(12, 34), rng.uniform(12, 40))
    box = canvas.around(centre, np.multiply(1.4, radii))
    patch = ellipsoid(*canvas.coordinates(box), centre=centre, radii=radii)
    patch += 5 * canvas.noise(SmoothNoise(rng, 18.0), box) + 3 * canvas.noise(SmoothNoise(rng, 8.0), box)
    canvas.paint(box, patch, Tissue.MUCOSA, label=None, over=LUNG)


def _paint_ground_glass(canvas: Canvas, rng: np.random.Generator) -> None:
    """Every voxel of some patches is part lung, part soft tissue."""
    everywhere = canvas.everywhere
    patches = canvas.noise(SmoothNoise(rng, 40.0), everywhere) - rng.uniform(0.2, 1.2)
    share = rng.uniform(0.2, 0.45) * np.clip(2 * patches, 0, 1)
    canvas.paint(everywhere, (0.5 - share) * canvas.pixel, Tissue.MUCOSA, label=None, over=LUNG)


def _paint_nodules(canvas: Canvas, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 6)):
        centre = (rng.choice([-1, 1]) * rng.uniform(45, 115), rng.uniform(-75, 50), rng.uniform(-150, 60))
        radius = min(3 + rng.exponential(5), 22)
        box = canvas.around(centre, (1.5 * radius,) * 3)
        nodule = ellipsoid(*canvas.coordinates(box), centre=centre, radii=(radius, radius, radius))
        nodule += 0.15 * radius * canvas.noise(SmoothNoise(rng, 8.0), box)
        canvas.paint(box, nodule, Tissue.MUCOSA, label=None, over=LUNG)
