"""The interface of refiners: from a coarse segmentation to one that follows the image's edges.

The matching decides at the resolution of the features, of which a patch is several pixels wide. A refiner sees the
image on the volume's own grid, and moves the borders.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.clicks.click import Click
from protoseg.labels import LabelSet
from protoseg.ops.slices import unfit_slices

__all__ = ["CoarseSegmentation", "RefinedSegmentation", "Refiner"]


@dataclass(frozen=True)
class CoarseSegmentation:
    """The result of the matching in S slices of H x W pixels, for L labels."""

    label_map: NDArray[np.uint8]  # S x H x W, 0 = background, k = k-th label; components are filtered
    log_probability: Tensor  # S x (1 + L) x h x w float16, log-softmax over the classes, of the square slices
    labels: LabelSet

    def probability(self, index: int) -> Tensor:
        """Compute one slice's class probabilities (1 + L, H, W), float32, on its own grid, upsampled bilinearly.

        Full-resolution maps of a whole volume would not fit into memory: ask slice by slice.
        """
        height, width = self.label_map.shape[1:]
        return unfit_slices(self.log_probability[[index]].float(), height, width)[0].softmax(0)


@dataclass(frozen=True)
class RefinedSegmentation:
    """The refined label map, and what a user should know about it."""

    label_map: NDArray[np.uint8]  # S x H x W, numbered as the coarse one
    notes: Mapping[str, str] = field(default_factory=dict)  # by label name


class Refiner(ABC):
    """Moves the borders of a coarse segmentation to where the image has them.

    A label that is empty in the coarse segmentation stays empty. Labels never overlap.
    """

    @abstractmethod
    def refine(
        self,
        slices: Tensor,
        coarse: CoarseSegmentation,
        *,
        spacing: tuple[float, float, float],
        clicks: Sequence[Click] = (),
    ) -> RefinedSegmentation:
        """Refine all labels of a volume.

        Args:
            slices: (S, C, H, W) normalized slices, axes from the feet, from the front, from the patient's right.
            coarse: result of the matching.
            spacing: spacing of slices, rows and columns in mm.
            clicks: clicks of the user; a refined label holds its positive clicks and leaves out its negative ones.
        """
