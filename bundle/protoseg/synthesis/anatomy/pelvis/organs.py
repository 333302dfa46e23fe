"""Bladder, rectum, and the organs between them: prostate and seminal vesicles, or uterus and ovaries."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protoseg.synthesis.anatomy.bowel_loops import paint_lumen
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.pelvis.body import FAT, PelvicBody
from protoseg.synthesis.anatomy.pelvis.labels import PELVIS_LABELS
from protoseg.synthesis.anatomy.shapes import Point, SmoothNoise, ellipsoid
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = [
    "Bladder",
    "paint_bladder",
    "paint_genitals",
    "paint_prostate",
    "paint_rectum",
    "paint_uterus",
    "plan_bladder",
]

CAVITY = {Tissue.VISCERAL_FAT}
SOFT = FAT | {Tissue.MUSCLE}


@dataclass(frozen=True)
class Bladder:
    """The place of the bladder and the thickness of its wall, in mm: the fuller, the thinner."""

    centre: Point
    radii: Point
    wall: float


def plan_bladder(rng: np.random.Generator, *, woman: bool) -> Bladder:
    """Draw a filling from 40 to 450 ml: an empty bladder is flat, a full one round and high."""
    volume = float(np.exp(rng.uniform(np.log(40), np.log(450))))
    radius = (3 * volume * 1000 / (4 * np.pi)) ** (1 / 3)
    flat = np.clip((34 - radius) / 14, 0, 1)
    across, up = 1.08 + 0.2 * flat, 0.95 - 0.2 * flat
    radii = radius * across, radius / (across * up), radius * up
    floor = (-14 if woman else -4) + rng.normal(0, 3)
    front = 29 + 0.4 * radius + rng.normal(0, 2)
    centre = float(rng.normal(0, 3)), float(front - radii[1]), float(floor + radii[2])
    wall = 5.5 - 2.8 * np.clip((radius - 20) / 26, 0, 1)
    return Bladder(centre=centre, radii=radii, wall=float(wall))


def paint_bladder(canvas: Canvas, body: PelvicBody, bladder: Bladder, rng: np.random.Generator) -> None:
    """Paint a bag molded by what surrounds it."""
    box = canvas.around(bladder.centre, bladder.radii)
    bag = ellipsoid(*canvas.coordinates(box), centre=bladder.centre, radii=bladder.radii)
    bag += 2.2 * canvas.noise(SmoothNoise(rng, 30.0), box)
    bag = np.maximum(bag, body.cavity[box] + 2)
    label = PELVIS_LABELS["urinary_bladder"]
    canvas.paint(box, bag, Tissue.GUT_WALL, label=label, over=CAVITY)
    canvas.paint(box, bag + bladder.wall, Tissue.URINE, label=None, over={Tissue.GUT_WALL})


def paint_rectum(canvas: Canvas, rng: np.random.Generator) -> Point:
    """Paint the rectum along the sacrum from the anus up; give the point where the sigmoid goes on."""
    full = rng.uniform(0.75, 1.35)
    sway = rng.normal(0, 5, 3)
    course = [(0, -50, -66), (0, -38, -40), (sway[0], -50, -12), (sway[1], -60, 16), (sway[2], -54, 44)]
    top = (float(rng.normal(-4, 8)), -40.0, 68.0)
    radii = [9, 12, 17 * full, 18 * full, 15 * full, 13 * full]
    box, distance = canvas.tube([*course, top], radii, step=6)
    distance += 1.3 * canvas.noise(SmoothNoise(rng, 16.0), box)
    label = PELVIS_LABELS["rectum"]
    canvas.paint(box, distance, Tissue.GUT_WALL, label=label, over=SOFT)
    content = Tissue.STOOL if rng.random() < 0.6 else Tissue.GUT_FLUID
    closing = 0.5 * np.clip(-20 - canvas.z[box], 0, 40)
    paint_lumen(canvas, box, distance + closing, content=content, wall=3.5, gas_above=rng.uniform(-56, -30))
    return top


def paint_prostate(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint a chestnut under the bladder: a central gland, which grows with age, in a peripheral horseshoe."""
    growth = rng.beta(1.3, 2.5)
    radii = (22 + 7 * growth, 15 + 6 * growth, 17 + 9 * growth)
    centre = (float(rng.normal(0, 1.5)), float(5 + rng.normal(0, 2)), -20 + 0.3 * radii[2])
    box = canvas.around(centre, radii)
    x, y, z = canvas.coordinates(box)
    gland = ellipsoid(x, y, z, centre=centre, radii=radii) + 0.8 * canvas.noise(SmoothNoise(rng, 16.0), box)
    label = PELVIS_LABELS["prostate"]
    canvas.paint(box, gland, Tissue.PERIPHERAL_PROSTATE, label=label, over=SOFT)
    share = 0.62 + 0.22 * growth
    core = (centre[0], centre[1] + 0.2 * radii[1], centre[2] + 0.14 * radii[2])
    central = ellipsoid(x, y, z, centre=core, radii=(share * radii[0], 0.78 * radii[1], 0.84 * radii[2]))
    central += canvas.noise(SmoothNoise(rng, 9.0), box)
    canvas.paint(box, np.maximum(central, gland + 1), Tissue.PROSTATE, label=None, over={Tissue.PERIPHERAL_PROSTATE})
    for side in (-1, 1):
        course = [(side * 5, -12, centre[2] + 0.8 * radii[2]), (side * 18, -18, 8), (side * 34, -22, 15)]
        box, vesicle = canvas.tube(course, [4.5, 6, 5], step=5)
        vesicle += 1.2 * canvas.noise(SmoothNoise(rng, 6.0), box)
        canvas.paint(box, vesicle, Tissue.PERIPHERAL_PROSTATE, over=CAVITY)


