"""What SAM is asked for when somebody clicks on a slice; a stub takes the place of the refiner that asks."""

import numpy as np
import pytest
import torch

from protoseg.engine.clicks.sam_slice_segmenter import SamSliceSegmenter
from protoseg.engine.refiners.refiner import RefinedSegmentation, Refiner

SLICES = torch.zeros(3, 1, 20, 30)


class Recorder(Refiner):
    """Gives back what it gets, and a square around the first positive click."""

    def refine(self, slices, coarse, *, spacing, clicks=()):
        self.got = (slices, coarse, spacing, list(clicks))
        label_map = coarse.label_map.copy()
        for index, row, column, _, positive in clicks[:1]:
            if positive:
                label_map[index, row - 1 : row + 2, column - 1 : column + 2] = 1
        return RefinedSegmentation(label_map)


@pytest.fixture
def refiner():
    return Recorder()


def segment(refiner, positive, negative, prior=None):
    prior = np.zeros((20, 30), bool) if prior is None else prior
    return SamSliceSegmenter(refiner)(SLICES, 1, positive, negative, spacing=(0.7, 0.8), prior=prior)


def test_clicks_reach_sam_on_their_slice(refiner):
    mask = segment(refiner, [(5, 7)], [(9, 9)])
    assert np.argwhere(mask).tolist() == [[row, column] for row in (4, 5, 6) for column in (6, 7, 8)]
    slices, coarse, spacing, clicks = refiner.got
    assert slices is SLICES
    assert spacing == (1.0, 0.7, 0.8)
    assert clicks == [(1, 5, 7, "clicked", True), (1, 9, 9, "clicked", False)]
    assert not coarse.label_map.any()
    assert coarse.probability(1)[1].max() < 0.01


def test_an_earlier_mask_is_what_clicks_correct(refiner):
    prior = np.zeros((20, 30), bool)
    prior[2:12, 3:17] = True
    segment(refiner, [], [(5, 5)], prior)
    _, coarse, _, _ = refiner.got
    assert np.array_equal(coarse.label_map[1], prior)
    assert not coarse.label_map[[0, 2]].any()
    probability = coarse.probability(1)[1].numpy()
    assert probability[5:9, 6:14].min() > 0.85
    assert probability[15:, 20:].max() < 0.01
