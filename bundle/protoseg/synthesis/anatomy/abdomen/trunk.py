"""The trunk: skin, fat, muscle wall, diaphragm and lungs."""

from dataclasses import dataclass

import numpy as np

from protoseg.synthesis.anatomy.abdomen.labels import ABDOMEN_LABELS
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import Array, Point, SmoothNoise, ellipse, ellipsoid
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["Trunk", "by_spine", "diaphragm", "paint_trunk", "spine_y"]

HALF_WIDTH, HALF_DEPTH = 140.0, 95.0  # mm: the outline of the template's muscle wall


@dataclass(frozen=True)
class Trunk:
    """Distances (mm) on the whole grid that organs are fitted to."""

    outline: Array  # negative inside the muscle wall
    cavity: Array  # negative inside the ribs and the abdominal wall
    diaphragm: Array  # negative below
    around: Array  # 0 at the back's midline, 0.5 at the flank, 1 at the front's midline


def spine_y(z: Array | float) -> Array:
    """Give the y of the vertebral bodies' centers: lumbar lordosis, thoracic kyphosis."""
    return np.float32(-31) - np.float32(22) * ((np.asarray(z, dtype=np.float32) + 50) / 200) ** 2


def by_spine(x: float, forwards: float, z: float) -> Point:
    """Place a point `forwards` mm in front of the vertebral bodies' centers."""
    return x, float(spine_y(z)) + forwards, z


def paint_trunk(canvas: Canvas, rng: np.random.Generator, *, fatness: float) -> Trunk:
    """Paint everything that encloses the organs; `fatness` goes from 0 (thin) to 1 (obese)."""
    trunk = _measure(canvas, rng)
    everywhere = canvas.everywhere
    fat = _subcutaneous_fat(canvas, trunk, rng, fatness=fatness)
    canvas.paint(everywhere, trunk.outline - fat - 2.6, Tissue.SKIN)
    canvas.paint(everywhere, trunk.outline - fat, Tissue.SUBCUTANEOUS_FAT)
    canvas.paint(everywhere, trunk.outline, Tissue.MUSCLE)
    _paint_fat_planes(canvas, trunk, rng, fatness=fatness)
    canvas.paint(everywhere, trunk.cavity, Tissue.VISCERAL_FAT)
    canvas.paint(everywhere, np.maximum(trunk.cavity, np.abs(trunk.diaphragm + 1.5) - 1.8), Tissue.MUSCLE)
    _paint_lungs(canvas, trunk, rng)
    return trunk


def _measure(canvas: Canvas, rng: np.random.Generator) -> Trunk:
    x, y, z = canvas.coordinates(canvas.everywhere)
    waist = 1 - rng.uniform(0.0, 0.07) * np.exp(-(((z + 55) / 45) ** 2))
    u, v = np.abs(x) / (HALF_WIDTH * waist), np.abs(y) / HALF_DEPTH
    power = rng.uniform(2.1, 2.5)
    norm = (u**power + v**power + 1e-6) ** (1 / power)
    steepness = norm ** (1 - power) * np.hypot(u ** (power - 1) / HALF_WIDTH, v ** (power - 1) / HALF_DEPTH)
    outline = (norm - 1) / (steepness + 1e-4)
    around = np.arctan2(u, -y / HALF_DEPTH) / np.pi
    # Beside the spine the wall is the thick erector muscle; in front, the linea alba is a thin seam.
    back = 1 / (1 + np.exp((np.abs(x) - 72) / 7)) * (y < 0)
    thorax = 1 / (1 + np.exp((70 - z) / 12))
    wall = rng.uniform(13, 18) - 3 * np.maximum(0, y / HALF_DEPTH) + back * (24 - 14 * thorax)
    wall -= 5 * np.exp(-((x / 5) ** 2)) * (y > 0)
    wobble = canvas.noise(SmoothNoise(rng, 28.0), canvas.everywhere)
    return Trunk(
        outline=outline.astype(np.float32),
        cavity=(outline + wall + 1.2 * wobble).astype(np.float32),
        diaphragm=diaphragm(x, y, z, rng),
        around=around.astype(np.float32),
    )


