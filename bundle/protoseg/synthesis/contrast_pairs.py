"""The contrasts of a pair: one protocol twice, opposites, or two that have nothing in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from protoseg.synthesis.anatomy.rendering import MAGNETIC
from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.random_contrast import CONTRAST_SHARES, Contrast, random_contrast, varied

__all__ = ["PROTOCOLS", "contrast_pair", "opposite", "random_protocol"]

PROTOCOLS = {**CONTRAST_SHARES, "weighted": 0.0}
"""Names of what a person may be imaged by: those of `random_contrast`, and MR of any weighting."""

FAT = [Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT]
FLUIDS = [Tissue.BILE, Tissue.CYST, Tissue.GUT_FLUID, Tissue.URINE, Tissue.CEREBROSPINAL_FLUID, Tissue.SPINAL_CANAL]
BLOOD = [Tissue.ARTERY, Tissue.VEIN, Tissue.PORTAL_VEIN]
EMPTY = [Tissue.AIR, Tissue.TABLE_FOAM, Tissue.TABLE_SHELL, Tissue.LUNG, Tissue.GAS]


def contrast_pair(
    rng: np.random.Generator, protocols: Mapping[str, float], *, same: float, opposed: float
) -> tuple[Contrast, Contrast]:
    """Draw the contrasts of a pair.

    Args:
        rng: random generator.
        protocols: shares of `PROTOCOLS`, adding up to 1.
        same: share of the pairs that are imaged by one protocol.
        opposed: share of the pairs in which the second shows bright what the first shows dark.
    """
    first = random_protocol(rng, protocols)
    kind = rng.random()
    if kind < same:
        return first, varied(first, rng)
    if kind < same + opposed:
        return first, opposite(varied(first, rng), rng)
    return first, random_protocol(rng, protocols)


def random_protocol(rng: np.random.Generator, protocols: Mapping[str, float]) -> Contrast:
    """Draw one contrast; `protocols` are shares of `PROTOCOLS`, adding up to 1."""
    kind = str(rng.choice(list(protocols), p=list(protocols.values())))
    return _weighted(rng) if kind == "weighted" else random_contrast(rng, {kind: 1.0})


def opposite(contrast: Contrast, rng: np.random.Generator) -> Contrast:
    """Turn dark tissues bright and bright ones dark; half of the time, air stays dark."""
    mean = 1 - np.clip(contrast.mean, 0, 1)
    if rng.random() < 0.5:
        mean[EMPTY] = np.clip(contrast.mean[EMPTY], 0, 1) * rng.random()
    return replace(contrast, mean=mean.astype(np.float32))


def _weighted(rng: np.random.Generator) -> Contrast:
    """MR between T1, proton density and T2 with the effects of sequences.

    Fat or fluid may be suppressed, blood bright (bright-blood cardiac) or dark, fat and water opposed, tissues that
    take up a contrast agent enhanced.
    """
    signal = np.array([MAGNETIC.get(tissue, (0.0,) * 4) for tissue in Tissue], dtype=np.float32).T / 100
    share = rng.uniform(0, 1)
    mean = share * signal[0] + (1 - share) * signal[2]
    if rng.random() < 0.3:  # towards proton density: all that holds water or fat
        mean += rng.uniform(0.2, 0.8) * ((signal[0] + signal[2] > 0.15) * 0.6 - mean)
    mean *= rng.lognormal(0, 0.2, len(Tissue)).astype(np.float32)
    if rng.random() < 0.45:
        mean[FAT] *= rng.uniform(0.05, 0.5)
    if rng.random() < 0.2:
        mean[FLUIDS] *= rng.uniform(0.0, 0.4)
    if rng.random() < 0.5:
        mean[BLOOD] = rng.choice([rng.uniform(0.55, 1.0), rng.uniform(0.0, 0.15)]) + rng.normal(0, 0.05, len(BLOOD))
    if rng.random() < 0.3:
        enhanced = rng.random(len(Tissue)) < 0.25
        mean[enhanced & (mean > 0.05)] += rng.uniform(0.1, 0.5)
    texture = (share * signal[1] + (1 - share) * signal[3]) * rng.uniform(0.5, 2)
    mean[[Tissue.AIR, Tissue.TABLE_FOAM, Tissue.TABLE_SHELL]] = 0
    return Contrast(mean.clip(0).astype(np.float32), texture.astype(np.float32), windowed=False)
