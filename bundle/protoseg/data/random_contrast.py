"""Random contrasts: one person as a CT of any phase, a T1-weighted MR, or something no scanner has ever shown.

T2-weighted contrast is left out on purpose: synthetic T2 scans show how well features carry over to a contrast that
they were not trained on.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from protoseg.data.anatomy.rendering import ENHANCEMENT, HOUNSFIELD, MAGNETIC
from protoseg.data.anatomy.shapes import Array
from protoseg.data.anatomy.tissues import Tissue
from protoseg.data.intensity import CT_WINDOW
from protoseg.data.people import PersonSlice

__all__ = ["Contrast", "random_contrast", "render_slice", "varied"]

CT_SHARE, T1_SHARE = 0.4, 0.12

ALIKE: tuple[tuple[Tissue, ...], ...] = (
    (Tissue.AIR, Tissue.TABLE_SHELL, Tissue.TABLE_FOAM),
    (Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT),
    (Tissue.CARTILAGE, Tissue.SPONGY_BONE),
    (Tissue.HEART, Tissue.ARTERY, Tissue.VEIN, Tissue.PORTAL_VEIN),
    (Tissue.RENAL_CORTEX, Tissue.RENAL_MEDULLA),
    (Tissue.BILE, Tissue.CYST, Tissue.GUT_FLUID),
)
"""Tissues that most contrasts show in about the same brightness."""


@dataclass(frozen=True)
class Contrast:
    """Brightness of every tissue, in the order of `Tissue`, on a scale whose visible part is 0 to 1."""

    mean: Array
    texture: Array
    """Standard deviation inside the tissue."""
    windowed: bool
    """True where brightness beyond 0 and 1 is cut, as in CT."""


def random_contrast(rng: np.random.Generator) -> Contrast:
    """Draw a contrast: CT (40 %), T1-weighted MR (12 %), or arbitrary."""
    kind = rng.random()
    if kind < CT_SHARE:
        return _random_ct(rng)
    if kind < CT_SHARE + T1_SHARE:
        return _random_t1(rng)
    return _arbitrary(rng)


def varied(contrast: Contrast, rng: np.random.Generator) -> Contrast:
    """The same contrast in another examination."""
    mean = contrast.mean + rng.normal(0, 0.03, contrast.mean.shape).astype(np.float32)
    return replace(contrast, mean=mean)


def render_slice(maps: PersonSlice, contrast: Contrast, rng: np.random.Generator) -> Array:
    """Brightness (H, W) of a slice: mean plus two scales of texture; pixels on a surface mix their tissues."""
    shape = maps.tissue.shape
    fine = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), 0.8)
    coarse = zoom(
        rng.standard_normal([n // 8 for n in shape], dtype=np.float32), 8, order=1, mode="grid-constant", grid_mode=True
    )
    grain = 0.8 * fine / fine.std() + 0.6 * coarse[: shape[0], : shape[1]]
    own, other = (contrast.mean[m] + contrast.texture[m] * grain for m in (maps.tissue, maps.neighbour))
    coverage = maps.coverage.astype(np.float32) / 255
    return coverage * own + (1 - coverage) * other


def _random_ct(rng: np.random.Generator) -> Contrast:
    """CT in any phase between native, arterial and portal-venous, in about the usual window."""
    mean, texture = np.array([HOUNSFIELD[tissue] for tissue in Tissue], dtype=np.float32).T
    dose, lateness = rng.choice([0, rng.uniform(0.3, 1.2)], p=[0.25, 0.75]), rng.random()
    for tissue, (arterial, portal) in ENHANCEMENT.items():
        mean[tissue] += dose * rng.uniform(0.85, 1.15) * ((1 - lateness) * arterial + lateness * portal)
    mean += rng.normal(0, 8, len(mean)).astype(np.float32)
    mean[Tissue.LIVER] -= rng.choice([0, rng.uniform(0, 40)], p=[0.75, 0.25])  # a fatty liver
    low, high = CT_WINDOW[0] + rng.normal(0, 15), CT_WINDOW[1] + rng.normal(0, 25)
    mean[Tissue.AIR] = min(mean[Tissue.AIR], low)
    return Contrast((mean - low) / (high - low), texture * rng.uniform(0.5, 2) / (high - low), windowed=True)


def _random_t1(rng: np.random.Generator) -> Contrast:
    none = (0.0,) * 4  # a scanner's table gives no signal
    signal = np.array([MAGNETIC.get(tissue, none) for tissue in Tissue], dtype=np.float32).T / 100
    mean = signal[0] * rng.lognormal(0, 0.15, len(Tissue)).astype(np.float32)
    if rng.random() < 0.3:
        mean[[Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT]] *= rng.uniform(0.1, 0.5)  # fat suppression
    return Contrast(mean, signal[1] * rng.uniform(0.5, 2), windowed=False)


def _arbitrary(rng: np.random.Generator) -> Contrast:
    """Any brightness for any tissue, so that shape and place have to tell what brightness cannot."""
    mean: NDArray[np.float32] = rng.random(len(Tissue), dtype=np.float32)
    for tissues in ALIKE:
        if rng.random() < 0.8:
            mean[list(tissues)] = mean[tissues[0]] + rng.normal(0, 0.05, len(tissues))
    if rng.random() < 0.85:
        mean[[Tissue.AIR, Tissue.TABLE_FOAM, Tissue.TABLE_SHELL]] = (0, 0, rng.choice([0, 0.1]))
        mean[[Tissue.LUNG, Tissue.GAS]] *= rng.random()
    texture = rng.uniform(0, 0.06, len(Tissue)).astype(np.float32)
    texture[Tissue.AIR] = 0
    return Contrast(mean, texture, windowed=False)
