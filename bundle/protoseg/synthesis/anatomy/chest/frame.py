"""The chest's frame: its coordinates, the course of its spine, and the abdomen's place below."""

import copy

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import Array, Point

__all__ = ["by_spine", "in_abdominal_coordinates", "spine_y"]


def spine_y(z: Array | float) -> Array:
    """Give the y of the vertebral bodies' centers: thoracic kyphosis, then straight on up the neck."""
    level = (np.asarray(z, dtype=np.float32) + np.float32(60)) / np.float32(135)
    return np.float32(-62) + np.float32(22) * np.where(level < 1, level * level, 2 * level - 1)


def by_spine(x: float, forwards: float, z: float) -> Point:
    """Place a point `forwards` mm in front of the vertebral bodies' centers."""
    return x, float(spine_y(z)) + forwards, z


def in_abdominal_coordinates(canvas: Canvas, *, depth: float) -> Canvas:
    """Give the same voxels in the abdomen's coordinates, whose origin is `depth` mm below."""
    below = copy.copy(canvas)
    below.z = canvas.z + np.float32(depth)
    below.template_axes = [*canvas.template_axes[:2], canvas.template_axes[2] + np.float32(depth)]
    return below
