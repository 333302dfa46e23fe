"""Patterns: pure in their seed, with everything labelled that they are about, and members of one world alike."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import label as number_components

from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.patterns.branches import FIELD, TREE, paint_branches
from protoseg.synthesis.patterns.cells import CELL, NUCLEUS, WALL, paint_cells

SIZE = 96
PAINTERS: dict[str, Callable[..., NDArray[np.uint8]]] = {"cells": paint_cells, "branches": paint_branches}
painters = pytest.mark.parametrize("kind", PAINTERS)


@painters
def test_the_same_seed_gives_the_same_maps(kind: str) -> None:
    maps, again, sibling, stranger = (
        PAINTERS[kind](seed, member, size=SIZE) for seed, member in ((3, 0), (3, 0), (3, 1), (4, 0))
    )
    assert (maps.shape, maps.dtype) == ((1, 4, SIZE, SIZE), np.uint8)
    np.testing.assert_array_equal(maps, again)
    assert (maps != sibling).any() and (maps != stranger).any()


@painters
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), member=st.integers(0, 3))
def test_maps_are_what_imaging_takes(kind: str, seed: int, member: int) -> None:
    tissue, neighbour, coverage, structure = PAINTERS[kind](seed, member, size=SIZE)[0]
    assert max(tissue.max(), neighbour.max()) < len(Tissue) and tissue.min() >= Tissue.SKIN
    assert coverage.min() >= 127  # the tissue is the larger part of its pixel
    assert structure.max() <= 4


@painters
def test_members_have_the_same_tissues_at_other_places(kind: str) -> None:
    for seed in range(8):
        first, second = (PAINTERS[kind](seed, member, size=SIZE)[0] for member in (0, 1))
        for structure in set(np.unique(first[3])) & set(np.unique(second[3])) - {0}:
            own, other = (set(np.unique(maps[0][maps[3] == structure]).tolist()) for maps in (first, second))
            assert own & other
        assert (first[3] != second[3]).mean() > 0.01


def test_cells_are_many_and_nuclei_are_inside_of_them() -> None:
    counts = []
    for seed in range(30):
        structure = paint_cells(seed, 0, size=SIZE)[0, 3]
        cell = (structure > 0) & (structure != WALL)
        counts.append(number_components(cell)[1])
        nuclei, count = number_components(structure == NUCLEUS)
        whole = number_components(structure > 0)[0]
        assert count == 0 or (structure == CELL).any() or (nuclei > 0).sum() <= (whole > 0).sum()
    assert np.median(counts) >= 8


def test_trees_are_thin_and_keep_to_their_field() -> None:
    for seed in range(20):
        structure = paint_branches(seed, 0, size=SIZE)[0, 3]
        assert 0.003 < (structure == TREE).mean() < 0.6
        if (structure == FIELD).any():
            assert (structure[[0, 0, -1, -1], [0, -1, 0, -1]] == 0).all()
