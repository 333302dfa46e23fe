"""The brain's inside: corpus callosum, ventricles, the gray nuclei and the hippocampi.

Places are in mm from the anterior commissure, as in stereotaxic atlases.
"""

from collections.abc import Sequence

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.head.frame import paired_tube
from protoseg.synthesis.anatomy.head.labels import HEAD_LABELS
from protoseg.synthesis.anatomy.shapes import Point, ellipsoid, smooth_union
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_deep_brain"]

COMMISSURE = (0.0, 15.0, 43.0)
CEREBRUM = {Tissue.GRAY_MATTER, Tissue.WHITE_MATTER, Tissue.CEREBROSPINAL_FLUID}


def paint_deep_brain(canvas: Canvas, rng: np.random.Generator, *, ventricles: float) -> None:
    """Paint from the corpus callosum down; `ventricles` scales their width, 1 in a young adult."""
    box, callosum = canvas.tube(
        _place([(0, 21, -3), (0, 30, 5), (0, 15, 19), (0, -10, 23), (0, -30, 17), (0, -37, 9)]),
        [3, 4.5, 3.5, 3.5, 4.5, 5],
        step=5,
    )
    canvas.paint(box, callosum, Tissue.WHITE_MATTER, label=None, over=CEREBRUM)
    _paint_core(canvas)
    _paint_ventricles(canvas, rng, size=ventricles)
    _paint_nuclei(canvas, rng)
    _paint_hippocampi(canvas, rng, size=ventricles)


def _place(points: Sequence[Point]) -> list[Point]:
    """Turn places from the commissure into the head's coordinates."""
    x0, y0, z0 = COMMISSURE
    return [(x + x0, y + y0, z + z0) for x, y, z in points]


def _paint_core(canvas: Canvas) -> None:
    """The white matter that the nuclei lie in, where folds and cisterns may have reached too deep."""
    box, core = paired_tube(canvas, _place([(16, 16, 6), (19, 0, 4), (19, -20, 8)]), [11, 13, 12])
    x, _, z = canvas.coordinates(box)
    core = np.maximum(core, np.maximum(3.5 - np.abs(x), 46 - z))
    for sign, name in ((1, "right_cerebrum"), (-1, "left_cerebrum")):
        half = np.maximum(core, -sign * x)
        canvas.paint(box, half, Tissue.WHITE_MATTER, label=HEAD_LABELS[name], over=CEREBRUM)


def _paint_ventricles(canvas: Canvas, rng: np.random.Generator, *, size: float) -> None:
    label = HEAD_LABELS["ventricles"]
    wide = size * rng.uniform(0.9, 1.1)
    body = [(13, 30, 6), (9, 20, 9), (7.5, 6, 13), (10, -12, 17), (17, -28, 15), (24, -39, 11)]
    horn = rng.uniform(4, 22)
    back = [(24, -39, 11), (26, -50, 8), (25, -56 - horn, 6)]
    low = [(24, -38, 9), (31, -32, -2), (31, -20, -12), (28, -8, -16)]
    courses = (
        (body, [2.0, 4.2, 4.2, 4.2, 4.6, 5.4], (1.1, 1, 1.15)),
        (back, [5.0, 3.6, 1.2], (1, 1, 1.4)),
        (low, [5.0, 2.4, 1.6, 1.6], (1, 1, 1)),
    )
    for points, radii, stretch in courses:
        box, course = paired_tube(canvas, _place(points), [r * wide for r in radii], step=5, stretch=stretch)
        x = canvas.coordinates(box)[0]
        canvas.paint(box, np.maximum(course, 0.9 - np.abs(x)), Tissue.CEREBROSPINAL_FLUID, label=label)
    third = _place([(0, -11, -2)])[0]
    box = canvas.around(third, (4, 13, 10))
    slit = ellipsoid(*canvas.coordinates(box), centre=third, radii=(2.0 * wide, 13, 10))
    canvas.paint(box, slit, Tissue.CEREBROSPINAL_FLUID, label=label)
    box, aqueduct = canvas.tube(_place([(0, -22, -6), (0, -30, -12), (0, -37, -22)]), [1.3, 1.2, 2], step=4)
    canvas.paint(box, aqueduct, Tissue.CEREBROSPINAL_FLUID, label=label)
    fourth = _place([(0, -38, -30)])[0]
    box = canvas.around(fourth, (9, 6, 13))
    x, y, z = canvas.coordinates(box)
    tent = ellipsoid(x, y, z, centre=fourth, radii=(8.5 * wide**0.5, 5.5 * wide**0.5, 12))
    canvas.paint(box, tent, Tissue.CEREBROSPINAL_FLUID, label=label)


