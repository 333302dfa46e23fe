"""Random fields and strokes that pictures are painted with; lengths are shares of the picture's edge."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

__all__ = [
    "Field",
    "blend",
    "blurred",
    "bumps",
    "clouds",
    "honeycomb",
    "outline",
    "plane",
    "ramp",
    "strokes",
    "threads",
    "wander",
]

Field = NDArray[np.float32]
"""(size, size), or what broadcasts to it."""

FINENESS = 2  # pixels that strokes are drawn with, for one


def plane(size: int) -> tuple[Field, Field]:
    """Make rows (size, 1) and columns (1, size), 0 to 1 from edge to edge."""
    middles = (np.arange(size, dtype=np.float32) + 0.5) / size
    return middles[:, None], middles[None, :]


def ramp(values: Field, start: float, end: float) -> Field:
    """Map values to 0 below `start`, 1 above `end`, smoothly between; `end` may be the smaller one."""
    share = np.clip((values - start) / (end - start), 0, 1)
    smooth: Field = share * share * (3 - 2 * share)
    return smooth


def blend(colors: Field, color: Sequence[float] | Field, share: Field) -> Field:
    """Lay a color over a picture (3, size, size) by a `share` (size, size)."""
    return np.asarray(colors + share * (np.asarray(color, np.float32)[:, None, None] - colors), np.float32)


def blurred(field: Field, width: float) -> Field:
    """Blur by a Gaussian of this standard deviation."""
    smooth: Field = gaussian_filter(field, width * len(field))
    return smooth


def bumps(rng: np.random.Generator, size: int, width: float | tuple[float, float]) -> Field:
    """Draw a smooth random field of unit variance, its bumps about this wide, along rows and columns alike or not."""
    widths = (width, width) if isinstance(width, float) else width
    pixels = [0.4 * size * w for w in widths]
    if min(pixels) < 1.5:
        rough = gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), pixels, mode="wrap")
        return np.asarray(rough / rough.std(), np.float32)
    at = plane(size)[0]
    rows, columns = (_weights(at, w) for w in widths)
    values = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    return np.asarray(rows @ values @ columns.T, np.float32)


def _weights(at: Field, width: float) -> Field:
    knots = np.arange(-1, 1 / width + 2, dtype=np.float32)
    weights = np.exp(-0.5 * ((at / width - knots) / 0.7) ** 2)
    return np.asarray(weights / np.sqrt((weights**2).sum(1, keepdims=True)), np.float32)


def clouds(rng: np.random.Generator, size: int, width: float, *, octaves: int = 3) -> Field:
    """Draw bumps of this width, with ever smaller ones on top; about unit variance."""
    weights = 0.6 ** np.arange(octaves)
    layers = (weight * bumps(rng, size, width / 2**octave) for octave, weight in enumerate(weights))
    return np.asarray(sum(layers) / np.sqrt((weights**2).sum()), np.float32)


def threads(rng: np.random.Generator, size: int, width: float | tuple[float, float], *, thickness: float) -> Field:
    """Draw winding lines, 1 on them and falling to 0, about `width` apart."""
    field = bumps(rng, size, width)
    slope = np.hypot(*np.gradient(field)) * size + 1e-3
    return np.asarray(np.exp(-((field / (slope * thickness)) ** 2)), np.float32)


def honeycomb(rng: np.random.Generator, size: int, width: float) -> Field:
    """Draw irregular cells of this width: 0 in their middles and 1 on the net between them."""
    y, x = plane(size)
    y, x = (axis + 0.3 * width * bumps(rng, size, 1.3 * width) + 2 * width * bumps(rng, size, 0.3) for axis in (y, x))
    angles = rng.uniform(0, np.pi) + np.arange(3) * np.pi / 3
    waves = sum(np.cos(2 * np.pi / width * (np.cos(a) * x + np.sin(a) * y)) for a in angles)
    return ramp(np.asarray(waves, np.float32), 1.2, -1.4)


def outline(
    rng: np.random.Generator,
    y: Field,
    x: Field,
    *,
    centre: Sequence[float] | NDArray[np.float64],
    radius: float,
    roughness: float,
    longer: float = 1.0,
) -> Field:
    """Compute the distance to an irregular closed outline, negative inside.

    Args:
        rng: random generator.
        y: rows of the points.
        x: columns of the points.
        centre: row and column of the middle.
        radius: mean radius.
        roughness: unevenness: 0 makes an ellipse, 0.1 a nodule, 0.4 a star.
        longer: ratio of length to width.
    """
    turn = rng.uniform(0, np.pi)
    dy, dx = y - centre[0], x - centre[1]
    along = (np.cos(turn) * dx + np.sin(turn) * dy) / np.sqrt(longer)
    across = (np.cos(turn) * dy - np.sin(turn) * dx) * np.sqrt(longer)
    reach, angle = np.hypot(along, across), np.arctan2(across, along)
    waves = np.arange(2, 14)
    heights = roughness * rng.standard_normal(len(waves)) * 1.4 / waves
    phases = rng.uniform(0, 2 * np.pi, len(waves))
    table = np.linspace(-np.pi, np.pi, 361)
    edge = np.exp((heights * np.cos(waves * table[:, None] + phases)).sum(axis=1))
    return np.asarray(reach - radius * np.interp(angle, table, edge), np.float32)


def wander(
    rng: np.random.Generator, start: NDArray[np.float64], *, heading: float, length: float, bend: float
) -> NDArray[np.float64]:
    """Draw a winding line (N, 2) of rows and columns; `bend` is how far it turns, in radians."""
    steps = 24
    turns = heading + np.cumsum(rng.normal(0, bend / steps) + rng.normal(0, bend / steps, steps))
    moves = length / steps * np.stack([np.sin(turns), np.cos(turns)], axis=1)
    return np.concatenate([[start], start + np.cumsum(moves, axis=0)])


def strokes(size: int, lines: Iterable[tuple[NDArray[np.float64], float]]) -> Field:
    """Draw lines, each (N, 2) rows and columns with its thickness: 1 on them, 0 beside them."""
    scale = FINENESS * size
    sheet = Image.new("L", (scale, scale))
    pen = ImageDraw.Draw(sheet)
    for line, thickness in lines:
        points = [(float(x), float(y)) for y, x in line * scale]
        pen.line(points, fill=255, width=max(1, round(thickness * scale)), joint="curve")
    drawn = np.asarray(sheet.resize((size, size), Image.Resampling.BOX), np.float32)
    return np.asarray(drawn / 255, np.float32)
