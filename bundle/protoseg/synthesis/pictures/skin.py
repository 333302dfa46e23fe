"""Skin lesions as a dermatoscope shows them."""

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.pictures.fields import (
    Field,
    blend,
    bumps,
    clouds,
    honeycomb,
    outline,
    plane,
    ramp,
    strokes,
    threads,
    wander,
)

__all__ = ["paint_skin"]

# Red, green and blue of bloodless, pale skin, and what a layer of pigment takes from them (absorbance).
PALE = (0.96, 0.87, 0.83)
MELANIN = (0.36, 0.72, 1.02)
BLOOD = (0.1, 0.72, 0.55)
VEIL = (0.42, 0.47, 0.56)  # melanin deep in the skin looks blue
KERATIN = (0.93, 0.87, 0.74)
STICKERS = ((0.1, 0.45, 0.75), (0.85, 0.2, 0.25), (0.95, 0.8, 0.2), (0.2, 0.6, 0.35))


def paint_skin(rng: np.random.Generator, size: int) -> tuple[Field, NDArray[np.uint8]]:
    """Paint one lesion: colors (3, size, size), about 0 to 1, and its mask (size, size)."""
    distance = _draw_lesion(rng, size)
    softness = np.exp(rng.uniform(np.log(0.006), np.log(0.08)) + 0.5 * bumps(rng, size, 0.25))
    inside = ramp(distance / softness, 1, -1)
    melanin, blood = _skin_pigment(rng, size, distance)
    lesion_melanin, lesion_blood = _lesion_pigment(rng, size, distance)
    layers = zip(PALE, MELANIN, BLOOD)
    melanin, blood = melanin + inside * lesion_melanin, blood + inside * lesion_blood
    colors = np.stack([pale * np.exp(-dark * melanin - red * blood) for pale, dark, red in layers])
    if rng.random() < 0.2:
        colors = blend(colors, VEIL, rng.uniform(0.2, 0.6) * inside * ramp(clouds(rng, size, 0.3), -0.2, 1.6))
    if rng.random() < 0.25:
        colors = blend(colors, KERATIN, rng.uniform(0.15, 0.6) * inside * ramp(clouds(rng, size, 0.15), 0.2, 1.9))
    if rng.random() < 0.15:  # milia
        colors = blend(colors, KERATIN, 0.7 * inside * ramp(bumps(rng, size, 0.035), 1.7, 2.3))
    light = _light(rng, size)
    lesion = (distance < 0) & (light.max(axis=0) > 0.2)
    return _cover(rng, colors * light), lesion.astype(np.uint8)


def _draw_lesion(rng: np.random.Generator, size: int) -> Field:
    """Distance to the border of a lesion that takes 2.5 to 55 % of the picture."""
    y, x = plane(size)
    area = np.exp(rng.uniform(np.log(0.025), np.log(0.55)))
    radius = np.sqrt(area / np.pi)
    centre = 0.5 + rng.normal(0, 0.08, 2)
    roughness = np.exp(rng.uniform(np.log(0.02), np.log(0.25)))
    longer = rng.uniform(1, 1.7)
    distance = outline(rng, y, x, centre=centre, radius=radius, roughness=roughness, longer=longer)
    distance = distance + rng.uniform(0, 0.1) * radius * clouds(rng, size, 0.3 * radius + 0.02)
    return np.asarray(distance - np.quantile(distance, area), np.float32)


def _skin_pigment(rng: np.random.Generator, size: int, distance: Field) -> tuple[Field, Field]:
    """Melanin and blood of the skin around."""
    dark = rng.random() < 0.12
    melanin = (rng.uniform(0.5, 1) if dark else rng.uniform(0.02, 0.35)) * np.exp(0.12 * clouds(rng, size, 0.35))
    blood = rng.uniform(0.03, 0.35) * np.exp(0.2 * clouds(rng, size, 0.3))
    melanin = melanin + rng.uniform(0, 0.08) * honeycomb(rng, size, rng.uniform(0.015, 0.04))
    melanin = melanin + rng.uniform(0, 0.03) * bumps(rng, size, 0.012)
    if rng.random() < 0.25:
        melanin = melanin + rng.uniform(0.1, 0.4) * ramp(clouds(rng, size, rng.uniform(0.04, 0.12)), 0.8, 2)
    if rng.random() < 0.3:
        blood = blood + rng.uniform(0.1, 0.4) * ramp(distance, rng.uniform(0.05, 0.2), 0)
    if rng.random() < 0.35:
        vessels = threads(rng, size, rng.uniform(0.1, 0.3), thickness=rng.uniform(0.003, 0.008))
        blood = blood + rng.uniform(0.1, 0.4) * vessels * ramp(clouds(rng, size, 0.3), -0.3, 1)
    return melanin, blood


