"""Random pictures: pure in their seed, with one lesion of plausible size that stands out of what is around it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation

from protoseg.errors import InputError
from protoseg.synthesis.pictures.fields import blend, bumps, honeycomb, outline, plane, ramp, strokes, threads
from protoseg.synthesis.pictures.paint import PAINTERS, paint_picture

SIZE = 96
KINDS = sorted(PAINTERS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_picture(kind: str) -> None:
    picture = paint_picture(3, kind=kind, size=SIZE)
    assert (picture.shape, picture.dtype) == ((4, SIZE, SIZE), np.uint8)
    np.testing.assert_array_equal(picture, paint_picture(3, kind=kind, size=SIZE))
    assert (picture != paint_picture(4, kind=kind, size=SIZE)).any()


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_lesion_takes_1_to_60_percent(kind: str, seed: int) -> None:
    picture = paint_picture(seed, kind=kind, size=SIZE)
    assert 0.01 <= (picture[3] == 1).mean() <= 0.6
    assert picture[3].max() <= (2 if kind == "ultrasound" else 1)
    assert picture[:3].std() > 4


@pytest.mark.parametrize("kind", KINDS)
def test_most_lesions_differ_from_what_is_around_them(kind: str) -> None:
    steps = []
    for seed in range(12):
        picture = paint_picture(seed, kind=kind, size=SIZE)
        lesion, colors = picture[3] == 1, picture[:3].astype(float)
        around = binary_dilation(lesion, iterations=8) & ~binary_dilation(lesion, iterations=2) & (picture[3] == 0)
        steps.append(np.linalg.norm(colors[:, lesion].mean(axis=1) - colors[:, around].mean(axis=1)))
    assert np.median(steps) > 15


def test_ultrasound_is_gray_skin_is_not() -> None:
    gray, skin = (paint_picture(1, kind=kind, size=SIZE)[:3].astype(int) for kind in ("ultrasound", "skin"))
    assert np.ptp(gray, axis=0).mean() < 15 < np.ptp(skin, axis=0).mean()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="no pictures of the kind 'tooth'; expected one of skin, polyp, ultrasound"):
        paint_picture(0, kind="tooth")


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), width=st.floats(0.01, 1.5))
def test_fields_keep_their_range(seed: int, width: float) -> None:
    rng = np.random.default_rng(seed)
    assert np.isfinite(bumps(rng, 32, width)).all()
    for field in (honeycomb(rng, 32, width), threads(rng, 32, width, thickness=0.01)):
        assert 0 <= field.min() <= field.max() <= 1


def test_bumps_have_about_unit_variance_and_the_width_asked_for() -> None:
    rng = np.random.default_rng(0)
    for width in (0.01, 0.1):
        assert bumps(rng, 200, width).std() == pytest.approx(1, abs=0.15)
    coarse, fine = (np.abs(np.diff(bumps(rng, 200, width))).mean() for width in (0.2, 0.05))
    assert fine > 2 * coarse


def test_a_smooth_outline_is_a_circle() -> None:
    y, x = plane(100)
    distance = outline(np.random.default_rng(0), y, x, centre=(0.5, 0.4), radius=0.2, roughness=0)
    assert (distance < 0).mean() == pytest.approx(np.pi * 0.2**2, rel=0.02)
    assert distance[50, 40] == pytest.approx(-0.2, abs=0.01)


def test_ramp_and_blend_reach_both_ends() -> None:
    values = np.array([-1, 0, 0.5, 1, 2], np.float32)
    np.testing.assert_allclose(ramp(values, 0, 1), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(ramp(values, 1, 0), [1, 1, 0.5, 0, 0])
    half = blend(np.zeros((3, 1, 1), np.float32), (1, 0.5, 0), np.full((1, 1), 0.5, np.float32))
    np.testing.assert_allclose(half[:, 0, 0], [0.5, 0.25, 0])


def test_a_stroke_runs_where_it_is_told() -> None:
    drawn = strokes(40, [(np.array([[0.5, 0.1], [0.5, 0.9]]), 0.1)])
    rows, columns = np.nonzero(drawn > 0.5)
    assert 17 <= rows.min() <= rows.max() <= 22
    assert (columns.min(), columns.max()) == pytest.approx((4, 36), abs=1)
