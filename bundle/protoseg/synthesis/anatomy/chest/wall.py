"""The chest's wall: skin, fat, breasts, muscles, and the space that ribs and diaphragm enclose."""

from dataclasses import dataclass

import numpy as np

from protoseg.synthesis.anatomy.abdomen.trunk import Trunk, diaphragm
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.chest.frame import by_spine, spine_y
from protoseg.synthesis.anatomy.chest.shoulders import Arms, axilla, shoulders
from protoseg.synthesis.anatomy.shapes import Array, SmoothNoise, ellipse, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["Chest", "paint_chest_wall"]

CAGE = (142.0, 95.0, 235.0)  # mm: half the width and depth of the rib cage, and its height above the widest level
WIDEST = -130.0  # mm: that level
CAVITY = {Tissue.VISCERAL_FAT}


@dataclass(frozen=True)
class Chest(Trunk):
    """Distances (mm) on the whole grid that the chest's organs are fitted to."""

    cage: Array  # negative inside the ribs' outer surface


def paint_chest_wall(
    canvas: Canvas, below: Canvas, rng: np.random.Generator, *, arms: Arms, fatness: float, female: bool
) -> Chest:
    """Paint everything that encloses the organs; `below` is the canvas in the abdomen's coordinates."""
    chest = _measure(canvas, below, rng, arms=arms)
    everywhere = canvas.everywhere
    fat = _subcutaneous_fat(canvas, chest, rng, fatness=fatness)
    bust = _breasts(canvas, rng, fatness=fatness, female=female)
    skin = smooth_union(chest.outline - fat, bust, 25.0)
    canvas.paint(everywhere, skin - 2.2, Tissue.SKIN)
    canvas.paint(everywhere, skin, Tissue.SUBCUTANEOUS_FAT)
    if female:
        _paint_glands(canvas, bust, rng)
    canvas.paint(everywhere, chest.outline, Tissue.MUSCLE)
    _paint_fat_planes(canvas, chest, rng, arms=arms, fatness=fatness)
    canvas.paint(everywhere, chest.cavity, Tissue.VISCERAL_FAT)
    canvas.paint(everywhere, np.maximum(chest.cavity, np.abs(chest.diaphragm + 1.5) - 1.8), Tissue.MUSCLE)
    _paint_neck(canvas, rng)
    return chest


def _measure(canvas: Canvas, below: Canvas, rng: np.random.Generator, *, arms: Arms) -> Chest:
    x, y, z = canvas.coordinates(canvas.everywhere)
    cage, around = _cage(
        x, y, z, power=rng.uniform(1.95, 2.35), stretch=(rng.uniform(0.95, 1.04), rng.uniform(0.94, 1.08))
    )
    bulk = rng.uniform(0.7, 1.3)
    upper = 1 / (1 + np.exp(np.clip((-75 - z) / 12, -30, 30)))
    front = np.clip(2 * around - 1, 0, 1)
    back = 1 / (1 + np.exp((np.abs(x) - 52) / 8)) * (around < 0.5)
    muscle = 9 + front * (upper * (14 * bulk - 4) - 2) + back * (12 + 6 * upper) + 8 * upper * (around < 0.4)
    sternum = np.exp(-((x / 16) ** 2)) * front
    muscle = muscle * (1 - 0.75 * sternum)
    neck = ellipse(x, y - spine_y(z) + 2, (rng.uniform(54, 62), rng.uniform(54, 60)))
    neck = np.maximum(neck, 60 - z)
    outline = smooth_union(smooth_union(cage - muscle, shoulders(x, y, z, arms=arms, bulk=bulk), 22.0), neck, 30.0)
    wobble = canvas.noise(SmoothNoise(rng, 28.0), canvas.everywhere)
    spine = smooth_union(ellipse(x, y - spine_y(z) + 36, (38.0, 30.0)), ellipse(x, y - spine_y(z), (19.0, 17.0)), 8.0)
    cavity = np.maximum(cage + rng.uniform(9, 11) + 0.8 * wobble, -spine)
    return Chest(
        outline=outline.astype(np.float32),
        cavity=cavity.astype(np.float32),
        diaphragm=diaphragm(*below.coordinates(below.everywhere), rng),
        around=around.astype(np.float32),
        cage=cage.astype(np.float32),
    )


def _cage(x: Array, y: Array, z: Array, *, power: float, stretch: tuple[float, float]) -> tuple[Array, Array]:
    """Distance to a dome that leans back on its way up, and the direction seen from its axis (0 back, 1 front)."""
    width, depth, height = CAGE[0] * stretch[0], CAGE[1] * stretch[1], CAGE[2]
    above = np.maximum(z - WIDEST, 0)
    forwards = y + 0.13 * above
    u, v, w = np.abs(x) / width, np.abs(forwards) / depth, above / height
    flat = (u**power + v**power + 1e-6) ** (1 / power)
    norm = np.hypot(flat, w) + 1e-4
    steepness = flat ** (1 - power) * np.hypot(u ** (power - 1) / width, v ** (power - 1) / depth)
    slope = np.hypot(flat / norm * steepness, w / norm / height)
    return (norm - 1) / (slope + 1e-4), np.arctan2(u, -forwards / depth) / np.pi


