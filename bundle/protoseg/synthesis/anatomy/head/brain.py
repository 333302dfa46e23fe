"""The brain's outside: folded hemispheres, cerebellum and brainstem."""

import numpy as np

from protoseg.synthesis.anatomy.canvas import Box, Canvas
from protoseg.synthesis.anatomy.head.frame import Head, paired_ellipsoid, paired_tube
from protoseg.synthesis.anatomy.head.labels import HEAD_LABELS
from protoseg.synthesis.anatomy.shapes import Array, SmoothNoise, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_brainstem", "paint_cerebellum", "paint_cerebrum"]

CORTEX = 3.2  # mm
WAVES, WAVELENGTH = 16, 27.0  # of the folds, mm
FLUID = {Tissue.CEREBROSPINAL_FLUID}


def paint_cerebrum(canvas: Canvas, head: Head, rng: np.random.Generator, *, atrophy: float) -> None:
    """Paint two hemispheres; `atrophy` from 0 to 1 widens the sulci."""
    box = canvas.box((-70, -90, 0), (70, 88, 118))
    x, y, z = canvas.coordinates(box)
    side = np.abs(x)
    sulcus, across = _sulci(canvas, box, rng)
    space = 0.7 + (0.5 + 2.5 * atrophy) * np.clip((z - 25) / 30, 0.1, 1)  # brains rest on the base
    surface = np.maximum(head.cavity[box] + space, head.cerebral[box] + 1)
    surface = np.maximum(surface, 0.8 + 0.8 * atrophy - side)
    cisterns = ((0, 16, 28), (12, 16, 8)), ((0, -14, 36), (21, 16, 12))
    hull = np.maximum(surface, *(-ellipsoid(x, y, z, centre=centre, radii=radii) for centre, radii in cisterns))
    surface = np.maximum(hull, -_sylvian_fissure(side, y, z + 4 * across, width=0.8 + 1.2 * atrophy))
    depth = np.maximum(0, -surface)
    floor = np.maximum(0, depth - rng.uniform(11, 16) - 2 * across)
    groove = np.hypot(sulcus, floor) - (0.6 + 1.3 * atrophy) * np.clip(1 - 0.05 * depth, 0.2, 1)
    core = ellipsoid(x, y, z, centre=(0, -4, 50), radii=(37, 50, 25))  # nuclei and ventricles: no folds
    cortex = np.maximum(surface, -np.maximum(groove, -core))
    for sign, name in ((1, "right_cerebrum"), (-1, "left_cerebrum")):
        half = -sign * x
        label = HEAD_LABELS[name]
        canvas.paint(box, np.maximum(hull, half), Tissue.CEREBROSPINAL_FLUID, label=label)  # narrow sulci count
        canvas.paint(box, np.maximum(cortex, half), Tissue.GRAY_MATTER, label=label)
        canvas.paint(box, np.maximum(cortex + CORTEX + 0.4 * across, half), Tissue.WHITE_MATTER, label=label)
    _paint_dura(canvas, head, box)


def _paint_dura(canvas: Canvas, head: Head, box: Box) -> None:
    """Falx and tentorium, thin sheets in the fluid."""
    x, y, z = canvas.coordinates(box)
    free_edge = 46 - np.hypot(0.8 * y, z - 40)  # runs above the corpus callosum
    falx = np.maximum(np.maximum(np.abs(x) - 0.5, free_edge), head.cerebral[box])
    incisura = 17 - np.hypot(x, 0.6 * (y + 18))
    tentorium = np.maximum(np.maximum(np.abs(head.cerebral[box]) - 0.6, incisura), head.cavity[box])
    for sheet in (falx, tentorium):
        canvas.paint(box, sheet, Tissue.MUSCLE, label=None, over=FLUID)


def _sylvian_fissure(side: Array, y: Array, z: Array, *, width: float) -> Array:
    """The cleft above the temporal lobe, and its blind end on the insula."""
    level = 37 + 0.35 * (32 - y)
    ends = np.maximum(y - 34, -34 - y)
    cleft = np.maximum(np.maximum(np.abs(z - level) - width, 37 - side), ends)
    insula = np.maximum(np.maximum(np.abs(side - 38) - width, np.abs(z - level - 3) - 13), ends + 4)
    return np.minimum(cleft, insula)


