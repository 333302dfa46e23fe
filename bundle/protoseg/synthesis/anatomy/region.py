"""The interface of a part of the body that can be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.shapes import Array

__all__ = ["PaintPerson", "Region"]


class PaintPerson(Protocol):
    """Paints one person."""

    def __call__(self, seed: np.random.SeedSequence, *, axes: Sequence[Array], table: bool) -> Canvas:
        """Paint a person onto the grid that three axes span.

        `axes` hold voxel positions in mm: x grows to the right, y forward, z upward, from an origin of the region's
        own; `table` puts the person on a CT table. The same seed gives the same person, whatever the axes.
        """
        ...


@dataclass(frozen=True)
class Region:
    """A part of the body."""

    name: str
    labels: Mapping[str, int]
    """Name and value of what is labelled, 1 and up; the same name is the same organ in every region."""
    paint: PaintPerson
    middle: tuple[float, float]
    """Lowest and highest z, in mm, of a scan's middle."""
    forwards: float = 0.0
    """y of a scan's middle, in mm."""