def _subcutaneous_fat(canvas: Canvas, chest: Chest, rng: np.random.Generator, *, fatness: float) -> Array:
    """Thickness of the fat under the skin."""
    _, _, z = canvas.coordinates(canvas.everywhere)
    side, front, back = (4 + fatness * rng.uniform(low, high) for low, high in ((14, 28), (10, 22), (12, 26)))
    cosine = np.cos(np.pi * chest.around)
    thickness = side + np.where(cosine < 0, front - side, back - side) * cosine**2
    thickness *= 1 - 0.5 / (1 + np.exp(np.clip((75 - z) / 14, -30, 30)))  # the neck has little
    uneven = canvas.noise(SmoothNoise(rng, 60.0), canvas.everywhere)
    return np.maximum(thickness * (1 + 0.12 * uneven), 2).astype(np.float32)


def _breasts(canvas: Canvas, rng: np.random.Generator, *, fatness: float, female: bool) -> Array:
    """Distance to both breasts, which in a lying woman fall to the sides."""
    x, y, z = canvas.coordinates(canvas.everywhere)
    size = rng.uniform(0.75, 1.1) + 0.4 * fatness if female else 0.3 + 0.4 * fatness
    centre = (rng.uniform(76, 94), 66 - 0.25 * rng.uniform(0, 40), rng.uniform(-88, -66))
    return ellipsoid(np.abs(x), y, z, centre=centre, radii=(56 * size, 42 * size, 58 * size))


def _paint_glands(canvas: Canvas, bust: Array, rng: np.random.Generator) -> None:
    everywhere = canvas.everywhere
    lumps = canvas.noise(SmoothNoise(rng, 20.0), everywhere) + 0.7 * canvas.noise(SmoothNoise(rng, 9.0), everywhere)
    density = rng.uniform(-1.0, 1.2)
    gland = np.maximum(bust + 9, 4 * (lumps - density))
    canvas.paint(everywhere, gland, Tissue.BREAST, over={Tissue.SUBCUTANEOUS_FAT})


def _paint_fat_planes(canvas: Canvas, chest: Chest, rng: np.random.Generator, *, arms: Arms, fatness: float) -> None:
    """Fat between the muscles on the ribs, streaks inside them, and the armpits'."""
    everywhere = canvas.everywhere
    x, y, z = canvas.coordinates(everywhere)
    over = {Tissue.MUSCLE}
    unevenness, thinness = (canvas.noise(SmoothNoise(rng, scale), everywhere) for scale in (40.0, 30.0))
    width = 0.1 + 1.2 * fatness - np.maximum(0.9 * thinness, 0)
    for depth in (2.5, 11.0, 21.0):
        sheet = np.abs(chest.cage - depth - 3.5 * unevenness) - width + np.maximum(0, (z - 40) / 6)
        canvas.paint(everywhere, sheet, Tissue.SUBCUTANEOUS_FAT, over=over)
    septa = np.abs(canvas.noise(SmoothNoise(rng, 26.0), everywhere)) * 20 - width
    strands = [canvas.noise(SmoothNoise(rng, scale), everywhere) * scale for scale in (11.0, 17.0)]
    streaks = np.minimum(np.hypot(*strands) - 0.8 - 2.5 * fatness, septa + np.maximum(0, (30 - z) / 8))
    canvas.paint(everywhere, np.maximum(streaks, 3 - chest.cage), Tissue.SUBCUTANEOUS_FAT, over=over)
    pit = np.maximum(axilla(x, y, z, arms=arms) + 5 * unevenness + 5 * thinness, 5 - chest.cage)
    canvas.paint(everywhere, pit, Tissue.SUBCUTANEOUS_FAT, over=over)


def _paint_neck(canvas: Canvas, rng: np.random.Generator) -> None:
    """The fat that esophagus, trachea and vessels run in, between the muscles that turn and bend the head."""
    box = canvas.box((-60, -70, 45), (60, 70, 240))
    x, y, z = canvas.coordinates(box)
    centre = spine_y(z) + 33
    space = np.maximum(ellipse(x, y - centre, (40.0, 21.0)), 52 - z)
    canvas.paint(box, space, Tissue.VISCERAL_FAT, over={Tissue.MUSCLE})
    for side in (-1, 1):
        infrahyoid = [by_spine(side * 10, 74, 52), by_spine(side * 11, 52, 90), by_spine(side * 13, 48, 150)]
        sternocleidomastoid = [by_spine(side * 20, 76, 54), by_spine(side * 36, 46, 100), by_spine(side * 54, 14, 160)]
        scalene = [by_spine(side * 50, 22, 60), by_spine(side * 34, 10, 95), by_spine(side * 26, 4, 150)]
        for path, radius in ((infrahyoid, 4.0), (sternocleidomastoid, 9.0), (scalene, 8.0)):
            tube, distance = canvas.tube(path, [radius] * 3)
            distance += 0.8 * canvas.noise(SmoothNoise(rng, 20.0), tube)
            canvas.paint(tube, distance, Tissue.MUSCLE, over=CAVITY | {Tissue.SUBCUTANEOUS_FAT})
