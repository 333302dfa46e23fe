"""Worlds of random shapes: pure in seed and member, alike but not the same, with every value in range."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.shapes.forms import FORMS, TRAITS, rotation
from protoseg.synthesis.shapes.paint import paint_shapes
from protoseg.synthesis.shapes.world import draw_world

SHAPE, SLICES = (108, 84), 4
HALF_FRAME = 0.9 * np.array(SHAPE)


def paint(seed: int, member: int) -> NDArray[np.uint8]:
    return paint_shapes(seed, member, shape=SHAPE, slices=SLICES)


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.fixture(scope="module")
def worlds() -> dict[int, list[NDArray[np.uint8]]]:
    """Two members each of three worlds."""
    return {seed: [paint(seed, member) for member in range(2)] for seed in range(3)}


def test_the_same_member_has_the_same_pixels(worlds: dict[int, list[NDArray[np.uint8]]]) -> None:
    np.testing.assert_array_equal(paint(2, 1), worlds[2][1])
    assert (worlds[2][1] != worlds[2][0]).any()
    assert (worlds[2][1] != worlds[1][1]).any()


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), member=st.integers(0, 100))
def test_values_are_in_range(seed: int, member: int) -> None:
    maps = paint(seed, member)
    tissue, neighbour, coverage, structure = maps.transpose(1, 0, 2, 3)
    assert maps.shape == (SLICES, 4, SHAPE[1], SHAPE[0])
    assert max(tissue.max(), neighbour.max()) < len(Tissue)
    assert coverage.min() >= 127
    assert structure.max() <= 14
    assert (tissue[structure > 0] >= Tissue.SKIN).all()
    assert len(np.unique(structure)) >= 3


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_world_has_8_to_14_structures_that_differ_from_what_they_lie_in(seed: int) -> None:
    world = draw_world(np.random.default_rng(seed), HALF_FRAME)
    ground, shapes = world.ground, world.shapes
    labels = [*range(0 if not ground.body else 1, len(ground.tissues) + ground.body), *(s.label for s in shapes)]
    assert labels == list(range(labels[0], labels[-1] + 1))
    assert 8 <= labels[-1] <= 14
    tissues: dict[int | None, Tissue] = {shape.label: shape.tissue for shape in shapes}
    assert all(s.tissue not in (*ground.tissues, tissues.get(s.parent)) for s in shapes)
    assert len(set(ground.tissues)) == len(ground.tissues)


def test_members_share_structures_in_about_the_same_place(worlds: dict[int, list[NDArray[np.uint8]]]) -> None:
    alike, unlike = [], []
    for seed, (one, other) in worlds.items():
        first, second = one[:, 3], other[:, 3]
        shared = np.intersect1d(first, second)
        shared = shared[shared > 0]
        assert len(shared) >= 4
        stranger = worlds[(seed + 1) % 3][0][:, 3]
        alike += [dice(first == label, second == label) for label in shared]
        unlike += [dice(first == label, stranger == label) for label in shared]
    assert max(alike) < 1
    assert np.mean(alike) > np.mean(unlike) + 0.15


def test_slices_change_slowly(worlds: dict[int, list[NDArray[np.uint8]]]) -> None:
    for members in worlds.values():
        structure = members[0][:, 3]
        assert 0 < (structure[1:] != structure[:-1]).mean() < 0.15


def test_a_shape_has_the_tissue_that_its_world_gives_it_in_every_member(
    worlds: dict[int, list[NDArray[np.uint8]]],
) -> None:
    for seed, members in worlds.items():
        for shape in draw_world(np.random.default_rng(seed), HALF_FRAME).shapes:
            for maps in members:
                found = np.unique(maps[:, 0][maps[:, 3] == shape.label])
                assert set(found.tolist()) <= {shape.tissue, shape.grain}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_form_is_solid_and_reaches_about_as_far_as_its_radii(form: str) -> None:
    axis = np.linspace(-60, 60, 41)
    u, v, w = np.meshgrid(axis, axis, axis, indexing="ij")
    inside = FORMS[form](u, v, w, (20.0, 15.0, 30.0), np.zeros(TRAITS)) < 0
    assert 3000 < inside.sum() * 3**3 < 8 * 20 * 20 * 30
    assert not inside[[0, -1]].any()
    assert not inside[:, [0, -1]].any()
    assert not inside[:, :, [0, -1]].any()


@settings(deadline=None, max_examples=20)
@given(angles=st.tuples(*[st.floats(-10, 10)] * 3))
def test_a_rotation_keeps_lengths_and_handedness(angles: tuple[float, float, float]) -> None:
    matrix = rotation(np.array(angles))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(matrix) == pytest.approx(1)
