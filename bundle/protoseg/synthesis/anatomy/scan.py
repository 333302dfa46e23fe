"""One synthetic scan: a seeded person, imaged once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protoseg.errors import InputError
from protoseg.synthesis.anatomy.abdomen.person import ABDOMEN
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.region import Region
from protoseg.synthesis.anatomy.regions import REGIONS
from protoseg.synthesis.anatomy.rendering import CONTRASTS, render

__all__ = ["SyntheticScan", "check_request", "paint_scan", "synthesise"]


@dataclass(frozen=True)
class SyntheticScan:
    """One scan and its exact labels on one grid.

    `image` float32 (X, Y, Z), HU or MR signal; `labels` uint8 (X, Y, Z), the values of the region's labels;
    `affine` float64 (4, 4) maps voxel indices to RAS+ mm.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]


def synthesise(
    seed: int,
    *,
    region: str = "abdomen",
    contrast: str = "ct",
    shape: tuple[int, int, int] = (160, 160, 40),
    spacing: tuple[float, float, float] = (2.4, 2.4, 6.0),
) -> SyntheticScan:
    """Make one person's scan of a part of the body, one of `REGIONS`.

    The same seed gives the same person, whatever the contrast; `shape` is in voxels along x (left to right),
    y (back to front) and z (upwards), `spacing` in mm. Nothing depends on global random state.
    Raises `InputError` for an unknown region or contrast, or a grid that is not three positive numbers.
    """
    check_request(region, contrast, shape, spacing)
    table = contrast == "ct"
    canvas, affine = paint_scan(seed, shape=shape, spacing=spacing, table=table, region=REGIONS[region])
    acquisition = np.random.SeedSequence(seed).spawn(3)[2]
    rng = np.random.default_rng(acquisition.spawn(len(CONTRASTS))[CONTRASTS.index(contrast)])
    image = render(canvas, rng, contrast=contrast)
    return SyntheticScan(image=image, labels=canvas.labels, affine=affine)


def paint_scan(
    seed: int,
    *,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    table: bool,
    region: Region = ABDOMEN,
) -> tuple[Canvas, NDArray[np.float64]]:
    """Paint the person and the place of one scan, not yet imaged: tissues, and the affine (4, 4) to RAS+ mm.

    The arguments are those of `synthesise`; `table` puts the person on a CT table.
    """
    person, position, _ = np.random.SeedSequence(seed).spawn(3)
    placing = np.random.default_rng(position)
    centre = (placing.normal(0, 3), placing.normal(region.forwards, 3), placing.uniform(*region.middle))
    origin = [c - 0.5 * s * (n - 1) for c, s, n in zip(centre, spacing, shape)]
    axes = [(o + s * np.arange(n)).astype(np.float32) for o, s, n in zip(origin, spacing, shape)]
    canvas = region.paint(person, axes=axes, table=table)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.add(origin, placing.uniform(-60, 60, 3))  # a scanner's origin is arbitrary
    return canvas, affine


def check_request(region: str, contrast: str, shape: Sequence[int], spacing: Sequence[float]) -> None:
    """Raise `InputError` for a scan that `synthesise` cannot make."""
    if region not in REGIONS:
        raise InputError(f"region is {region!r}; expected one of {', '.join(REGIONS)}.")
    if contrast not in CONTRASTS:
        raise InputError(f"contrast is {contrast!r}; expected one of {', '.join(CONTRASTS)}.")
    if len(shape) != 3 or min(shape) < 4:
        raise InputError(f"shape is {tuple(shape)}; expected three numbers of voxels, each at least 4.")
    if len(spacing) != 3 or min(spacing) <= 0:
        raise InputError(f"spacing is {tuple(spacing)}; expected three positive lengths in mm.")