def _sulci(canvas: Canvas, box: Box, rng: np.random.Generator) -> tuple[Array, Array]:
    """Distance to the sheets that fold the cortex, and a slow field.

    Waves of one length but random directions, on a sphere around each hemisphere's middle: their zeros are winding
    lines of even spacing, which the rays from the middle widen into sheets.
    """
    x, y, z = canvas.coordinates(box)
    warp = canvas.noise(SmoothNoise(rng, 30.0), box)
    rays = np.stack([x - 24 * np.sign(x), 0.8 * y, z - 52])
    radius = np.sqrt((rays**2).sum(axis=0)) + 1
    sphere = 60 * rays / radius
    sphere[0] += 140 * (x > 0) + 5 * warp
    sphere[2] += 4 * warp
    directions = rng.standard_normal((WAVES, 3))
    directions *= 2 * np.pi / WAVELENGTH / np.linalg.norm(directions, axis=1, keepdims=True)
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    field = np.zeros(x.shape, dtype=np.float32)
    gradient = np.zeros(sphere.shape, dtype=np.float32)
    for direction, phase in zip(directions.astype(np.float32), phases.astype(np.float32)):
        angle = np.tensordot(direction, sphere, axes=1) + phase
        field += np.cos(angle)
        gradient -= np.sin(angle) * direction[:, None, None, None]
    outwards = (gradient * rays).sum(axis=0) / radius
    along = np.sqrt(np.maximum((gradient**2).sum(axis=0) - outwards**2, 0.04))
    return np.abs(field) / along * np.maximum(radius, 20) / 60, warp


def paint_brainstem(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint midbrain with its peduncles, pons and medulla; the fluid around them is painted before."""
    stem = HEAD_LABELS["brainstem"]
    bulge = rng.uniform(0.92, 1.08)
    box, peduncle = paired_tube(canvas, [(7, -4, 26), (11, -4, 36), (17, 1, 46)], [6, 6, 5], step=6)
    canvas.paint(box, peduncle, Tissue.WHITE_MATTER, label=stem)
    box = canvas.box((-20, -32, -22), (20, 10, 48))
    x, y, z = canvas.coordinates(box)
    midbrain = ellipsoid(x, y, z, centre=(0, -14, 37), radii=(15, 11, 12))
    pons = ellipsoid(x, y, z, centre=(0, -7, 15), radii=(17 * bulge, 13 * bulge, 15))
    lean = y + 14 - 0.35 * z
    medulla = np.maximum(np.hypot(x / 1.25, lean) - np.interp(z, (-24, 6), (5.5, 8)), np.abs(z + 8) - 18)
    body = smooth_union(smooth_union(midbrain, pons, 4), medulla, 4)
    canvas.paint(box, body, Tissue.WHITE_MATTER, label=stem)
    core = ellipsoid(x, y, z, centre=(0, -17, 24), radii=(7, 5, 22))
    canvas.paint(box, core, Tissue.GRAY_MATTER, label=stem, over={Tissue.WHITE_MATTER})


def paint_cerebellum(canvas: Canvas, head: Head, rng: np.random.Generator, *, atrophy: float) -> None:
    """Paint two hemispheres and the vermis: folia of cortex on a tree of white matter, tied to the pons."""
    label = HEAD_LABELS["cerebellum"]
    box = canvas.box((-56, -86, -22), (56, -10, 42))
    x, y, z = canvas.coordinates(box)
    side = np.abs(x)
    lobes = ellipsoid(side, y, z, centre=(24, -47, 9), radii=(29, 31, 27))
    vermis = ellipsoid(x, y, z, centre=(0, -50, 16), radii=(16, 26, 26))
    bounds = np.maximum(head.cavity[box] + 1.6 + 1.5 * atrophy, 1.6 - head.cerebral[box])
    body = np.maximum(smooth_union(lobes, vermis, 6), bounds)
    hub = np.sqrt((0.7 * (side - 14)) ** 2 + (y + 30) ** 2 + (z - 12) ** 2)
    turn = 4.4 * np.arctan2(z - 12, -(y + 30)) + 0.35 * canvas.noise(SmoothNoise(rng, 22.0), box)
    half = np.maximum(hub, 8) / 8.8
    off_branch = half * np.abs(2 * (turn % 1) - 1)
    canvas.paint(box, body, Tissue.GRAY_MATTER, label=label)
    fissures = np.maximum(body, half - off_branch - 0.35 - 0.4 * atrophy)
    canvas.paint(box, np.maximum(fissures, 17 - hub), Tissue.CEREBROSPINAL_FLUID, label=label)
    trunk = ellipsoid(side, y, z, centre=(17, -38, 10), radii=(15, 15, 10))
    white = np.maximum(body + 3, np.minimum(off_branch - 1.1, trunk))
    canvas.paint(box, white, Tissue.WHITE_MATTER, label=label, over={Tissue.GRAY_MATTER})
    box, peduncle = paired_tube(canvas, [(14, -12, 14), (22, -28, 11)], [7, 7], step=6)
    canvas.paint(box, peduncle, Tissue.WHITE_MATTER, label=label, over=FLUID | {Tissue.GRAY_MATTER})
    box, nuclei = paired_ellipsoid(canvas, (13, -42, 10), (6, 4, 4))
    canvas.paint(box, nuclei, Tissue.GRAY_MATTER, label=label, over={Tissue.WHITE_MATTER})
