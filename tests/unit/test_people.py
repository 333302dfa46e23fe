"""Volumes of people: pure in their seed, the right way round, and their structures are where they are said to be."""

import numpy as np
import pytest

from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.people import BLOCKS, Places, find_places, paint_volume
from protoseg.synthesis.subjects import STRUCTURES

pytestmark = pytest.mark.usefixtures("coarse_stream")

SHOWN = {"heart": "heart_left_ventricle", "brain": "hippocampi", "prostate": "rectum", "abdomen": "liver"}


@pytest.mark.parametrize("kind", BLOCKS)
def test_the_same_seed_gives_the_same_person(kind: str) -> None:
    volume = paint_volume(kind, 3)
    np.testing.assert_array_equal(volume, paint_volume(kind, 3))
    assert (volume != paint_volume(kind, 4)).any()
    assert volume.dtype == np.uint8 and volume.shape[3] == 4
    np.testing.assert_allclose(np.array(volume.shape[:3]) * BLOCKS[kind].voxel, BLOCKS[kind].extent, rtol=0.1)


@pytest.mark.parametrize(("kind", "structure"), SHOWN.items())
def test_a_block_shows_what_it_is_named_after(kind: str, structure: str) -> None:
    block = BLOCKS[kind]
    shown = 0
    for seed in range(3):
        places = Places.of_table(find_places(paint_volume(kind, seed), block.voxel, least=4))
        middle = places.centres.get(STRUCTURES[structure])
        shown += middle is not None and bool((np.abs(middle / block.extent - 0.5) < 0.42).all())
    assert shown >= 2


def test_liver_and_spleen_are_on_their_sides() -> None:
    places = Places.of_table(find_places(paint_volume("abdomen", 1), BLOCKS["abdomen"].voxel, least=4))
    liver, spleen, spine = (places.centres[STRUCTURES[name]] for name in ("liver", "spleen", "vertebrae"))
    assert liver[0] > spine[0] > spleen[0]  # x grows to the right
    assert liver[1] > spine[1]  # y grows forwards


def test_places_are_those_of_the_voxels() -> None:
    volume = np.zeros((10, 12, 14, 4), np.uint8)
    volume[2:9, 3:10, 4:13, 0] = Tissue.MUSCLE
    volume[3:6, 5:8, 7:12, 3] = 5
    volume[3, 3, 3, 3] = 9
    places = Places.of_table(find_places(volume, 2.0, least=10))
    assert set(places.centres) == {5}  # the other one is too small
    np.testing.assert_allclose(places.centres[5], [8, 12, 18])
    np.testing.assert_allclose([places.lower, places.upper], [[4, 6, 8], [16, 18, 24]])
