"""Lesions of the brain: a tumor with edema, an infarct, small lesions of the white matter."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import SmoothNoise, ellipsoid
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_lesions"]

# Stand-ins of the right brightness: water-rich tissue, and a rim that contrast medium reaches.
OEDEMA, TUMOUR = Tissue.GUT_FLUID, Tissue.MUCOSA
BRAIN = {Tissue.GRAY_MATTER, Tissue.WHITE_MATTER}


def paint_lesions(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint at most one kind, in most people none; the labels stay those of the healthy brain."""
    kind = rng.choice(["none", "tumour", "infarct", "spots"], p=[0.6, 0.15, 0.08, 0.17])
    if kind == "tumour":
        _paint_tumour(canvas, rng)
    elif kind == "infarct":
        centre = (rng.choice([-1, 1]) * rng.uniform(40, 54), rng.uniform(-50, 45), rng.uniform(45, 85))
        radii = rng.uniform(12, 26, 3)
        box = canvas.around(centre, radii)
        wedge = ellipsoid(*canvas.coordinates(box), centre=centre, radii=tuple(radii))
        canvas.paint(box, wedge + 4 * canvas.noise(SmoothNoise(rng, 14.0), box), OEDEMA, label=None, over=BRAIN)
    elif kind == "spots":
        for _ in range(int(rng.integers(4, 16))):
            centre = (rng.choice([-1, 1]) * rng.uniform(18, 34), rng.uniform(-50, 45), rng.uniform(58, 82))
            radius = rng.uniform(1.5, 4.5)
            box = canvas.around(centre, (radius,) * 3)
            spot = ellipsoid(*canvas.coordinates(box), centre=centre, radii=(radius, 1.3 * radius, radius))
            canvas.paint(box, spot, OEDEMA, label=None, over={Tissue.WHITE_MATTER})


def _paint_tumour(canvas: Canvas, rng: np.random.Generator) -> None:
    """An uneven ball, its middle often dead, in white matter that swells round it."""
    centre = (rng.choice([-1, 1]) * rng.uniform(26, 46), rng.uniform(-50, 45), rng.uniform(50, 86))
    radius = rng.uniform(6, 19)
    reach = radius + rng.uniform(4, 18)
    box = canvas.around(centre, (reach + 6,) * 3)
    x, y, z = canvas.coordinates(box)
    ball = ellipsoid(x, y, z, centre=centre, radii=(radius, radius, radius))
    ball += 0.18 * radius * canvas.noise(SmoothNoise(rng, 12.0), box)
    swelling = ball - (reach - radius) * (1 + 0.3 * canvas.noise(SmoothNoise(rng, 16.0), box))
    canvas.paint(box, swelling, OEDEMA, label=None, over={Tissue.WHITE_MATTER})
    canvas.paint(box, ball, TUMOUR, label=None, over=BRAIN | {OEDEMA, Tissue.CEREBROSPINAL_FLUID})
    if radius > 9 and rng.random() < 0.7:
        core = ball + rng.uniform(2.5, 5)
        canvas.paint(box, core, Tissue.CYST, label=None, over={TUMOUR})
