"""The shoulder girdle: the position of the arms, the shape of the shoulders, and their bones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from protoseg.synthesis.anatomy.bone import paint_bone
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.chest.labels import CHEST_LABELS
from protoseg.synthesis.anatomy.shapes import Array, Point, SmoothNoise, capsule, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["ARMS_DOWN", "ARMS_UP", "Arms", "axilla", "paint_shoulder_bones", "shoulders"]


@dataclass(frozen=True)
class Arms:
    """Points of the right shoulder; the left one mirrors them."""

    head: Point  # of the humerus
    elbow: Point
    socket: Point  # of the scapula, for that head
    acromion: Point
    scapula_top: Point
    scapula_tip: Point
    clavicle_end: Point


ARMS_UP = Arms(
    head=(158, -36, 94),
    elbow=(150, -12, 330),
    socket=(136, -40, 84),
    acromion=(146, -56, 120),
    scapula_top=(68, -98, 62),
    scapula_tip=(124, -74, -62),
    clavicle_end=(136, -42, 112),
)
ARMS_DOWN = Arms(
    head=(162, -32, 58),
    elbow=(228, -50, -220),
    socket=(139, -37, 56),
    acromion=(162, -44, 88),
    scapula_top=(68, -99, 62),
    scapula_tip=(98, -104, -78),
    clavicle_end=(146, -34, 86),
)


def shoulders(x: Array, y: Array, z: Array, *, arms: Arms, bulk: float) -> Array:
    """Compute the distance to the muscles of shoulders and arms: trapezius, deltoid, and the armpit's two folds."""
    across = np.abs(x)
    girth = 36 + 6 * bulk
    union = capsule(across, y, z, start=(0, -45, 112), end=arms.head, radii=(38, girth))
    others: tuple[tuple[ArrayLike, ArrayLike, tuple[float, float]], ...] = (
        (arms.head, arms.elbow, (girth, 0.85 * girth)),
        ((92, 34, 0), np.add(arms.head, (-12, 20, -12)), (14, 16)),
        (arms.scapula_tip, np.add(arms.head, (-8, -14, -14)), (21, 24)),
    )
    for start, end, radii in others:
        union = smooth_union(union, capsule(across, y, z, start=start, end=end, radii=radii), 20.0)
    return union


def axilla(x: Array, y: Array, z: Array, *, arms: Arms) -> Array:
    """Compute the distance to the fat of both armpits, between ribs, shoulder joint and the folds."""
    centre = (arms.head[0] - 36, arms.head[1] + 14, arms.head[2] - 34)
    return ellipsoid(np.abs(x), y, z, centre=centre, radii=(23, 24, 46))


def paint_shoulder_bones(canvas: Canvas, rng: np.random.Generator, *, arms: Arms) -> None:
    """Paint both scapulae, humeri and clavicles."""
    shrug = rng.normal(0, 4)
    for side in (-1, 1):
        _paint_scapula(canvas, rng, arms=arms, side=side)
        _paint_humerus(canvas, arms=arms, side=side)
        middle = (0.55 * arms.clavicle_end[0], 16, 0.5 * (48 + arms.clavicle_end[2]) + shrug)
        path = [(20, 42, 46), (48, 38, 54), middle, (0.8 * arms.clavicle_end[0], -18, middle[2] + 10)]
        box, distance = canvas.tube(_mirrored([*path, arms.clavicle_end], side), [10, 7.5, 6, 6, 7], step=12)
        paint_bone(canvas, box, distance, label=CHEST_LABELS["clavicles"])


def _mirrored(points: Sequence[ArrayLike], side: int) -> Array:
    return np.asarray(points, dtype=float) * (side, 1, 1)


def _paint_humerus(canvas: Canvas, *, arms: Arms, side: int) -> None:
    shaft = np.asarray(arms.elbow) - arms.head
    neck = np.asarray(arms.head) + 34 * shaft / np.linalg.norm(shaft)
    start, neck, end = _mirrored([arms.head, neck, arms.elbow], side)
    for first, second, radii in ((start, neck, (24.0, 13.0)), (neck, end, (13.0, 11.5))):
        box = canvas.box(np.minimum(first, second) - 24, np.maximum(first, second) + 24)
        distance = capsule(*canvas.coordinates(box), start=first, end=second, radii=radii)
        paint_bone(canvas, box, distance, label=CHEST_LABELS["humeri"])
        canvas.paint(box, distance + 4, Tissue.SPONGY_BONE, label=CHEST_LABELS["humeri"])


def _paint_scapula(canvas: Canvas, rng: np.random.Generator, *, arms: Arms, side: int) -> None:
    """A triangular blade behind the ribs, with its spine, the socket, and the coracoid process in front."""
    label = CHEST_LABELS["scapulae"]
    top, tip, socket = corners = np.array([arms.scapula_top, arms.scapula_tip, arms.socket], dtype=float)
    coracoid = np.add(socket, (-2, 36, 14))
    ends = _mirrored([*corners, arms.acromion, coracoid], side)
    box = canvas.box(ends.min(axis=0) - 8, ends.max(axis=0) + 8)
    x, y, z = canvas.coordinates(box)
    across = side * x
    bowed = y + 2.0 * canvas.noise(SmoothNoise(rng, 40.0), box)
    blade = _triangle(across, bowed, z, corners) - 1.9
    bend = np.add(arms.acromion, (-14, -10, -4))
    rods = (
        (tip, socket, (4.0, 7.0)),
        (0.8 * top + 0.2 * tip, bend, (2.5, 5.0)),
        (bend, arms.acromion, (5.0, 6.5)),
        (np.add(socket, (-8, 4, 10)), coracoid, (6.0, 5.0)),
    )
    for start, end, radii in rods:
        blade = np.minimum(blade, capsule(across, y, z, start=start, end=end, radii=radii))
    neck = ellipsoid(across, y, z, centre=tuple(socket), radii=(8, 13, 18))
    paint_bone(canvas, box, np.minimum(blade, neck), label=label)


def _triangle(x: Array, y: Array, z: Array, corners: Array) -> Array:
    """Distance to a flat triangle (3 corners, 3 coordinates), rounded where its edges are."""
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    normal /= np.linalg.norm(normal)
    distance = np.abs(_along(x, y, z, corners[0], normal))
    inside = corners.mean(axis=0)
    for start, end in zip(corners, np.roll(corners, -1, axis=0)):
        outwards = np.cross(end - start, normal)
        outwards /= np.linalg.norm(outwards) * -np.sign(outwards @ (inside - start))
        distance = np.maximum(distance, _along(x, y, z, start, outwards))
    return distance


def _along(x: Array, y: Array, z: Array, origin: Array, direction: Array) -> Array:
    dx, dy, dz = (c - np.float32(o) for c, o in zip((x, y, z), origin))
    return dx * np.float32(direction[0]) + dy * np.float32(direction[1]) + dz * np.float32(direction[2])
