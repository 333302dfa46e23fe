"""Nodules and cysts as ultrasound shows them.

Speckle is that of fully developed scattering (Burckhardt 1978): the envelope of a complex Gaussian field, whose power
is the tissue's echogenicity in dB, compressed to gray values.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from protoseg.synthesis.pictures.beams import Beams, draw_beams, draw_place
from protoseg.synthesis.pictures.fields import (
    Field,
    blurred,
    bumps,
    clouds,
    outline,
    ramp,
    strokes,
    threads,
)

__all__ = ["paint_ultrasound"]

NODULE, VESSEL = 1, 2


class Echoes(NamedTuple):
    """The echoes of every sample."""

    level: Field
    """Echogenicity in dB."""
    loss: Field
    """Attenuation beyond what the time gain makes up for, in dB over the whole depth."""


def paint_ultrasound(rng: np.random.Generator, size: int) -> tuple[Field, NDArray[np.uint8]]:
    """Paint one nodule or cyst: colors (3, size, size), 0 to 1, and labels (size, size), 1 in it and 2 in a vessel."""
    beams = draw_beams(rng, size)
    tissue = _draw_layers(rng, beams)
    structure = np.zeros((size, size), np.uint8)
    if rng.random() < 0.35:
        tissue, vessel = _add_vessel(rng, tissue, beams)
        structure[vessel] = VESSEL
    tissue, nodule = _add_nodule(rng, tissue, beams)
    structure[nodule] = NODULE
    gray = _envelope(rng, tissue, beams)
    picture = map_coordinates(gray, [beams.rows, beams.columns], order=1, mode="nearest")
    labels = map_coordinates(structure, [beams.rows, beams.columns], order=0, mode="nearest")
    edges = [np.minimum(at, size - 1 - at) for at in (beams.rows, beams.columns)]
    seen = np.minimum(*edges) >= -0.5
    picture = _annotate(rng, np.where(seen, picture, 0))
    tint = rng.lognormal(0, 0.05, 3) if rng.random() < 0.15 else np.ones(3)
    return np.asarray(picture * tint[:, None, None], np.float32), np.where(seen, labels, 0).astype(np.uint8)


def _draw_layers(rng: np.random.Generator, beams: Beams) -> Echoes:
    """Skin, fat, muscle, an organ: layers of unlike echogenicity with bright sheets between them."""
    size = len(beams.depth)
    level = _draw_texture(rng, size, rng.uniform(-12, 0))
    for start in np.sort(rng.uniform(0.03, 0.8, rng.integers(0, 6))):
        below = beams.depth - start - rng.uniform(0.005, 0.05) * bumps(rng, size, (3.0, rng.uniform(0.25, 0.8)))
        level = level + ramp(below, -0.006, 0.006) * (_draw_texture(rng, size, rng.uniform(-13, 2)) - level)
        sheet = np.exp(-((below / rng.uniform(0.004, 0.01)) ** 2)) * ramp(bumps(rng, size, (0.5, 0.15)), -0.8, 0.8)
        level = level + rng.uniform(0, 12) * sheet
    level = level + rng.uniform(4, 14) * ramp(beams.depth, rng.uniform(0.02, 0.05), 0.01)
    if rng.random() < 0.4:  # the beam does not get to the bottom
        level = level - rng.uniform(8, 35) * ramp(beams.depth, rng.uniform(0.5, 0.8), 1.1)
    loss = 25 * rng.uniform(0, 1) * ramp(bumps(rng, size, (3.0, 0.08)), 0.8, 2.5)  # what lies on the skin
    tissue = Echoes(level, loss)
    return _add_bone(rng, tissue, beams) if rng.random() < 0.15 else tissue


def _draw_texture(rng: np.random.Generator, size: int, level: float) -> Field:
    """Echogenicity of one layer: cloudy, striped like muscle, or in lobules like fat."""
    texture = level + rng.uniform(0.5, 3.5) * clouds(rng, size, rng.uniform(0.04, 0.3))
    kind = rng.random()
    if kind < 0.3:
        stripes = bumps(rng, size, (rng.uniform(0.012, 0.03), rng.uniform(0.15, 0.5)))
        texture = texture + rng.uniform(3, 8) * ramp(stripes, 0.3, 1.8)
    elif kind < 0.6:
        texture = texture + rng.uniform(3, 9) * _septa(rng, size)
    return np.asarray(texture, np.float32)


def _septa(rng: np.random.Generator, size: int) -> Field:
    """Thin sheets between lobules; what lies across the beams shows best."""
    width = rng.uniform(0.08, 0.25)
    lines = threads(rng, size, (0.5 * width, 1.5 * width), thickness=rng.uniform(0.003, 0.007))
    return lines * ramp(bumps(rng, size, 0.12), -0.5, 1)


def _add_bone(rng: np.random.Generator, tissue: Echoes, beams: Beams) -> Echoes:
    """A bright surface that lets no sound pass."""
    centre = draw_place(rng, beams, (0.65, 1.0), (0.05, 0.95))
    distance = outline(
        rng, beams.y, beams.x, centre=centre, radius=rng.uniform(0.06, 0.2), roughness=0.05, longer=rng.uniform(1, 2)
    )
    surface = np.exp(-(((distance + 0.005) / 0.012) ** 2))
    inside = ramp(distance, 0.004, -0.004)
    return Echoes(tissue.level + rng.uniform(8, 16) * surface, tissue.loss + 250 * inside)


def _add_vessel(rng: np.random.Generator, tissue: Echoes, beams: Beams) -> tuple[Echoes, NDArray[np.bool_]]:
    """A vessel, cut across or along: no echoes inside, bright walls, and less loss than around."""
    distance = outline(
        rng,
        beams.y,
        beams.x,
        centre=draw_place(rng, beams, (0.15, 0.85), (0.1, 0.9)),
        radius=np.exp(rng.uniform(np.log(0.025), np.log(0.08))),
        roughness=0.03,
        longer=rng.uniform(1, 1.4) if rng.random() < 0.5 else rng.uniform(3, 8),
    )
    inside = ramp(distance, 0.004, -0.004)
    wall = np.exp(-(((distance - 0.008) / 0.008) ** 2))
    level = tissue.level + inside * (rng.uniform(-45, -28) - tissue.level) + rng.uniform(0, 6) * wall
    return Echoes(level, tissue.loss - rng.uniform(0, 40) * inside), distance < 0


def _add_nodule(rng: np.random.Generator, tissue: Echoes, beams: Beams) -> tuple[Echoes, NDArray[np.bool_]]:
    """A cyst, or a nodule that is darker or brighter than its surroundings, with what it does to the sound below."""
    size = len(beams.depth)
    radius = float(np.exp(rng.uniform(np.log(0.08), np.log(0.32))))
    distance = outline(
        rng,
        beams.y,
        beams.x,
        centre=draw_place(rng, beams, (0.15 + 0.5 * radius, 0.68), (0.2, 0.8)),
        radius=radius,
        roughness=np.exp(rng.uniform(np.log(0.02), np.log(0.25))),
        longer=rng.uniform(1, 1.9),
    )
    distance = distance + rng.uniform(0, 0.08) * radius * clouds(rng, size, 0.08)
    softness = np.exp(rng.uniform(np.log(0.006), np.log(0.03)) + 0.5 * bumps(rng, size, 0.25))
    inside = ramp(distance / softness, 1, -1)
    around = float(np.median(tissue.level[(distance > 0) & (distance < 0.1)]))
    content, lost = _draw_content(rng, size, around)
    level = tissue.level + inside * (content - tissue.level)
    loss = tissue.loss + lost * inside
    if rng.random() < 0.2:
        chalk = inside * ramp(bumps(rng, size, 0.015), 2.0, 2.6)
        level, loss = level + rng.uniform(10, 20) * chalk, loss + rng.uniform(0, 200) * chalk
    return _add_rim(rng, Echoes(level, loss), distance), distance < 0


def _draw_content(rng: np.random.Generator, size: int, around: float) -> tuple[Field, float]:
    """Echogenicity inside of a nodule or cyst, given that around it, and the loss there."""
    kind = rng.choice(["cyst", "dark", "bright"], p=[0.2, 0.6, 0.2])
    change = {"cyst": rng.uniform(-40, -22), "dark": rng.uniform(-18, -6), "bright": rng.uniform(4, 10)}[kind]
    content = around + change + rng.uniform(0.5, 3.5) * clouds(rng, size, rng.uniform(0.04, 0.2))
    if kind != "cyst" and rng.random() < 0.2:  # parts of it are fluid
        content = content - 20 * ramp(clouds(rng, size, 0.12), 0.5, 1.0)
    if rng.random() < 0.2:
        content = content + rng.uniform(6, 18) * _septa(rng, size)
    return np.asarray(content, np.float32), rng.uniform(-45, -10) if kind == "cyst" else rng.normal(10, 25)


def _add_rim(rng: np.random.Generator, tissue: Echoes, distance: Field) -> Echoes:
    """A capsule that mirrors the sound above and below, a halo, and shadows at both sides."""
    level, loss = tissue
    tilt_y, tilt_x = (np.abs(tilt) * len(distance) for tilt in np.gradient(distance))
    rim = np.exp(-((distance / 0.008) ** 2))
    if rng.random() < 0.4:
        level = level + rng.uniform(3, 10) * rim * ramp(tilt_y, 0.5, 1)
    if rng.random() < 0.3:
        level = level + rng.uniform(-8, 7) * ramp(np.abs(distance - 0.02), rng.uniform(0.02, 0.05), 0)
    if rng.random() < 0.3:
        loss = loss + rng.uniform(40, 200) * rim * ramp(tilt_x, 0.85, 1)
    return Echoes(level, loss)


def _envelope(rng: np.random.Generator, tissue: Echoes, beams: Beams) -> Field:
    """Gray values (size, size), 0 to 1, of all samples."""
    size = len(beams.depth)
    level = tissue.level - np.cumsum(tissue.loss, axis=0) / size
    axial, lateral = rng.uniform(0.45, 0.9) * size / 256, rng.uniform(0.6, 2.0) * size / 256
    power = np.zeros((size, size), np.float32)
    looks = 2 * rng.choice([1, 1, 2, 4])  # images that the scanner averages
    for _ in range(looks):
        wave = gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), (axial, lateral))
        power += wave**2 / (looks * wave.var())
    power = power * 10 ** (level / 10)
    bright = float(np.quantile(power[::4, ::4], 0.9))
    haze = 10 ** rng.uniform(-4, -2) * blurred(np.minimum(power, bright), 0.04) + 10 ** rng.uniform(-5.5, -3.5) * bright
    power = np.minimum(power + haze, 30 * bright)
    if rng.random() < 0.6:
        power = blurred(power, rng.uniform(0.001, 0.005))
    decibels = 10 * np.log10(power / bright + 1e-9)
    span, top = rng.uniform(28, 55), rng.uniform(2, 14)
    return np.asarray(np.clip(1 + (decibels - top) / span, 0, 1) ** rng.uniform(0.9, 2), np.float32)


def _annotate(rng: np.random.Generator, picture: Field) -> Field:
    """Depth ticks, lines of text, and the crosses of a measurement."""
    size = len(picture)
    lines = []
    if rng.random() < 0.3:
        side = rng.choice([0.01, 0.98])
        lines += [
            (np.array([[at, side], [at, side + 0.012]]), 0.004) for at in np.arange(0.05, 1, rng.uniform(0.05, 0.1))
        ]
    if rng.random() < 0.2:
        for cross in rng.uniform(0.25, 0.75, (rng.choice([2, 4]), 2)):
            for arm in ((0.0, 0.012), (0.012, 0.0)):
                lines.append((np.array([cross - arm, cross + arm]), 0.004))
    picture = np.maximum(picture, rng.uniform(0.6, 1) * strokes(size, lines))
    if rng.random() < 0.3:
        height = rng.choice([0.03, 0.95])
        rows = [
            (np.array([[height + k * 0.02, 0.03], [height + k * 0.02, rng.uniform(0.1, 0.4)]]), 0.012) for k in (0, 1)
        ]
        text = strokes(size, rows) * (bumps(rng, size, 0.01) > 0)
        picture = np.where(text > 0.3, 0.8, picture)
    return np.asarray(picture, np.float32)
