"""Hip bones, sacrum, the lowest vertebrae and the upper femurs."""

from collections.abc import Sequence

import numpy as np

from protoseg.synthesis.anatomy.bone import SHELL, paint_bone
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.pelvis.body import profile, spine_y
from protoseg.synthesis.anatomy.pelvis.labels import PELVIS_LABELS
from protoseg.synthesis.anatomy.shapes import Array, Point, SmoothNoise, capsule, ellipse, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["crest_height", "paint_bones", "wing_offset"]

HIP_JOINT: Point = (88.0, 0.0, 0.0)  # mm: the femoral head's middle on the right

# Rods that the lower hip bone is made of: start, end and both radii.
Rod = tuple[Point, Point, tuple[float, float]]
PUBIS: tuple[Rod, ...] = (
    ((76, 20, 18), (42, 40, 8), (13, 8)),
    ((42, 40, 8), (14, 46, -4), (8, 9)),
    ((13, 44, -4), (12, 33, -28), (10, 9)),
)
ISCHIUM: tuple[Rod, ...] = (
    ((74, -26, 12), (66, -40, -30), (15, 12)),
    ((66, -40, -30), (61, -40, -56), (12, 15)),
    ((60, -38, 6), (50, -46, 2), (7, 3)),
    ((60, -30, -62), (30, 8, -48), (8, 6)),
    ((30, 8, -48), (13, 30, -34), (6, 7)),
)
# Height and y of sacrum and coccyx, their half width and half thickness, in mm.
SACRUM = (
    (94, -34, 50, 19),
    (70, -60, 49, 19),
    (44, -79, 37, 14),
    (20, -87, 28, 9),
    (0, -82, 20, 7),
    (-14, -73, 9, 5),
    (-26, -62, 5, 4),
)


def crest_height(y: Array) -> Array:
    """Give the height of the iliac crest above a depth, from the posterior to the anterior spine (mm)."""
    return 138 - 58 * ((y + 20) / np.where(y > -20, 66, 75)) ** 2


def wing_offset(x: Array, y: Array, z: Array) -> tuple[Array, Array]:
    """Compute how far (mm) outward of the iliac wing's middle sheet a point of the right is; half its thickness."""
    along = np.clip((y + 95) / 141, 0, 1.1)
    flare = np.where(z > 85, 0.5, 0.4) * np.minimum(1, 1.4 * along) * (z - 85)
    offset = 0.8 * (x - 42 - 78 * along**0.9 - flare)
    rim = np.exp(-(np.maximum(0, crest_height(y) - z) / 11))
    thickness = 3 + 4 * rim + 6 * np.clip((-40 - y) / 30, 0, 1) + 0.3 * np.clip(45 - z, 0, 40)
    return offset, thickness


def paint_bones(canvas: Canvas, rng: np.random.Generator, *, woman: bool) -> None:
    """Paint bones outside in."""
    wide = rng.normal(1.08 if woman else 0.99, 0.02)
    for side, name in ((1, "right"), (-1, "left")):
        _paint_hip(canvas, rng, side=side, label=PELVIS_LABELS[f"{name}_hip"], wide=wide)
        _paint_femur(canvas, rng, side=side, label=PELVIS_LABELS[f"{name}_femur"], size=0.94 if woman else 1.03)
    box, gap = canvas.tube([(0, 47, 2), (0, 36, -30)], [16, 12])
    gap = np.maximum(np.abs(canvas.x[box]) - 2.6, gap)
    canvas.paint(box, gap, Tissue.CARTILAGE)
    _paint_sacrum(canvas, rng)
    _paint_vertebrae(canvas, rng)


def _rods(x: Array, y: Array, z: Array, rods: Sequence[Rod], *, blend: float) -> Array:
    start, end, radii = rods[0]
    distance = capsule(x, y, z, start=start, end=end, radii=radii)
    for start, end, radii in rods[1:]:
        distance = smooth_union(distance, capsule(x, y, z, start=start, end=end, radii=radii), blend)
    return distance


