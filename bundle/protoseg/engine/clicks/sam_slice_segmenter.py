"""SAM as the segmenter of one slice from clicks on it, which it is best known for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.engine.clicks.slice_segmenter import Mask, Point
from protoseg.engine.refiners.refiner import CoarseSegmentation
from protoseg.engine.refiners.sam import SamRefiner
from protoseg.labels import LabelSet
from protoseg.ops.slices import fit_slices

__all__ = ["SamSliceSegmenter"]

CLICKED = "clicked"  # name of the one label
PATCHES = 64  # each way, of the map that tells how sure an earlier mask is
SURE = 0.9  # of an earlier mask, which clicks correct
UNCLAIMED = 1e-4  # probability where there is no earlier mask


class SamSliceSegmenter:
    """A `SliceSegmenter`: asks SAM for the clicked structure, or for an earlier mask with clicks that correct it.

    Args:
        refiner: refiner that asks SAM, with clicks among its prompts.
    """

    def __init__(self, refiner: SamRefiner) -> None:
        self.refiner = refiner

    def __call__(
        self,
        slices: Tensor,
        index: int,
        positive: Sequence[Point],
        negative: Sequence[Point],
        *,
        spacing: tuple[float, float],
        prior: Mask,
    ) -> Mask:
        """Mask (H, W) the clicked structure, see `SliceSegmenter`."""
        label_map = np.zeros((len(slices), *slices.shape[-2:]), np.uint8)
        label_map[index] = prior
        clicks = [Click(index, *point, CLICKED) for point in positive]
        clicks += [Click(index, *point, CLICKED, positive=False) for point in negative]
        coarse = CoarseSegmentation(label_map, _log_probability(label_map, index), LabelSet({CLICKED: 1}))
        refined = self.refiner.refine(slices, coarse, spacing=(1.0, *spacing), clicks=clicks)
        return refined.label_map[index] == 1


def _log_probability(label_map: np.ndarray, index: int) -> Tensor:
    """Of background and label, (S, 2, patches, patches), as if a matching had found the mask of one slice."""
    share = fit_slices(torch.from_numpy(label_map[[index]])[:, None].float(), PATCHES)[0, 0]
    foreground = (SURE * share).clamp(min=UNCLAIMED)
    # The other slices are not asked about: one map stands for all, and takes the memory of one.
    maps = torch.stack([1 - foreground, foreground]).log().half()
    return maps.expand(len(label_map), -1, -1, -1)
