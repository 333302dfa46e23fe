"""Refinement label by label, in which the labels compete for each voxel."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protoseg.engine.clicks.click import Click, check_clicks
from protoseg.engine.refiners.refiner import CoarseSegmentation, RefinedSegmentation, Refiner
from protoseg.engine.refiners.unary_potentials import Surroundings, UnaryPotentials, label_boxes
from protoseg.errors import InputError
from protoseg.ops.components import Box

__all__ = ["CompetingRefiner"]

MOST_WORKERS = 4  # labels refined at a time
MOST_VOXELS = 2**26  # in their boxes, which may take some bytes a voxel


@dataclass(frozen=True)
class _Claim:
    """The claim of a label in its box of S x H x W voxels."""

    mask: NDArray[np.bool_]  # S x H x W
    scores: list[NDArray[np.float32]]  # for each slice, the scores of the voxels of the mask
    distant: bool  # True if the refinement went too far, so that the coarse mask is claimed instead


class CompetingRefiner(Refiner):
    """Refines each label in its bounding box; a voxel that several labels claim goes to the one with the best
    potentials.

    Args:
        min_dice: lowest Dice of a label's refined and coarse mask; below, the label stays as it was found, unless the
            user clicked there.

    Raises:
        InputError: `min_dice` is not between 0 and 1.
    """

    def __init__(self, *, min_dice: float = 0.3) -> None:
        if not 0 <= min_dice <= 1:
            raise InputError(f"min_dice of a refiner is {min_dice}; it must lie between 0 and 1.")
        self.min_dice = min_dice

    @abstractmethod
    def score(self, potentials: UnaryPotentials) -> NDArray[np.float32]:
        """Score the evidence for the label, voxel by voxel (S, H, W); -inf outside the refined mask."""

    def parts(self, shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
        """Tell which slices of a box (S, H, W) to score together, and which of their scores to keep."""
        yield slice(0, shape[0]), slice(0, shape[0])

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
            InputError: a click lies outside the volume or is for an unknown label.
        """
        check_clicks(clicks, coarse.label_map.shape, coarse.labels)
        boxes = dict(label_boxes(coarse, spacing, clicks))

        def claim(position: int) -> _Claim:
            return self._claim(Surroundings(slices, coarse, position, boxes[position], spacing, clicks))

        shape = coarse.label_map.shape
        label_map, best = (
            np.zeros(shape, np.uint8),
            np.zeros(shape, np.float16),
        )  # pages never written take no memory
        notes = {}
        with ThreadPoolExecutor(_workers(boxes.values())) as pool:
            for position, found in zip(boxes, pool.map(claim, boxes)):
                _enter(found, position, boxes[position], label_map, best)
                if found.distant:
                    notes[coarse.labels.name_at(position)] = (
                        "not refined: the refinement went too far from what was found"
                    )
        return RefinedSegmentation(label_map, notes)

    def _claim(self, surroundings: Surroundings) -> _Claim:
        """Refine a label, a few slices at a time."""
        mask, scores = np.zeros(surroundings.shape, bool), []
        both = either = 0
        any_clicked = False
        for part, kept in self.parts(surroundings.shape):
            potentials = surroundings.potentials(part)
            here = slice(kept.start - part.start, kept.stop - part.start)
            log_odds, found = potentials.log_odds[here], self.score(potentials)[here]
            clicked = np.isinf(log_odds)
            if clicked.any():  # the user knows better
                any_clicked, found = True, np.where(clicked, log_odds, found)
            there, coarse = found > -np.inf, potentials.coarse[here]
            both += np.count_nonzero(there & coarse)
            either += np.count_nonzero(there) + np.count_nonzero(coarse)
            mask[kept] = there
            scores += [one[inside] for one, inside in zip(found, there)]
        if any_clicked or 2 * both / either >= self.min_dice:
            return _Claim(mask, scores, distant=False)
        return self._claim_coarse(surroundings)

    def _claim_coarse(self, surroundings: Surroundings) -> _Claim:
        """Leave a label as it was found."""
        scores: list[NDArray[np.float32]] = []
        for part, kept in self.parts(surroundings.shape):
            potentials = surroundings.potentials(part)
            here = slice(kept.start - part.start, kept.stop - part.start)
            scores += [one[inside] for one, inside in zip(potentials.log_odds[here], potentials.coarse[here])]
        return _Claim(surroundings.mask(slice(0, surroundings.shape[0])), scores, distant=True)


def _enter(claim: _Claim, position: int, box: Box, label_map: NDArray[np.uint8], best: NDArray[np.float16]) -> None:
    """Give a label the voxels of its claim for which no earlier label has a better score, slice by slice."""
    for index, (mask, scores) in enumerate(zip(claim.mask, claim.scores), start=box[0].start):
        taken, highest = label_map[index][box[1:]], best[index][box[1:]]  # views
        won = (taken[mask] == 0) | (scores > highest[mask])
        mask[mask] = won
        taken[mask] = position
        highest[mask] = scores[won]


def _workers(boxes: Iterable[Box]) -> int:
    """Tell how many labels to refine at a time: fewer where their boxes would not fit into the memory together."""
    largest = max((math.prod(side.stop - side.start for side in box) for box in boxes), default=1)
    return max(1, min(torch.get_num_threads(), MOST_WORKERS, MOST_VOXELS // largest))