def _lesion_pigment(rng: np.random.Generator, size: int, distance: Field) -> tuple[Field, Field]:
    """Melanin and blood that a lesion adds: patches, a network, globules, vessels."""
    pink = rng.random() < 0.15
    level = rng.uniform(0, 0.2) if pink else np.exp(rng.uniform(np.log(0.3), np.log(1.9)))
    melanin = level * np.exp(rng.uniform(0.05, 0.5) * clouds(rng, size, rng.uniform(0.08, 0.35)))
    for _ in range(rng.integers(0, 3)):
        melanin = melanin + rng.uniform(-0.4, 1.0) * level * ramp(clouds(rng, size, rng.uniform(0.1, 0.4)), 0.1, 0.8)
    centred = ramp(distance, 0, distance.min())
    melanin = melanin * (1 + rng.uniform(-0.5, 0.6) * centred)
    if rng.random() < 0.55:
        where = ramp(clouds(rng, size, 0.25), -0.8, 0.6) * (1 - rng.uniform(0, 1) * centred)
        melanin = melanin * (1 + rng.uniform(0.2, 1.1) * where * (honeycomb(rng, size, rng.uniform(0.015, 0.04)) - 0.4))
    if rng.random() < 0.4:
        dots = ramp(bumps(rng, size, rng.uniform(0.02, 0.05)), 1.0, 1.8) * ramp(clouds(rng, size, 0.25), -0.2, 0.7)
        melanin = melanin + rng.uniform(0.2, 1.2) * dots
    blood = (rng.uniform(0.3, 0.9) if pink else rng.uniform(-0.05, 0.3)) * np.exp(0.3 * clouds(rng, size, 0.2))
    if pink or rng.random() < 0.15:
        vessels = threads(rng, size, rng.uniform(0.05, 0.12), thickness=rng.uniform(0.003, 0.007))
        blood = blood + rng.uniform(0.2, 0.8) * vessels * ramp(clouds(rng, size, 0.2), 0, 1)
    return np.maximum(melanin, 0), blood


def _light(rng: np.random.Generator, size: int) -> Field:
    """White balance, uneven light, and the dark corners of the lens: (3, size, size)."""
    y, x = plane(size)
    centre = 0.5 + rng.normal(0, 0.06, 2)
    reach = np.hypot(y - centre[0], (x - centre[1]) * rng.uniform(0.75, 1))
    level = rng.uniform(0.72, 1.05) * (1 - rng.uniform(0, 0.6) * reach**2) * np.exp(0.04 * bumps(rng, size, 0.5))
    if rng.random() < 0.3:
        radius, edge = rng.uniform(0.44, 0.66), np.exp(rng.uniform(np.log(0.005), np.log(0.1)))
        level = level * ramp(reach, radius + edge, radius - edge)
    tint = rng.lognormal(0, (0.03, 0.04, 0.07))
    return np.asarray(level * tint[:, None, None], np.float32)


def _cover(rng: np.random.Generator, colors: Field) -> Field:
    """Lay hairs, bubbles of gel, ink, a ruler or a sticker over the skin."""
    size = colors.shape[-1]
    y, x = plane(size)
    if rng.random() < 0.55:
        colors = blend(colors, _hair_color(rng), rng.uniform(0.45, 0.9) * _hairs(rng, size))
    if rng.random() < 0.2:
        for _ in range(rng.integers(1, 8)):
            centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.008, 0.05)
            dy, dx = y - centre[0], x - centre[1]
            ring = np.exp(-(((np.hypot(dy, dx) - radius) / 0.005) ** 2))
            colors = colors + ring * (0.12 - 0.2 * (dy + dx) / radius)
    if rng.random() < 0.07:
        ink = wander(rng, rng.uniform(0, 1, 2), heading=rng.uniform(0, 2 * np.pi), length=rng.uniform(0.2, 0.9), bend=2)
        color = (0.25, 0.2, rng.uniform(0.4, 0.6))
        colors = blend(colors, color, rng.uniform(0.4, 0.8) * strokes(size, [(ink, rng.uniform(0.01, 0.04))]))
    if rng.random() < 0.1:
        colors = blend(colors, (0.1, 0.1, 0.12), 0.8 * _ruler(rng, size))
    if rng.random() < 0.06:
        middle, reach = rng.uniform(0.1, 0.9), rng.uniform(0.15, 0.35)
        sticker = ramp(np.hypot(y - middle, x - rng.choice([-0.1, 1.1])), reach, reach - 0.01)
        colors = blend(colors, STICKERS[rng.integers(len(STICKERS))], sticker)
    return colors


def _hair_color(rng: np.random.Generator) -> tuple[float, ...]:
    level = rng.uniform(0.05, 0.3) if rng.random() < 0.85 else rng.uniform(0.6, 0.85)
    return level, 0.8 * level, 0.65 * level


def _hairs(rng: np.random.Generator, size: int) -> Field:
    """Hairs that mostly run one way."""
    way, thickness = rng.uniform(0, 2 * np.pi), rng.uniform(0.003, 0.008)
    lines = []
    for _ in range(int(np.exp(rng.uniform(0, np.log(30))))):
        heading, bend = way + rng.normal(0, 0.6), rng.uniform(0.2, 2.5)
        start = rng.uniform(-0.1, 1.1, 2)
        hair = wander(rng, start, heading=heading, length=rng.uniform(0.2, 1.1), bend=bend)
        lines.append((hair, thickness * rng.uniform(0.6, 1.3)))
    return strokes(size, lines)


def _ruler(rng: np.random.Generator, size: int) -> Field:
    """Ticks along one edge, every fifth of them longer."""
    step, height, place = rng.uniform(0.015, 0.04), rng.uniform(0.015, 0.03), rng.uniform(0.01, 0.08)
    ticks = []
    for number, at in enumerate(np.arange(0, 1, step)):
        tip = place + height * (2 if number % 5 == 0 else 1)
        ticks.append((np.array([[place, at], [tip, at]]), 0.004))
    return np.ascontiguousarray(np.rot90(strokes(size, ticks), rng.integers(4)))