def paint_uterus(canvas: Canvas, body: PelvicBody, bladder: Bladder, rng: np.random.Generator) -> None:
    """Paint the cervix behind the bladder and the body leaning over it, the steeper the fuller the bladder."""
    size = rng.uniform(0.8, 1.2)
    cervix = np.array([rng.normal(0, 3), -22 + rng.normal(0, 2), 8 + rng.normal(0, 3)])
    towards = np.array([bladder.centre[1] - cervix[1], bladder.centre[2] - cervix[2]])
    clearance = 16 * size + 0.45 * (bladder.radii[1] + bladder.radii[2])
    lean = np.arcsin(min(1.0, clearance / float(np.linalg.norm(towards))))
    tilt = min(np.arctan2(towards[1], towards[0]) + lean, np.deg2rad(rng.uniform(85, 110)))
    axis = np.array([rng.normal(0, 0.16), np.cos(tilt), np.sin(tilt)]) * size
    course = [cervix - 12 * axis, cervix + 8 * axis, cervix + 30 * axis, cervix + 52 * axis]
    box, distance = canvas.tube(course, np.multiply(size, [13, 13, 19, 22]), step=5)
    distance += 1.2 * canvas.noise(SmoothNoise(rng, 22.0), box)
    distance = np.maximum(distance, body.cavity[box] + 3)
    label = PELVIS_LABELS["uterus"]
    canvas.paint(box, distance, Tissue.UTERUS, label=label, over=CAVITY)
    lining, thickness = canvas.tube(course[1:], rng.uniform(1.5, 4.5) * np.array([0.6, 1.0, 1.5]), step=5)
    canvas.paint(lining, thickness, Tissue.ENDOMETRIUM, label=None, over={Tissue.UTERUS})
    vagina, wall = canvas.tube([cervix - 8 * axis, (0, -18, -20), (0, -4, -52)], [9, 8, 7], step=6)
    canvas.paint(vagina, wall, Tissue.GUT_WALL, over=SOFT)
    for side in (-1, 1):
        _paint_ovary(canvas, cervix + 34 * axis + (side * rng.uniform(38, 48), rng.normal(-8, 6), 0), rng)


def _paint_ovary(canvas: Canvas, centre: NDArray[np.float64], rng: np.random.Generator) -> None:
    box = canvas.around(centre, (12, 9, 14))
    x, y, z = canvas.coordinates(box)
    at = float(centre[0]), float(centre[1]), float(centre[2])
    canvas.paint(box, ellipsoid(x, y, z, centre=at, radii=(11, 8, 13)), Tissue.UTERUS, over=CAVITY)
    for _ in range(rng.integers(0, 5)):
        spot, radius = np.add(at, rng.normal(0, 4, 3)), rng.uniform(2, 6)
        follicle = np.sqrt(sum((c - m) ** 2 for c, m in zip((x, y, z), spot))) - radius
        canvas.paint(box, follicle, Tissue.CYST, label=None, over={Tissue.UTERUS})


def paint_genitals(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint penis and scrotum in front of and between a man's thighs."""
    outside = {Tissue.AIR, Tissue.SKIN, Tissue.SUBCUTANEOUS_FAT}
    hang = rng.uniform(-8, 8)
    box, bag = canvas.tube([(0, 36, -62), (0, 40 + 0.5 * hang, -98 + hang)], [20, 30], step=6)
    canvas.paint(box, bag, Tissue.SKIN, over=outside)
    canvas.paint(box, bag + 5, Tissue.SUBCUTANEOUS_FAT, over={Tissue.SKIN})
    for side in (-1, 1):
        box, testis = canvas.tube([(side * 14, 36, -90 + hang), (side * 14, 40, -104 + hang)], [11, 11], step=4)
        canvas.paint(box, testis, Tissue.PERIPHERAL_PROSTATE, over=outside)
    root = [(0, 6, -48), (0, 40, -42), (0, 64, -50), (float(rng.normal(0, 8)), 66, -92)]
    box, shaft = canvas.tube(root, [9, 12, 14, 13], step=6)
    canvas.paint(box, shaft - 2, Tissue.SKIN, over=outside)
    canvas.paint(box, shaft, Tissue.VEIN, over=SOFT | {Tissue.SKIN})
