"""The grid that shapes are painted on, with partial volume."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import label as number_components

from protoseg.synthesis.anatomy.shapes import Array, Point, SmoothNoise, capsule, smooth_curve
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["Box", "Canvas"]

Box = tuple[slice, slice, slice]


class Canvas:
    """Tissues on a voxel grid (X, Y, Z) = (left to right, posterior to anterior, inferior to superior).

    Shapes are given in the coordinates of a template person: `x`, `y`, `z` hold them, in mm, for every voxel,
    after the person's proportions and one smooth random deformation.

    Each voxel holds `tissue` and, where a surface runs through it, the lesser `neighbour` tissue too;
    `coverage` (0.5 to 1) is the share that belongs to `tissue`. `labels` are values of the region's labels.
    """

    MARGIN = 22.0  # mm: more than the deformation and the proportions move anything, and room for noise

    def __init__(
        self, rng: np.random.Generator, *, axes: Sequence[Array], proportions: Point, deformation: float
    ) -> None:
        self.axes = [np.asarray(axis, dtype=np.float32) for axis in axes]
        self.pixel = float(abs(self.axes[0][1] - self.axes[0][0]))
        self.template_axes = [axis / np.float32(p) for axis, p in zip(self.axes, proportions)]
        self.x, self.y, self.z = (
            np.broadcast_to(axis.reshape([-1 if d == k else 1 for d in range(3)]), self.shape)
            + deformation * SmoothNoise(rng, 90.0)(self.template_axes)
            + 0.2 * deformation * SmoothNoise(rng, 32.0)(self.template_axes)
            for k, axis in enumerate(self.template_axes)
        )
        self.tissue = np.zeros(self.shape, dtype=np.uint8)
        self.neighbour = np.zeros(self.shape, dtype=np.uint8)
        self.coverage = np.ones(self.shape, dtype=np.float32)
        self.labels = np.zeros(self.shape, dtype=np.uint8)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y and z."""
        return len(self.axes[0]), len(self.axes[1]), len(self.axes[2])

    @property
    def everywhere(self) -> Box:
        """The box of the whole grid."""
        return slice(None), slice(None), slice(None)

    def box(self, lower: ArrayLike, upper: ArrayLike) -> Box:
        """Find the part of the grid that can hold a shape whose template coordinates lie between two corners."""
        low, high = np.asarray(lower) - self.MARGIN, np.asarray(upper) + self.MARGIN
        x, y, z = (slice(*np.searchsorted(a, ends)) for a, ends in zip(self.template_axes, zip(low, high)))
        return x, y, z

    def around(self, centre: ArrayLike, radii: ArrayLike) -> Box:
        """Find the box of an upright ellipsoid."""
        return self.box(np.subtract(centre, radii), np.add(centre, radii))

    def coordinates(self, box: Box) -> tuple[Array, Array, Array]:
        """Give the template x, y, z of the voxels of a box."""
        return self.x[box], self.y[box], self.z[box]

    def noise(self, noise: SmoothNoise, box: Box) -> Array:
        """Draw a random field on a box."""
        return noise([axis[part] for axis, part in zip(self.template_axes, box)])

    def tube(self, points: ArrayLike, radii: ArrayLike, *, step: float = 8.0) -> tuple[Box, Array]:
        """Find the box of, and the distance to, a tube along a spline through control points."""
        centres, widths = smooth_curve(points, radii, step=step)
        widest = widths.max()
        box = self.box(centres.min(axis=0) - widest, centres.max(axis=0) + widest)
        distance = np.full(self.x[box].shape, 1e3, dtype=np.float32)
        for start, end, first, second in zip(centres, centres[1:], widths, widths[1:]):
            part = self.box(np.minimum(start, end) - widest, np.maximum(start, end) + widest)
            rod = capsule(*self.coordinates(part), start=start, end=end, radii=(first, second))
            local = tuple(
                slice(p.start - b.start, p.stop - b.start) if p.stop > p.start else slice(0, 0)
                for p, b in zip(part, box)
            )
            distance[local] = np.minimum(distance[local], rod.reshape(distance[local].shape))
        return box, distance

    def paint(
        self,
        box: Box,
        distance: Array,
        tissue: Tissue,
        *,
        label: int | None = 0,
        over: Collection[Tissue] | None = None,
    ) -> None:
        """Fill where `distance` is negative; `label` None keeps the labels, `over` spares other tissues."""
        share = np.clip(0.5 - distance / self.pixel, 0, 1)
        present, neighbour, coverage = self.tissue[box], self.neighbour[box], self.coverage[box]
        touched = share > 0
        if over is not None:
            paintable: NDArray[np.bool_] = np.zeros(len(Tissue), dtype=bool)
            paintable[list(over)] = True
            touched &= paintable[present]
        inside = touched & (share >= 0.5)
        rim = touched & (share < 0.5) & (coverage > 1 - share)
        neighbour[inside] = present[inside]
        present[inside] = tissue
        coverage[inside] = share[inside]
        neighbour[rim] = tissue
        coverage[rim] = 1 - share[rim]
        if label is not None:
            self.labels[box][inside] = label

    def sweep_crumbs(self, labels: Collection[int], *, into: Tissue) -> None:
        """Turn all but the largest piece (6-connected) of each label into a tissue: others cut it off."""
        for label in labels:
            pieces, count = number_components(self.labels == label)
            if count > 1:
                largest = 1 + np.bincount(pieces.ravel())[1:].argmax()
                crumbs = (pieces > 0) & (pieces != largest)
                self.tissue[crumbs] = into
                self.labels[crumbs] = 0
