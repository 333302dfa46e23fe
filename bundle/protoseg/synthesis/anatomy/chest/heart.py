"""The heart: four chambers, the myocardium of the left ventricle, and the fat in the grooves."""

from typing import NamedTuple

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.chest.labels import CHEST_LABELS
from protoseg.synthesis.anatomy.chest.wall import Chest
from protoseg.synthesis.anatomy.shapes import Array, Point, SmoothNoise, ellipse, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_heart"]

SOFT = {Tissue.LUNG, Tissue.VISCERAL_FAT}
BASE = (0.0, 5.0, -62.0)  # mm: where the great vessels hold the heart, which grows and tilts about it


class Chamber(NamedTuple):
    """A chamber with its wall."""

    name: str
    distance: Array  # mm, negative inside the wall's outer surface
    wall: float  # mm
    blood: Tissue


def paint_heart(
    canvas: Canvas, chest: Chest, rng: np.random.Generator, *, right_blood: Tissue, fatness: float, depth: float
) -> None:
    """Paint the heart on the diaphragm.

    `right_blood` fills the right half; a low diaphragm, `depth` mm above the abdomen's origin, draws the heart out.
    """
    box = canvas.box((-135, -60, -190), (95, 110, -20))
    frame = _frame(canvas.coordinates(box), rng, stretch=1 + (depth - 258) / 100)
    wobble = 1.3 * canvas.noise(SmoothNoise(rng, 22.0), box)
    chambers = _chambers(frame, rng, wobble=wobble, right_blood=right_blood)
    surface = np.minimum.reduce([chamber.distance for chamber in chambers])
    floor = np.maximum(chest.cavity[box] + 2, 5 - chest.diaphragm[box])
    seat = ellipsoid(*frame, centre=(-22, 34, -128), radii=(54, 38, 26))  # on the diaphragm no lung comes between
    sac = np.maximum(smooth_union(surface - 2 - 6 * fatness - 2 * wobble, seat, 10.0) - 1.5, floor - 3)
    canvas.paint(box, sac, Tissue.MUSCLE, over=SOFT)
    canvas.paint(box, sac + 1.5, Tissue.VISCERAL_FAT, over=SOFT | {Tissue.MUSCLE})
    over = SOFT | {Tissue.HEART, Tissue.ARTERY, right_blood}
    for name, distance, wall, blood in chambers:
        label = CHEST_LABELS[name]
        wall_label = CHEST_LABELS["heart_myocardium"] if name == "heart_left_ventricle" else label
        outside = np.maximum(distance, floor)
        canvas.paint(box, outside, Tissue.HEART, label=wall_label, over=over)
        canvas.paint(box, outside + wall, blood, label=label, over={Tissue.HEART})
    right_atrium, _, right_ventricle, left_ventricle = (chamber.distance for chamber in chambers)
    for first, second, reach in ((right_atrium, right_ventricle, 11.0), (right_ventricle, left_ventricle, 6.0)):
        groove = np.maximum(np.abs(first - second) - 1 - 2 * fatness, np.maximum(surface, -surface - reach))
        canvas.paint(box, np.maximum(groove, floor), Tissue.VISCERAL_FAT, over=over)
        coronary = np.hypot(first - second, surface + 3) - 1.4
        canvas.paint(box, np.maximum(coronary, floor), Tissue.ARTERY, over=SOFT)


def _chambers(
    frame: tuple[Array, Array, Array], rng: np.random.Generator, *, wobble: Array, right_blood: Tissue
) -> tuple[Chamber, Chamber, Chamber, Chamber]:
    """Right atrium, left atrium, right ventricle, left ventricle; each yields to those after it."""
    right_atrium = ellipsoid(*frame, centre=(26, 20, -92), radii=(rng.uniform(23, 29), 29, 34)) + wobble
    left_atrium = ellipsoid(*frame, centre=(-4, -9, -66), radii=(rng.uniform(33, 39), rng.uniform(17, 23), 25)) + wobble
    auricle = ellipsoid(*frame, centre=(-38, 14, -54), radii=(13, 18, 10))
    across, along = _by_axis(frame, centre=(-16, 46, -96), axis=(-0.66, 0.42, -0.62))
    right_ventricle = ellipse(along, across, (rng.uniform(46, 54), rng.uniform(28, 33))) + wobble
    outflow = ellipsoid(*frame, centre=(-22, 46, -62), radii=(19, 18, 24))
    across, along = _by_axis(frame, centre=(-49, 28, -100), axis=(-0.67, 0.5, -0.55))
    left_ventricle = ellipse(along, across, (rng.uniform(48, 56), rng.uniform(31, 37))) + wobble
    return (
        Chamber("heart_right_atrium", right_atrium, 2.0, right_blood),
        Chamber("heart_left_atrium", smooth_union(left_atrium, auricle, 8.0), 2.0, Tissue.ARTERY),
        Chamber("heart_right_ventricle", smooth_union(right_ventricle, outflow, 12.0), 3.5, right_blood),
        Chamber("heart_left_ventricle", np.maximum(left_ventricle, -36 - along), rng.uniform(8, 13), Tissue.ARTERY),
    )


def _frame(
    coordinates: tuple[Array, Array, Array], rng: np.random.Generator, *, stretch: float
) -> tuple[Array, Array, Array]:
    """Coordinates in the template of a heart of its own size, tilt and length."""
    size = rng.uniform(0.92, 1.12)
    tilt = rng.normal(0, 0.12)
    cosine, sine = float(np.cos(tilt)), float(np.sin(tilt))
    x, y, z = ((c - np.float32(b)) / np.float32(size) for c, b in zip(coordinates, BASE))
    z = z / np.float32(stretch)
    return cosine * x + sine * z + BASE[0], y + BASE[1], cosine * z - sine * x + BASE[2]


def _by_axis(frame: tuple[Array, Array, Array], *, centre: Point, axis: Point) -> tuple[Array, Array]:
    """Distance from, and position along, an axis through a center."""
    unit = (np.asarray(axis) / np.linalg.norm(axis)).astype(np.float32)
    x, y, z = (c - np.float32(m) for c, m in zip(frame, centre))
    along = x * unit[0] + y * unit[1] + z * unit[2]
    return np.sqrt(np.maximum(x * x + y * y + z * z - along * along, 0)), along
