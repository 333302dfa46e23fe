"""The bones around the chest: spine, ribs and sternum."""

from itertools import pairwise

import numpy as np

from protoseg.synthesis.anatomy.bone import paint_bone, paint_vertebra
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.chest.frame import spine_y
from protoseg.synthesis.anatomy.chest.labels import CHEST_LABELS
from protoseg.synthesis.anatomy.chest.wall import Chest
from protoseg.synthesis.anatomy.shapes import Array, ellipse
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["paint_chest_skeleton"]

TWELFTH_BELOW = -190.5  # mm: the twelfth thoracic vertebra's lower edge
# mm from disc to disc: T12 ... T1, C7 ... C2, and L1 and down.
PITCH = (28, 26.5, 25, 24, 23, 22.5, 22, 21.5, 21, 20.5, 19.5, 18, 16.5, 15.5, 15, 15, 15, 15)
LUMBAR_PITCH = (30, 32, 34)
# Where each rib's bone ends, twelfth to first: 0 spine, 0.5 flank, 1 sternum.
BONE_ENDS = (0.33, 0.45, 0.6, 0.64, 0.68, 0.72, 0.76, 0.8, 0.83, 0.85, 0.87, 0.86)


def paint_chest_skeleton(canvas: Canvas, chest: Chest, rng: np.random.Generator) -> None:
    """Paint ribs and sternum into the wall, and the spine behind it."""
    _paint_ribs(canvas, chest, rng)
    _paint_sternum(canvas, chest, rng)
    _paint_spine(canvas, rng)


def _paint_ribs(canvas: Canvas, chest: Chest, rng: np.random.Generator) -> None:
    """All ribs at once: the slant is taken out of the height, then every voxel looks at its nearest rib."""
    everywhere = canvas.everywhere
    _, _, z = canvas.coordinates(everywhere)
    edges = TWELFTH_BELOW + np.concatenate([[0], np.cumsum(PITCH[:12])])
    heads = (0.3 * edges[:-1] + 0.7 * edges[1:]).astype(np.float32)  # twelfth rib to first
    height = z + _slant(chest.around, z) * rng.uniform(0.9, 1.15)
    nearest = np.round(np.interp(height, heads, np.arange(12))).astype(np.intp)
    section = ellipse(chest.cage + 4.5, height - heads[nearest], (3.6, 6.0))
    end = np.asarray(BONE_ENDS, dtype=np.float32)[nearest]
    bone = np.maximum(section, np.maximum(0.06 - chest.around, chest.around - end) * 250)
    arch = -115 - 230 * (1 - chest.around) - z  # the lower edge of the cartilage: from the sternum down to the sides
    cartilage = np.maximum.reduce([section - 0.5, (end - chest.around) * 250, arch, 9.0 * (nearest < 2)])
    canvas.paint(everywhere, cartilage, Tissue.CARTILAGE, over={Tissue.MUSCLE, Tissue.SUBCUTANEOUS_FAT})
    paint_bone(canvas, everywhere, bone, label=CHEST_LABELS["ribs"])


def _slant(around: Array, z: Array) -> Array:
    """Compute how far a rib has come down, in mm, on its way from the spine to the front."""
    steep = 76 - 39 * np.exp((np.minimum(z, 40) - 35) / 45)
    low = np.clip((-60 - z) / 60, 0, 1)
    share = np.sin(np.clip(around / 0.72, 0, 1) * (np.pi / 2)) - 2.2 * low * np.maximum(around - 0.72, 0)
    return (steep * share).astype(np.float32)


def _paint_sternum(canvas: Canvas, chest: Chest, rng: np.random.Generator) -> None:
    """Manubrium, body and xiphoid process, a plate in the front wall with the jugular notch on top."""
    box = canvas.box((-45, -20, -150), (45, 120, 60))
    x, _, z = canvas.coordinates(box)
    across, wide = np.abs(x), rng.uniform(0.85, 1.15)
    levels = (-128, -106, -100, -70, -12, 0, 6, 30, 48)
    half = wide * np.interp(z, levels, (5, 7, 15, 19, 14, 15, 18, 27, 29)).astype(np.float32)
    depth = np.abs(chest.cage[box] + 4) - 5.5
    plate = np.maximum(np.maximum(across - half, depth), np.maximum(z - 48 + 6 * np.exp(-((x / 12) ** 2)), -128 - z))
    front = np.maximum(plate, 200 * (0.5 - chest.around[box]))
    paint_bone(canvas, box, front, label=CHEST_LABELS["sternum"])


def _paint_spine(canvas: Canvas, rng: np.random.Generator) -> None:
    disc = rng.uniform(4, 6.5)
    edges = [TWELFTH_BELOW]
    for pitch in PITCH:
        edges.append(edges[-1] + pitch)
    for pitch in LUMBAR_PITCH:
        edges.insert(0, edges[0] - pitch)
    label = CHEST_LABELS["vertebrae"]
    for low, high in pairwise(edges):
        middle = (low + high) / 2
        size = float(np.clip(0.9 - 0.0016 * (middle + 100), 0.58, 1.05))
        centre_y = float(spine_y(middle))
        lumbar = low < -191
        paint_vertebra(canvas, middle, high - low - disc, centre_y=centre_y, size=size, lumbar=lumbar, label=label)
    x, y, z = canvas.coordinates(box := canvas.box((-15, -110, edges[0]), (15, 20, edges[-1])))
    canal = ellipse(x, y - spine_y(z) + 22, (9.5, 7.5))
    canvas.paint(box, canal, Tissue.SPINAL_CANAL)
