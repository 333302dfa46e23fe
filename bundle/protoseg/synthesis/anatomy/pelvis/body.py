"""The outside of pelvis and thighs: skin, fat, abdominal wall, and the cavity that holds the organs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import Array, SmoothNoise, ellipse, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["FAT", "PelvicBody", "paint_body", "profile", "spine_y"]

FAT = {Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT}
PERINEUM = -48.0  # mm: where the legs part

# Height, then half width, front and back of the fascia under the skin's fat, and of the peritoneal cavity, in mm.
TRUNK = (
    (-70, 140, 48, -98),
    (-30, 148, 56, -110),
    (10, 146, 60, -114),
    (50, 140, 66, -113),
    (90, 138, 74, -106),
    (140, 142, 79, -96),
    (210, 138, 80, -92),
)
THIGH = ((-240, 58, 48, -76), (-150, 66, 54, -88), (-90, 70, 56, -100), (-40, 64, 55, -106), (0, 46, 42, -94))
CAVITY = (
    (-40, 16, 14, -44),
    (-20, 36, 24, -60),
    (10, 50, 32, -76),
    (45, 62, 50, -74),
    (85, 100, 62, -62),
    (140, 118, 68, -64),
    (210, 116, 68, -66),
)


@dataclass(frozen=True)
class PelvicBody:
    """Distances (mm) on the whole grid that the inner parts are fitted to."""

    outline: Array  # negative inside the fascia under the skin's fat
    cavity: Array  # negative inside the peritoneal cavity and the small pelvis


def profile(positions: Array, levels: Sequence[float] | Array, values: Sequence[float] | Array) -> Array:
    """Interpolate smoothly between a few levels (rising); constant beyond them."""
    fine = np.arange(levels[0], levels[-1] + 1.0)
    return np.interp(positions, fine, PchipInterpolator(levels, values)(fine)).astype(np.float32)


def spine_y(z: Array | float) -> Array:
    """Give the y of the lower lumbar vertebrae's centers, from the sacrum's endplate (z = 93) up."""
    return np.float32(-18) - np.float32(17) * ((np.asarray(z, dtype=np.float32) - 158) / 65) ** 2


def paint_body(canvas: Canvas, rng: np.random.Generator, *, fatness: float, woman: bool) -> PelvicBody:
    """Paint everything that encloses the organs; `fatness` goes from 0 (thin) to 1 (obese)."""
    x, y, z = canvas.coordinates(canvas.everywhere)
    wobble = canvas.noise(SmoothNoise(rng, 45.0), canvas.everywhere)
    power = rng.uniform(2.2, 2.6)
    cavity = np.maximum(_section(x, y, z, CAVITY, power=2.3), -34 - z) + 1.2 * wobble
    trunk = _section(x, y, z, TRUNK, power=power)
    # Two buttocks: the fascia dips between them.
    trunk += 14 * np.exp(-((x / 20) ** 2)) * profile(z, (-90, -40, 20, 80), (1, 1, 0.8, 0)) * (y < -40)
    trunk = np.maximum(trunk, PERINEUM - z)
    outwards = np.abs(x) - profile(z, (-240, -90, 0), (80, 86, 84))
    thighs = np.maximum(_section(outwards, y, z, THIGH, power=2.1), z + 12)
    outline = smooth_union(trunk, thighs, 14.0) + 0.8 * wobble
    fat = _subcutaneous_fat(canvas, rng, fatness=fatness, woman=woman)
    _paint_cover(canvas, outline, fat)
    canvas.paint(canvas.everywhere, outline, Tissue.SUBCUTANEOUS_FAT)
    canvas.paint(canvas.everywhere, cavity, Tissue.VISCERAL_FAT)
    body = PelvicBody(outline=outline.astype(np.float32), cavity=cavity.astype(np.float32))
    _paint_wall(canvas, body, rng, fatness=fatness)
    _paint_back(canvas, body, rng)
    return body


def _section(x: Array, y: Array, z: Array, table: Sequence[Sequence[float]], *, power: float) -> Array:
    """Distance to a stack of rounded boxes whose half width, front and back change with height."""
    levels, *columns = zip(*table)
    width, front, back = (profile(z, levels, column) for column in columns)
    middle = 0.5 * (front + back)
    depth = 0.5 * (front - back)
    u, v = np.abs(x) / width, np.abs(y - middle) / depth
    norm = (u**power + v**power + 1e-6) ** (1 / power)
    steepness = norm ** (1 - power) * np.hypot(u ** (power - 1) / width, v ** (power - 1) / depth)
    return (norm - 1) / (steepness + 1e-4)


def _subcutaneous_fat(canvas: Canvas, rng: np.random.Generator, *, fatness: float, woman: bool) -> Array:
    """Thickness of the fat under the skin: most on abdomen and buttocks, on hips and thighs of women; least inside."""
    x, y, z = canvas.coordinates(canvas.everywhere)
    round_hips = 1.3 if woman else 0.8
    front, back = (4 + fatness * rng.uniform(low, high) for low, high in ((18, 40), (20, 36)))
    side = 4 + round_hips * fatness * rng.uniform(14, 28)
    cosine = (y + 18) / np.hypot(x * 0.7, y + 18)
    thickness = side + np.where(cosine > 0, front - side, back - side) * cosine**2
    thigh = profile(z, (-110, -20), (1, 0))
    inside = np.clip((95 - np.abs(x)) / 90, 0, 1)
    thickness *= 1 - thigh * (0.25 + 0.4 * inside - 0.2 * (round_hips - 0.8))
    # The mons, and the soft edge of the abdomen above it.
    thickness += (5 + 12 * fatness) * np.exp(-((x / 45) ** 2) - ((z - 10) / 40) ** 2) * (y > 0)
    uneven = canvas.noise(SmoothNoise(rng, 60.0), canvas.everywhere)
    return np.maximum(thickness * (1 + 0.1 * uneven), 2).astype(np.float32)


def _paint_cover(canvas: Canvas, outline: Array, fat: Array) -> None:
    """Skin and its fat, cleft behind and creased between the thighs where they touch."""
    everywhere = canvas.everywhere
    x, y, z = canvas.coordinates(everywhere)
    cleft_floor = profile(z, (-60, -20, 30, 75), (-50, -84, -104, -135))
    opening = np.abs(x) - 0.5 - 0.1 * np.maximum(0, cleft_floor - y)
    cleft = np.maximum(opening, y - cleft_floor)
    crease = np.maximum(np.abs(x) - 0.4, z - PERINEUM + 6)
    surface = np.maximum(outline - fat, -np.minimum(cleft, crease))
    canvas.paint(everywhere, surface - 2.4, Tissue.SKIN)
    canvas.paint(everywhere, surface, Tissue.SUBCUTANEOUS_FAT)


def _paint_wall(canvas: Canvas, body: PelvicBody, rng: np.random.Generator, *, fatness: float) -> None:
    """Rectus and oblique muscles of the abdomen, which end in the groin."""
    everywhere = canvas.everywhere
    x, y, z = canvas.coordinates(everywhere)
    wobble = canvas.noise(SmoothNoise(rng, 30.0), everywhere)
    across = np.abs(x)
    straight = profile(z, (-5, 30, 100, 200), (18, 30, 52, 66))
    thickness = rng.uniform(8, 11) + np.clip((across - straight) / 8, 0, 1) * rng.uniform(6, 12)
    seams = 1.5 - across, 1.0 + fatness - np.abs(across - straight)
    side = np.maximum(across - profile(z, (-5, 20, 60, 100, 130), (22, 34, 82, 128, 200)), -55 - y)
    shell = np.maximum(body.outline + 1, -body.outline - thickness - wobble)
    wall = np.maximum(np.maximum(shell, side), np.maximum(*seams))
    canvas.paint(everywhere, np.maximum(wall, -4 - z), Tissue.MUSCLE, over=FAT)
    sheet = np.abs(body.outline + 0.55 * thickness - wobble) - 0.4 - 0.5 * fatness
    oblique = np.maximum(sheet, straight + 4 - across)
    canvas.paint(everywhere, np.maximum(oblique, wall), Tissue.SUBCUTANEOUS_FAT, over={Tissue.MUSCLE})


def _paint_back(canvas: Canvas, body: PelvicBody, rng: np.random.Generator) -> None:
    """Erector spinae, which thins out over the sacrum, and quadratus lumborum."""
    everywhere = canvas.everywhere
    x, y, z = canvas.coordinates(everywhere)
    across = np.abs(x)
    wobble = canvas.noise(SmoothNoise(rng, 30.0), everywhere)
    width, depth = profile(z, (45, 90, 130), (16, 28, 36)), profile(z, (45, 90, 130), (9, 18, 26))
    behind = spine_y(z) - profile(z, (45, 90, 130), (42, 49, 54))
    back = ellipse((across - width - 5) / width * 30, (y - behind) / depth * 26, (30, 26))
    back = np.maximum(np.maximum(back, 48 - z), body.outline + 2)
    canvas.paint(everywhere, back + 1.5 * wobble, Tissue.MUSCLE, over=FAT)
    flank = ellipse(across - 70, y - spine_y(z) + 18, (26, 14))
    canvas.paint(everywhere, np.maximum(flank, 132 - z), Tissue.MUSCLE, over=FAT)