def diaphragm(x: Array, y: Array, z: Array, rng: np.random.Generator) -> Array:
    """Paint two domes, the right one higher, that fall steeply to the wall and further at the back."""
    peak_x, peak_y = rng.uniform(52, 64), rng.uniform(0, 14)
    outwards = np.abs(x) - peak_x
    radius2 = (outwards / np.where(outwards > 0, 78, 118)) ** 2 + ((y - peak_y) / 84) ** 2
    left_drop = rng.uniform(6, 22)
    blend = 1 / (1 + np.exp(np.clip(x / 14, -30, 30)))
    peak = rng.uniform(126, 144) - left_drop * blend
    fall = rng.uniform(82, 100) - 28 * np.clip(y / 80, -0.4, 1)
    return ((z - peak + fall * radius2**1.3) / (1 + 2.2 * np.minimum(radius2, 1.2))).astype(np.float32)


def _subcutaneous_fat(canvas: Canvas, trunk: Trunk, rng: np.random.Generator, *, fatness: float) -> Array:
    """Thickness of the fat under the skin, with the groove over the spine."""
    x, y, _ = canvas.coordinates(canvas.everywhere)
    side, front, back = (4 + fatness * rng.uniform(low, high) for low, high in ((14, 26), (16, 34), (14, 28)))
    cosine = np.cos(np.pi * trunk.around)
    thickness = side + np.where(cosine < 0, front - side, back - side) * cosine**2
    thickness -= min(0.5 * back, 7.0) * np.exp(-((x / 16) ** 2)) * (y < 0)
    uneven = canvas.noise(SmoothNoise(rng, 60.0), canvas.everywhere)
    return np.maximum(thickness * (1 + 0.1 * uneven), 2).astype(np.float32)


def _paint_fat_planes(canvas: Canvas, trunk: Trunk, rng: np.random.Generator, *, fatness: float) -> None:
    """Fat between the layers of the wall's muscles, and streaks inside the back's."""
    everywhere = canvas.everywhere
    wall = trunk.cavity - trunk.outline
    unevenness = canvas.noise(SmoothNoise(rng, 40.0), everywhere)
    flank = np.minimum((trunk.around - 0.3) * 8, (0.78 - trunk.around) * 8)
    width = 0.3 + 0.7 * fatness + 0.3 * unevenness + np.minimum(flank, 0)
    for share in (0.36, 0.68):
        sheet = np.abs(1.5 * unevenness - trunk.outline - share * wall) - width
        canvas.paint(everywhere, sheet, Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})
    y = canvas.y
    strands = [canvas.noise(SmoothNoise(rng, scale), everywhere) * scale for scale in (9.0, 14.0)]
    streaks = np.hypot(*strands) + np.maximum(0, (y + 42) / 2) - 1.5 - 2.5 * fatness
    canvas.paint(everywhere, streaks, Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})


def _paint_lungs(canvas: Canvas, trunk: Trunk, rng: np.random.Generator) -> None:
    everywhere = canvas.everywhere
    x, y, z = canvas.coordinates(everywhere)
    mediastinum = ellipse(x + 4, y - spine_y(z) - 22, (30.0, 42.0))
    chest = np.maximum(trunk.cavity + 1.5, -trunk.diaphragm)
    canvas.paint(everywhere, np.maximum(chest, -mediastinum), Tissue.LUNG, label=ABDOMEN_LABELS["lungs"])
    centre = (rng.uniform(-32, -20), rng.uniform(24, 36), rng.uniform(166, 178))
    heart = ellipsoid(x, y, z, centre=centre, radii=(62, 48, 46))
    over = {Tissue.LUNG, Tissue.VISCERAL_FAT}
    canvas.paint(everywhere, np.maximum(heart - 5, chest), Tissue.VISCERAL_FAT, over=over)
    canvas.paint(everywhere, np.maximum(heart, chest + 2), Tissue.HEART, over=over)
    chambers = ellipsoid(x, y, z, centre=centre, radii=(48, 34, 38))
    canvas.paint(everywhere, chambers, Tissue.VEIN, over={Tissue.HEART})
    vessels = np.abs(canvas.noise(SmoothNoise(rng, 16.0), everywhere)) * 12
    other = np.abs(canvas.noise(SmoothNoise(rng, 16.0), everywhere)) * 12
    canvas.paint(everywhere, np.hypot(vessels, other) - 1.3, Tissue.VEIN, label=None, over={Tissue.LUNG})
