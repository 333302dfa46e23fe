"""Polyps of the colon as an endoscope shows them."""

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.pictures.fields import (
    Field,
    blend,
    blurred,
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

__all__ = ["paint_polyp"]

PALE = (1.0, 0.78, 0.62)  # mucosa without its blood
BLOOD = (0.12, 1.0, 1.05)  # absorbance
CONTRAST = (0.8, 1.1, 1.2)  # less light makes it redder
GLINT = (1.0, 0.99, 0.96)
STOOL = (0.62, 0.5, 0.16)
INSET = (0.03, 0.25, 0.17)


def paint_polyp(rng: np.random.Generator, size: int) -> tuple[Field, NDArray[np.uint8]]:
    """Paint one polyp: colors (3, size, size), about 0 to 1, and its mask (size, size)."""
    visible, inset = _draw_frame(rng, size), _draw_inset(rng, size)
    visible = visible * (1 - inset)
    lumen = 0.5 + rng.normal(0, 0.22, 2)
    distance, radius = _draw_polyp(rng, size, lumen)
    softness = np.exp(rng.uniform(np.log(0.004), np.log(0.03)) + 0.5 * bumps(rng, size, 0.3))
    inside = ramp(distance / softness, 1, -1)
    facing, light = _draw_light(rng, lumen, distance, inside, radius)
    blood = _draw_blood(rng, size, inside)
    colors = np.stack([p * np.exp(-b * blood) * light**g for p, b, g in zip(PALE, BLOOD, CONTRAST)])
    colors = _soil(rng, colors * rng.lognormal(0, (0.04, 0.07, 0.1))[:, None, None])
    if rng.random() < 0.05:  # narrow-band imaging: blue and green light only
        colors = np.stack([0.55 * colors[1] + 0.1, 1.1 * colors[1], 0.9 * colors[1] + 0.1 * colors[0]])
    colors = blend(colors, GLINT, _glints(rng, facing + rng.uniform(0, 0.05) * inside, light))
    if rng.random() < 0.3:
        colors = np.stack([blurred(color, rng.uniform(0.002, 0.008)) for color in colors])
    colors = blend(colors * visible, INSET, inset)
    return _annotate(rng, colors, visible), ((distance < 0) & (visible > 0.5)).astype(np.uint8)


def _draw_frame(rng: np.random.Generator, size: int) -> Field:
    """Draw what the endoscope shows of the square: 1 inside an octagon, a rounded square or a disc, or everywhere."""
    y, x = plane(size)
    dy, dx = np.abs(y - 0.5), np.abs(x - 0.5)
    kind = rng.choice(["octagon", "rounded", "disc", "full"], p=[0.4, 0.25, 0.1, 0.25])
    edge, half = rng.uniform(0.003, 0.01), rng.uniform(0.46, 0.5)
    if kind == "octagon":
        reach = np.maximum(np.maximum(dy, dx), (dy + dx) - rng.uniform(0.3, 0.45))
    elif kind == "rounded":
        reach = (dy**6 + dx**6) ** (1 / 6)
    elif kind == "disc":
        reach = np.hypot(dy, dx)
    else:
        return np.ones((size, size), np.float32)
    return ramp(np.asarray(reach, np.float32), half + edge, half - edge)


def _draw_inset(rng: np.random.Generator, size: int) -> Field:
    """1 where a small square, which shows how the endoscope lies, covers a lower corner."""
    y, x = plane(size)
    inset = (y > 0.72) & (y < 0.98) & (x > 0.01) & (x < 0.27) & (rng.random() < 0.1)
    return inset.astype(np.float32)


def _draw_polyp(rng: np.random.Generator, size: int, lumen: NDArray[np.float64]) -> tuple[Field, float]:
    """Distance to the edge of a polyp on the wall, and its radius."""
    y, x = plane(size)
    radius = float(np.exp(rng.uniform(np.log(0.08), np.log(0.4))))
    away = rng.uniform(0, 2 * np.pi)
    centre = lumen + rng.uniform(0.1, 0.4) * np.array([np.sin(away), np.cos(away)])
    centre = np.clip(centre, 0.15 + 0.5 * radius, 0.85 - 0.5 * radius)
    roughness, longer = np.exp(rng.uniform(np.log(0.01), np.log(0.12))), rng.uniform(1, 1.6)
    distance = outline(rng, y, x, centre=centre, radius=radius, roughness=roughness, longer=longer)
    return distance, radius


def _draw_light(
    rng: np.random.Generator, lumen: NDArray[np.float64], distance: Field, inside: Field, radius: float
) -> tuple[Field, Field]:
    """Compute how squarely wall and polyp face the light, and how much of it is reflected."""
    size = len(distance)
    y, x = plane(size)
    depth, wall = _draw_wall(rng, size, lumen)
    height = wall * (1 - 0.9 * inside) + _dome(rng, distance, radius)
    height = height + inside * rng.uniform(0, 0.006) * clouds(rng, size, rng.uniform(0.05, 0.12))
    facing = _facing(rng, height)
    # A polyp stands out of the wall towards the light, and keeps it from what lies behind.
    nearness = max(rng.uniform(0.9, 1.15) * float(np.quantile(depth[distance < 0], 0.7)), 0.3)
    depth = depth + inside * (nearness * np.exp(0.08 * bumps(rng, size, 0.3)) - depth)
    shadow = _shadow(rng, distance, radius, y - lumen[0], x - lumen[1])
    return facing, np.asarray(rng.uniform(0.75, 1.15) * depth * facing * (1 - shadow), np.float32)


def _dome(rng: np.random.Generator, distance: Field, radius: float) -> Field:
    """Height of the polyp: from a flat plaque to a ball."""
    rise = rng.uniform(0.1, 0.9) * radius
    across = np.clip(1 + distance / max(-float(distance.min()), 1e-3), 0, 1)
    height = rise * (1 - across ** rng.uniform(1.8, 4)) ** rng.uniform(0.6, 1)
    return blurred(np.asarray(height, np.float32), 0.1 * radius)


def _draw_wall(rng: np.random.Generator, size: int, lumen: NDArray[np.float64]) -> tuple[Field, Field]:
    """Brightness that the depth of the tube leaves, and the relief of its wall."""
    y, x = plane(size)
    dy, dx = y - lumen[0], x - lumen[1]
    angle = np.arctan2(dy, dx)
    corners = 1 + 0.15 * np.cos(3 * angle + rng.uniform(0, 6))
    reach = np.hypot(dy, dx) * corners * np.exp(0.12 * bumps(rng, size, 0.35)) + 0.01
    frontal = rng.random() < 0.35  # the endoscope looks at the wall, not along the tube
    depth = 1 - rng.uniform(0.1, 0.6) * reach if frontal else ramp(reach, -0.06, rng.uniform(0.25, 0.6))
    depth = np.maximum(depth, 0.06) * np.exp(0.12 * clouds(rng, size, 0.4))
    folds = rng.uniform(0.8, 2.2) * np.log(reach + 0.05) + 0.35 * bumps(rng, size, 0.3) + rng.uniform(0, 1)
    rising = folds % 1  # from behind one fold to the crest of the next
    crest = ramp(rising, 0.0, 0.75) * ramp(rising, 1.0, 0.93)
    strength = rng.uniform(0.1, 0.65) * ramp(bumps(rng, size, 0.45), -0.8, 0.8) * ramp(reach, 0.02, 0.2)
    depth = depth * (1 - strength * (1 - crest))
    relief = 0.012 * clouds(rng, size, 0.12) + rng.uniform(0.01, 0.05) * strength * crest
    return np.asarray(depth, np.float32), np.asarray(relief, np.float32)


def _facing(rng: np.random.Generator, height: Field) -> Field:
    """Compute how squarely a surface faces the light at the endoscope's tip."""
    y, x = plane(len(height))
    slope_y, slope_x = (len(height) * slope for slope in np.gradient(height))
    tip = 0.5 + rng.normal(0, 0.15, 2)
    toward_y, toward_x = 0.6 * (tip[0] - y), 0.6 * (tip[1] - x)
    cosine = (1 - slope_y * toward_y - slope_x * toward_x) / (
        np.sqrt(1 + slope_y**2 + slope_x**2) * np.sqrt(1 + toward_y**2 + toward_x**2)
    )
    return np.asarray(0.3 + 0.7 * np.clip(cosine, 0, 1), np.float32)


def _shadow(rng: np.random.Generator, distance: Field, radius: float, away_y: Field, away_x: Field) -> Field:
    """A crease around the polyp and its shadow on one side."""
    partly = ramp(bumps(rng, len(distance), 0.3), -0.8, 0.8)
    crease = rng.uniform(0, 0.45) * partly * np.exp(-((distance / rng.uniform(0.006, 0.015)) ** 2))
    side = rng.uniform(0, 2 * np.pi)
    dark_side = ramp(np.sin(side) * away_y + np.cos(side) * away_x, -0.1, 0.3)
    cast = rng.uniform(0, 0.6) * dark_side * np.exp(-np.maximum(distance, 0) / (0.25 * radius)) * (distance > 0)
    return np.asarray(np.clip(crease + cast, 0, 0.8), np.float32)


def _draw_blood(rng: np.random.Generator, size: int, inside: Field) -> Field:
    """Redness of mucosa and polyp, their vessels and the polyp's pits."""
    blood = rng.uniform(0.25, 0.8) * np.exp(0.12 * clouds(rng, size, 0.3))
    vessels = sum(threads(rng, size, width, thickness=t) for width, t in ((0.3, 0.006), (0.12, 0.003)))
    blood = blood + rng.uniform(0, 0.3) * vessels * ramp(clouds(rng, size, 0.4), -0.5, 1) * (1 - inside)
    redder = rng.normal(0.05, 0.18) + rng.uniform(0, 0.2) * clouds(rng, size, 0.12)
    if rng.random() < 0.5:
        redder = redder + rng.uniform(-0.25, 0.25) * (honeycomb(rng, size, rng.uniform(0.015, 0.04)) - 0.5)
    return np.asarray(np.maximum(blood + inside * redder, 0.05), np.float32)


def _soil(rng: np.random.Generator, colors: Field) -> Field:
    """Stool and fluid on the wall."""
    if rng.random() < 0.2:
        where = ramp(clouds(rng, colors.shape[-1], rng.uniform(0.08, 0.3)), 1.0, 1.6)
        return blend(colors, np.array(STOOL) * rng.uniform(0.5, 1.1), rng.uniform(0.3, 0.9) * where)
    return colors


def _glints(rng: np.random.Generator, facing: Field, light: Field) -> Field:
    """Highlights where wet mucosa mirrors the light."""
    size = len(facing)
    wet = facing + 0.06 * bumps(rng, size, rng.uniform(0.02, 0.05)) + 0.05 * bumps(rng, size, 0.12) + 0.1 * light
    bright = np.quantile(wet[::4, ::4], 1 - np.exp(rng.uniform(np.log(0.001), np.log(0.03))))
    return rng.uniform(0.6, 1) * ramp(wet, float(bright), float(bright) + 0.03) * ramp(light, 0.15, 0.4)


def _annotate(rng: np.random.Generator, colors: Field, visible: Field) -> Field:
    """An instrument, and what the recorder writes into the black corners."""
    size = len(visible)
    if rng.random() < 0.06:
        start = rng.choice([-0.05, 1.05], 2)
        heading = np.arctan2(0.5 - start[0], 0.5 - start[1])
        snare = wander(rng, start, heading=heading, length=rng.uniform(0.3, 0.7), bend=0.3)
        colors = blend(colors, (0.75, 0.78, 0.8), 0.9 * strokes(size, [(snare, rng.uniform(0.012, 0.05))]))
    if rng.random() < 0.12:
        rows = [np.array([[at, 0.02], [at, rng.uniform(0.06, 0.2)]]) for at in np.arange(0.05, 0.5, 0.05)]
        letters = strokes(size, [(row, 0.012) for row in rows]) * (bumps(rng, size, 0.012) > 0)
        colors = blend(colors, (0.85, 0.85, 0.85), letters * (visible < 0.5))
    return colors