def _paint_nuclei(canvas: Canvas, rng: np.random.Generator) -> None:
    """Thalamus, caudate nucleus, putamen and pallidum with the lamina between them."""
    whole = {Tissue.GRAY_MATTER, Tissue.WHITE_MATTER}
    size = rng.uniform(0.93, 1.07)
    box = canvas.box(*_place([(-40, -40, -14), (40, 34, 24)]))
    x, y, z = (c - m for c, m in zip(canvas.coordinates(box), COMMISSURE))
    side = np.abs(x)
    thalamus = ellipsoid(side - 0.35 * np.maximum(-16 - y, 0), y, z, centre=(10.5, -16, 5), radii=(9.5, 15, 10))
    thalamus = np.maximum(thalamus, 1.6 - side) + (1 - size) * 8
    canvas.paint(box, thalamus, Tissue.GRAY_MATTER, label=HEAD_LABELS["thalami"], over=whole)
    medial = (side - 25) + 0.3 * (y - 2) + rng.normal(0, 0.6)
    putamen = ellipsoid(medial, y, z, centre=(0, 3, 1), radii=(6 * size, 17 * size, 10.5 * size))
    pallidum = ellipsoid(medial + 6, y, z, centre=(0, -2, -1), radii=(4.5 * size, 10 * size, 7 * size))
    lens = smooth_union(putamen, pallidum, 2)
    canvas.paint(box, lens, Tissue.GRAY_MATTER, label=HEAD_LABELS["lentiform_nuclei"], over=whole)
    lamina = np.maximum(np.abs(pallidum) - 0.6, lens + 1)
    canvas.paint(box, lamina, Tissue.WHITE_MATTER, label=None, over={Tissue.GRAY_MATTER})
    head = [(13.5, 20, 2), (14.5, 13, 7), (16, 0, 15), (19, -16, 18), (24, -27, 14)]
    box, caudate = paired_tube(canvas, _place(head), [5.6, 6.6, 4, 2.8, 1.6], step=5, stretch=(0.9, 1, 1.2))
    canvas.paint(box, caudate, Tissue.GRAY_MATTER, label=HEAD_LABELS["caudate_nuclei"], over=CEREBRUM)


def _paint_hippocampi(canvas: Canvas, rng: np.random.Generator, *, size: float) -> None:
    """Curved rolls on the floor of the temporal horns, with the amygdala in front; they shrink as ventricles grow."""
    plump = rng.uniform(0.92, 1.08) * (1.12 - 0.12 * size)
    path: list[Point] = [(22, -6, -16), (24, -14, -17), (27, -24, -11), (27, -32, -4), (20, -37, 4)]
    box, amygdala = paired_tube(canvas, _place([(20, -1, -16), (22, 4, -15)]), [6.5, 5.5])
    canvas.paint(box, amygdala, Tissue.GRAY_MATTER, label=None, over=CEREBRUM)
    box, roll = paired_tube(canvas, _place(path), [r * plump for r in (6.8, 6.2, 5.4, 4.4, 2.2)], step=5)
    canvas.paint(box, roll, Tissue.GRAY_MATTER, label=HEAD_LABELS["hippocampi"], over=CEREBRUM)
