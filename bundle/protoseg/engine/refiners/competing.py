"""Refinement label by label, in which the labels compete for each voxel."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.clicks.click import Click, check_clicks
from protoseg.engine.refiners.refiner import CoarseSegmentation, RefinedSegmentation, Refiner
from protoseg.engine.refiners.unary_potentials import UnaryPotentials, label_boxes, unary_potentials
from protoseg.errors import InputError
from protoseg.ops.components import Box

__all__ = ["CompetingRefiner"]

MOST_WORKERS = 4  # labels refined at a time
MOST_VOXELS = 2**26  # in their boxes, each of which takes some 20 bytes a voxel


class CompetingRefiner(Refiner):
    """Refines each label in its bounding box; of the labels that claim a voxel the one with the best potentials gets
    it.

    Args:
        min_dice: a label whose refined mask agrees less with the coarse one stays as it was found, unless the user
            clicked there.

    Raises:
        InputError: `min_dice` is not between 0 and 1.
    """

    def __init__(self, *, min_dice: float = 0.3) -> None:
        if not 0 <= min_dice <= 1:
            raise InputError(f"min_dice of a refiner is {min_dice}; it must lie between 0 and 1.")
        self.min_dice = min_dice

    @abstractmethod
    def score(self, potentials: UnaryPotentials) -> NDArray[np.float32]:
        """Score how much speaks for the label, voxel by voxel (S, H, W); -inf outside the refined mask."""

    def refine(
        self,
        slices: Tensor,
        coarse: CoarseSegmentation,
        *,
        spacing: tuple[float, float, float],
        clicks: Sequence[Click] = (),
    ) -> RefinedSegmentation:
        """Refine all labels of a volume.

        Raises:
            InputError: a click lies outside the volume or is for no label.
        """
        check_clicks(clicks, coarse.label_map.shape, coarse.labels)
        boxes = dict(label_boxes(coarse, spacing, clicks))

        def score(position: int) -> tuple[NDArray[np.float32], bool]:
            potentials = unary_potentials(slices, coarse, position, boxes[position], spacing, clicks)
            found = self.score(potentials)
            clicked = np.isinf(potentials.log_odds)
            if clicked.any():  # the user knows better
                return np.where(clicked, potentials.log_odds, found), False
            distant = _dice(found > -np.inf, potentials.coarse) < self.min_dice
            return np.where(potentials.coarse, potentials.log_odds, -np.inf) if distant else found, distant

        label_map = np.zeros_like(coarse.label_map)
        best = np.full(label_map.shape, -np.inf, np.float16)
        notes = {}
        with ThreadPoolExecutor(_workers(boxes.values())) as pool:
            for position, (found, distant) in zip(boxes, pool.map(score, boxes)):
                box = boxes[position]
                won = found > best[box]
                label_map[box][won] = position
                best[box][won] = found[won]
                if distant:
                    notes[coarse.labels.name_at(position)] = (
                        "not refined: the refinement went too far from what was found"
                    )
        return RefinedSegmentation(label_map, notes)


def _workers(boxes: Iterable[Box]) -> int:
    """Tell how many labels to refine at a time: fewer where their boxes would not fit into the memory together."""
    largest = max((math.prod(side.stop - side.start for side in box) for box in boxes), default=1)
    return max(1, min(torch.get_num_threads(), MOST_WORKERS, MOST_VOXELS // largest))


def _dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))
