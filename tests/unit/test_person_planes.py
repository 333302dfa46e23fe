"""Planes cut volumes where they say, in the orientation that radiologists are used to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoseg.synthesis import planes
from protoseg.synthesis.planes import PLANES, Plane, cut, random_rotation, small_rotation

FRAME = 40
MIDDLE = np.array([9.5, 11.5, 13.5])  # voxels


@pytest.fixture(autouse=True)
def small_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes, "FRAME", FRAME)


def volume_of_places() -> np.ndarray:
    """Maps (20, 24, 28, 4) that hold x, y and z of every voxel."""
    volume = np.zeros((20, 24, 28, 4), np.uint8)
    volume[..., 0], volume[..., 1], volume[..., 2] = np.indices((20, 24, 28)) + 1
    return volume


@pytest.mark.parametrize(
    ("name", "down", "right", "fixed"),
    [("axial", 1, 0, 2), ("coronal", 2, 0, 1), ("sagittal", 2, 1, 0)],
)
def test_rows_and_columns_run_as_radiologists_see_them(name: str, down: int, right: int, fixed: int) -> None:
    maps = cut(volume_of_places(), Plane(2.0 * MIDDLE, PLANES[name], 2.0), 2.0).astype(int)
    inside = maps[0] > 0
    middle = maps[:3, inside]
    assert np.unique(middle[fixed]).size == 1  # one slice, right through the middle
    rows, columns = np.nonzero(inside)
    # Front, head and the patient's right are at the top, at the top and at the left: all coordinates fall.
    assert np.corrcoef(rows, middle[down])[0, 1] == pytest.approx(-1)
    assert np.corrcoef(columns, middle[right])[0, 1] == pytest.approx(-1)
    assert inside.sum() == np.prod([(20, 24, 28)[axis] for axis in (down, right)])


def test_a_surface_between_two_voxels_mixes_their_tissues() -> None:
    volume = np.zeros((20, 24, 28, 4), np.uint8)
    volume[..., 2] = 255
    volume[:10, ..., 0], volume[10:, ..., 0] = 5, 7  # the surface is at x = 9.5 voxels
    tissue, neighbour, coverage, _ = cut(volume, Plane(1.0 * MIDDLE, PLANES["axial"], 0.3), 1.0)[:, 10]
    x = MIDDLE[0] - 0.3 * (np.arange(FRAME) - (FRAME - 1) / 2)
    np.testing.assert_array_equal(tissue, np.where(x < 9.5, 5, 7))
    beside = np.abs(x - 9.5) < 0.5  # nearer to the surface than the voxels' middles
    share = np.where(tissue == 5, coverage, 255.0 - coverage) / 255
    np.testing.assert_allclose(share[beside], 0.5 - (x - 9.5)[beside], atol=0.01)
    np.testing.assert_array_equal(neighbour[beside], np.where(x < 9.5, 7, 5)[beside])
    assert (coverage[~beside] == 255).all()


def test_beyond_the_volume_there_is_nothing() -> None:
    maps = cut(volume_of_places(), Plane(np.array([500.0, 0, 0]), PLANES["axial"], 2.0), 2.0)
    assert (maps[[0, 1, 3]] == 0).all() and (maps[2] == 255).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_the_middle_of_any_plane_shows_its_centre(seed: int) -> None:
    directions = random_rotation(np.random.default_rng(seed))
    np.testing.assert_allclose(directions @ directions.T, np.eye(3), atol=1e-9)
    maps = cut(volume_of_places(), Plane(1.5 * MIDDLE, directions, 1.5), 1.5)
    found = maps[:3, FRAME // 2, FRAME // 2].astype(float) - 1
    assert np.abs(found - MIDDLE).max() <= 1.5


def test_small_rotations_are_small() -> None:
    angles = []
    for seed in range(200):
        turn = small_rotation(np.random.default_rng(seed), 0.1)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
        angles.append(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    assert np.sqrt(np.mean(np.square(angles))) == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize("name", PLANES)
def test_a_box_holds_the_blocks_projection(name: str) -> None:
    volume = np.zeros((20, 24, 28, 4), np.uint8)
    volume[4:10, 6:18, 8:20, 0] = 1
    lower, upper = 2.0 * np.array([4, 6, 8]) - 1, 2.0 * np.array([10, 18, 20]) - 1
    plane = Plane((lower + upper) / 2, PLANES[name], 2.0)
    rows, columns = np.nonzero(cut(volume, plane, 2.0)[0])
    box = plane.box(lower, upper)
    found = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    np.testing.assert_allclose(box, found, atol=1)
