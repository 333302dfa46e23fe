"""The beams of an ultrasound probe in the picture."""

from typing import NamedTuple

import numpy as np

from protoseg.synthesis.pictures.fields import Field, plane

__all__ = ["Beams", "draw_beams", "draw_place"]


class Beams(NamedTuple):
    """Places of the samples of all beams: rows are depths and columns are beams (size, size)."""

    depth: Field
    """Along the beam, 0 to 1."""
    y: Field
    x: Field
    """Place in the picture, 0 to 1."""
    rows: Field
    columns: Field
    """Of the sample that a pixel of the picture shows; there is none outside of the array."""


def draw_beams(rng: np.random.Generator, size: int) -> Beams:
    """Draw the field of a linear or of a curved probe."""
    return _draw_fan(rng, size) if rng.random() < 0.35 else _draw_rectangle(rng, size)


def _draw_rectangle(rng: np.random.Generator, size: int) -> Beams:
    """Parallel beams, as of a linear probe; a margin may stay black."""
    y, x = plane(size)
    top, bottom, left, right = rng.uniform(0, 0.12, 4) * (rng.random(4) < 0.3)
    depth = np.broadcast_to(y, (size, size))
    rows = np.broadcast_to((y - top) / (1 - top - bottom) * size - 0.5, (size, size))
    columns = np.broadcast_to((x - left) / (1 - left - right) * size - 0.5, (size, size))
    place_y, place_x = top + depth * (1 - top - bottom), left + x * (1 - left - right)
    return Beams(depth, place_y, np.broadcast_to(place_x, (size, size)), rows, columns)


def _draw_fan(rng: np.random.Generator, size: int) -> Beams:
    """Diverging beams, as of a curved probe, whose surface has radius `skin`; the beams meet above the picture."""
    y, x = plane(size)
    half_angle, skin = rng.uniform(0.4, 0.75), rng.uniform(0.1, 0.42)
    apex = rng.uniform(0.01, 0.05) - skin * np.cos(half_angle)
    length = min(0.98 - apex, rng.uniform(0.65, 0.9) / np.sin(half_angle)) - skin
    radius, angle = skin + y * length, (2 * x - 1) * half_angle
    dy, dx = y - apex, x - 0.5
    return Beams(
        depth=np.broadcast_to(y, (size, size)),
        y=apex + radius * np.cos(angle),
        x=0.5 + radius * np.sin(angle),
        rows=(np.hypot(dy, dx) - skin) / length * size - 0.5,
        columns=(np.arctan2(dx, dy) / half_angle + 1) / 2 * size - 0.5,
    )


def draw_place(
    rng: np.random.Generator, beams: Beams, depths: tuple[float, float], across: tuple[float, float]
) -> tuple[float, float]:
    """Draw a point of the field that lies between two depths and two beams."""
    at = tuple(int(rng.uniform(*ends) * len(beams.depth)) for ends in (depths, across))
    return float(beams.y[at]), float(beams.x[at])
