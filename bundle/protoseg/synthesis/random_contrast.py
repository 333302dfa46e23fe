"""Random contrasts: a person as a CT of any phase, a T1- or T2-weighted MR, or something no scanner has ever shown.

T2-weighted contrast with suppressed fat is left out on purpose: such scans show how well features carry over to a
contrast that they were not trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protoseg.ops.windows import CT_WINDOW
from protoseg.synthesis.anatomy.rendering import ENHANCEMENT, HOUNSFIELD, MAGNETIC
from protoseg.synthesis.anatomy.shapes import Array
from protoseg.synthesis.anatomy.tissues import Tissue

__all__ = ["CONTRAST_SHARES", "Contrast", "random_contrast", "varied"]

CONTRAST_SHARES = {"ct": 0.4, "t1": 0.12, "t2": 0.12, "arbitrary": 0.36}

ALIKE: tuple[tuple[Tissue, ...], ...] = (
    (Tissue.AIR, Tissue.TABLE_SHELL, Tissue.TABLE_FOAM),
    (Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT),
    (Tissue.CARTILAGE, Tissue.SPONGY_BONE),
    (Tissue.HEART, Tissue.ARTERY, Tissue.VEIN, Tissue.PORTAL_VEIN),
    (Tissue.RENAL_CORTEX, Tissue.RENAL_MEDULLA),
    (Tissue.BILE, Tissue.CYST, Tissue.GUT_FLUID, Tissue.URINE),
    (Tissue.CEREBROSPINAL_FLUID, Tissue.VITREOUS, Tissue.SPINAL_CANAL),
    (Tissue.THYROID, Tissue.SALIVARY_GLAND),
    (Tissue.CORTICAL_BONE, Tissue.TOOTH),
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


def random_contrast(rng: np.random.Generator, shares: Mapping[str, float] = CONTRAST_SHARES) -> Contrast:
    """Draw a contrast; `shares` are the probabilities of the kinds "ct", "t1", "t2" (weighted MR) or "arbitrary"."""
    kind = rng.choice(list(shares), p=list(shares.values()))
    if kind == "ct":
        return _random_ct(rng)
    if kind == "arbitrary":
        return _arbitrary(rng)
    return _random_mr(rng, t1=kind == "t1")


def varied(contrast: Contrast, rng: np.random.Generator) -> Contrast:
    """Draw the same contrast in another examination."""
    mean = contrast.mean + rng.normal(0, 0.03, contrast.mean.shape).astype(np.float32)
    return replace(contrast, mean=mean)


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


def _random_mr(rng: np.random.Generator, *, t1: bool) -> Contrast:
    none = (0.0,) * 4  # a scanner's table gives no signal
    signal = np.array([MAGNETIC.get(tissue, none) for tissue in Tissue], dtype=np.float32).T / 100
    level, texture = signal[:2] if t1 else signal[2:]
    mean = level * rng.lognormal(0, 0.15, len(Tissue)).astype(np.float32)
    if t1 and rng.random() < 0.3:
        mean[[Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT]] *= rng.uniform(0.1, 0.5)  # fat suppression
    return Contrast(mean, texture * rng.uniform(0.5, 2), windowed=False)


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
