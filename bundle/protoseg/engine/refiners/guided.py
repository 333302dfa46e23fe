"""Refinement by a guided filter: potentials are smoothed along the image's edges. Cheaper than a graph cut."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from protoseg.engine.refiners.competing import CompetingRefiner
from protoseg.engine.refiners.unary_potentials import UnaryPotentials
from protoseg.errors import InputError
from protoseg.ops.guided_filter import guided_filter

__all__ = ["GuidedRefiner"]

CLIP = 6.0  # log odds; so that one certain pixel cannot outvote a whole window


class GuidedRefiner(CompetingRefiner):
    """Filters each label's potentials slice by slice, guided by the image, or by the mean channel of a picture.

    Args:
        radius: radius of the filter's windows in mm.
        strength: strength of the smoothing: a window with less than this share of the variance around the label is
            flat.
        min_dice: lowest Dice with the coarse mask, see `CompetingRefiner`.

    Raises:
        InputError: `radius` or `strength` is not above 0.
    """

    def __init__(self, *, radius: float = 4.0, strength: float = 0.03, min_dice: float = 0.3) -> None:
        super().__init__(min_dice=min_dice)
        for name, value in (("radius", radius), ("strength", strength)):
            if value <= 0:
                raise InputError(f"{name} of GuidedRefiner is {value}; it must be above 0.")
        self.radius = radius
        self.strength = strength

    def score(self, potentials: UnaryPotentials) -> NDArray[np.float32]:
        """Filter the potentials, and keep those above 0."""
        guide = torch.from_numpy(potentials.image).mean(0)[:, None]
        rows, columns = (max(round(self.radius / step), 1) for step in potentials.spacing[1:])
        filtered = guided_filter(
            guide,
            torch.from_numpy(potentials.log_odds).clamp(-CLIP, CLIP)[:, None],
            radius=(rows, columns),
            strength=self.strength * max(float(guide.var(correction=0)), 1e-12),
        )[:, 0].numpy()
        return np.where(filtered > 0, filtered, -np.inf)