def _paint_hip(canvas: Canvas, rng: np.random.Generator, *, side: int, label: int, wide: float) -> None:
    """Iliac wing, socket, ischium and pubis; women's lower half is wider."""
    box = canvas.box(*np.sort([(0, -115, -90), (side * 160, 70, 150)], axis=0))
    x, y, z = canvas.coordinates(box)
    x = side * x
    wing = _wing(x, y, z)
    inlet = 1 + (wide - 1) * profile(z, (-60, 0, 40), (1, 1, 0)) * np.clip((75 - x) / 30, 0, 1)
    socket = ellipsoid(x, y, z, centre=(HIP_JOINT[0] - 2, -1, 3), radii=(33, 34, 34))
    roof = capsule(x, y, z, start=(84, 2, 22), end=(84, -4, 46), radii=(24, 9))
    lower = _rods(x / inlet, y, z, PUBIS, blend=6)
    lower = np.minimum(lower, _rods(x / inlet, y, z, ISCHIUM, blend=6))
    hip = smooth_union(smooth_union(smooth_union(socket, roof, 10), wing, 12), lower, 8)
    hip += 0.7 * canvas.noise(SmoothNoise(rng, 14.0), box)
    joint = ellipsoid(x, y, z, centre=HIP_JOINT, radii=(27.5, 27.5, 27.5))
    # The socket opens outwards, downwards and a little forwards.
    mouth = 0.76 * (x - HIP_JOINT[0]) + 0.26 * y - 0.6 * z - 3
    near = np.maximum(np.sqrt((x - HIP_JOINT[0]) ** 2 + y**2 + z**2) - 42, 60 - x)
    hip = np.maximum(hip, -np.minimum(joint, np.maximum(-mouth, near)))
    hip = np.maximum(hip, 2.6 - x)
    paint_bone(canvas, box, hip, label=label)
    lining = np.maximum(joint, mouth + 2)
    canvas.paint(box, lining, Tissue.CARTILAGE)


def _wing(x: Array, y: Array, z: Array) -> Array:
    offset, thickness = wing_offset(x, y, z)
    front = y - profile(z, (20, 40, 60, 80, 140), (24, 34, 37, 47, 47))
    rear = profile(z, (20, 40, 52, 62, 80, 140), (-30, -36, -52, -82, -97, -97)) - y
    edges = np.maximum(np.maximum(front, rear), z - crest_height(y))
    return np.maximum(np.maximum(np.abs(offset) - thickness, 0.75 * edges), 16 - z)


def _paint_femur(canvas: Canvas, rng: np.random.Generator, *, side: int, label: int, size: float) -> None:
    """Head, neck, trochanters and shaft, whose wall thickens downwards round fatty marrow."""
    size = size * rng.normal(1, 0.02)
    lean = rng.normal(0, 2)
    parts = (
        ([(88, 0, 0), (108, -4, -17), (128, -9, -34)], [17, 14.5, 17]),
        ([(137, -16, 6), (136, -13, -12), (131, -9, -40)], [7, 12, 15]),
        ([(130, -9, -36), (126, -5, -80), (118 + lean, 4, -150), (110 + lean, 6, -240)], [17, 15, 14, 14]),
        ([(122, -12, -52), (111, -23, -58)], [12, 7]),
    )
    box = canvas.box(*np.sort([(side * 55, -40, -250), (side * 165, 35, 35)], axis=0))
    x, y, z = canvas.coordinates(box)
    femur = ellipsoid(side * x, y, z, centre=HIP_JOINT, radii=(24 * size,) * 3)
    for points, radii in parts:
        for start, end, first, second in zip(points, points[1:], radii, radii[1:]):
            rod = capsule(side * x, y, z, start=start, end=end, radii=(first * size, second * size))
            femur = smooth_union(femur, rod, 6)
    shaft = profile(z, (-105, -50), (1, 0))
    femur += 0.5 * (1 - shaft) * canvas.noise(SmoothNoise(rng, 12.0), box)
    shell = SHELL + shaft * rng.uniform(3.5, 5.5)
    paint_bone(canvas, box, femur, label=label, shell=shell)
    canvas.paint(box, np.maximum(femur + shell, z + 72), Tissue.SUBCUTANEOUS_FAT, label=label)


def _paint_sacrum(canvas: Canvas, rng: np.random.Generator) -> None:
    """A curved shield with its canal and foramina, joined to both wings by cartilage."""
    box = canvas.box((-62, -115, -32), (62, -5, 112))
    x, y, z = canvas.coordinates(box)
    across = np.abs(x)
    z_nodes, y_nodes, widths, depths = np.array(SACRUM[::-1], dtype=float).T
    forwards = (y - profile(z, z_nodes, y_nodes)) * _lean(z, z_nodes, y_nodes)
    forwards = forwards + 0.004 * across**2  # the sides sweep back
    width, depth = profile(z, z_nodes, widths), profile(z, z_nodes, depths)
    sacrum = ellipse(across / width * 30, forwards / depth * 15, (30.0, 15.0)) * np.minimum(1, depth / 15)
    endplate = 0.72 * (z - 94) + 0.69 * (y + 33)
    sacrum = np.maximum(np.maximum(sacrum, endplate - 1), -28 - z)
    sacrum += 0.8 * canvas.noise(SmoothNoise(rng, 12.0), box)
    hips = {Tissue.CORTICAL_BONE, Tissue.SPONGY_BONE}
    canvas.paint(box, np.maximum(sacrum - 2.2, 32 - z), Tissue.CARTILAGE, over=hips)
    label = PELVIS_LABELS["sacrum"]
    paint_bone(canvas, box, sacrum, label=label)
    canal = np.maximum(ellipse(x, forwards + 8, (10.0, 4.5)), 12 - z)
    canvas.paint(box, np.maximum(canal, sacrum + 2), Tissue.SPINAL_CANAL, over=hips)
    for level, out in ((80, 26), (57, 23), (34, 19), (14, 15)):
        hole = np.hypot(across - out, z - level + 0.5 * forwards) - 4
        canvas.paint(box, np.maximum(hole, sacrum), Tissue.SUBCUTANEOUS_FAT, over=hips)
    spines = capsule(x, forwards, z, start=(0, -14, 75), end=(0, -11, 40), radii=(6, 4))
    paint_bone(canvas, box, np.maximum(spines, across - 3), label=label)


def _lean(z: Array, heights: Array, depths: Array) -> Array:
    """Cosine of the sacrum's lean from upright, which makes of horizontal offsets perpendicular ones."""
    slope = np.gradient(depths, heights)
    return np.cos(np.arctan(profile(z, heights, slope))).astype(np.float32)


def _paint_vertebrae(canvas: Canvas, rng: np.random.Generator) -> None:
    """L5 and up."""
    disc, bottom = rng.uniform(8, 12), 96.0
    for height in (35.0, 37.0, 37.0):
        _paint_vertebra(canvas, bottom + height / 2, half=(height - disc) / 2)
        bottom += height


def _paint_vertebra(canvas: Canvas, middle: float, *, half: float) -> None:
    """A vertebra that leans with the lumbar curve, `half` its body's half height, between its discs."""
    centre_y = float(spine_y(middle))
    slope = float(spine_y(middle + 5) - spine_y(middle - 5)) / 10
    box = canvas.box((-45, centre_y - 75, middle - 34), (45, centre_y + 25, middle + 34))
    x, y, z = canvas.coordinates(box)
    v = (y - centre_y - slope * (z - middle)).astype(np.float32)
    w = ((z - middle + slope * (y - centre_y)) * np.cos(np.arctan(slope))).astype(np.float32)
    waist = 1 - 0.1 * np.clip(1 - (w / half) ** 2, 0, 1)
    column = np.maximum(ellipse(x / waist, v / waist, (26.0, 18.0)), -v - 15)
    canvas.paint(box, np.maximum(column + 1, np.abs(w) - half - 7), Tissue.DISC)
    arch = np.maximum(np.abs(ellipse(x, v + 25, (15.0, 12.0))) - 3.2, np.abs(w - 1) - 12)
    wings = capsule(np.abs(x), v, w, start=(13, -24, 2), end=(39, -30, 3), radii=(5.5, 4))
    facets = capsule(np.abs(x), v, w, start=(17, -34, -13), end=(18, -32, 12), radii=(6, 6))
    spinous = np.maximum(capsule(0 * x, v, w, start=(0, -36, 0), end=(0, -52, -6), radii=(8, 7)), np.abs(x) - 3.2)
    for part in (arch, wings, facets, spinous, np.maximum(column, np.abs(w) - half)):
        paint_bone(canvas, box, part, label=PELVIS_LABELS["vertebrae"])
    canvas.paint(box, np.maximum(ellipse(x, v + 25, (11.0, 8.0)), np.abs(w) - half - 6), Tissue.SPINAL_CANAL)
