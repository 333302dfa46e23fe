"""Tones change gray values and nothing else: curves keep range and places, filters keep flat areas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protoseg.data.pretraining.tones import FILTER, KNOTS, Tone, apply_curves, apply_filters, random_tone

seeds = st.integers(0, 2**32 - 1)


def curve(*values: float) -> torch.Tensor:
    return torch.tensor(values)[None]


def identity() -> Tone:
    return random_tone(np.random.default_rng(0), strength=0.0)


@given(seed=seeds)
def test_a_curve_stays_between_0_and_1_and_repeats_with_the_seed(seed: int) -> None:
    first, again = (random_tone(np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first.curve, again.curve)
    np.testing.assert_array_equal(first.filter, again.filter)
    assert first.curve.shape == (KNOTS,) and first.filter.shape == (FILTER, FILTER)
    assert first.curve.min() >= -1e-6 and first.curve.max() <= 1 + 1e-6
    assert np.ptp(first.curve) > 0.5
    assert first.filter.sum() == pytest.approx(1, abs=1e-4)


def test_curves_are_of_every_kind() -> None:
    steps = [np.diff(random_tone(np.random.default_rng(seed)).curve) for seed in range(200)]
    rising, falling = (np.mean([(sign * step > 0).all() for step in steps]) for sign in (1, -1))
    assert rising == pytest.approx(0.75, abs=0.1) and falling == pytest.approx(0.12, abs=0.07)
    assert rising + falling < 0.95


def test_without_strength_nothing_changes() -> None:
    picture = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    tone = identity()
    curves, filters = (torch.from_numpy(part).expand(2, *part.shape) for part in tone)
    torch.testing.assert_close(apply_curves(picture, curves), picture)
    torch.testing.assert_close(apply_filters(picture, filters), picture)


@pytest.mark.parametrize(
    ("knots", "value", "mapped"),
    [
        ((0.0, 1.0), 0.3, 0.3),
        ((1.0, 0.0), 0.3, 0.7),
        ((0.0, 1.0, 0.0), 0.25, 0.5),
        ((0.0, 1.0, 0.0), 1.0, 0.0),
        ((0.2, 0.4), 1.7, 0.4),  # beyond the range the ends count
    ],
)
def test_a_curve_maps_linearly_between_its_knots(knots: tuple[float, ...], value: float, mapped: float) -> None:
    picture = torch.full((1, 1, 2, 2), value)
    torch.testing.assert_close(apply_curves(picture, curve(*knots)), torch.full((1, 1, 2, 2), mapped))


def test_each_picture_has_its_own_curve_and_filter() -> None:
    picture = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(2, 1, 8, 8)
    negated = apply_curves(picture, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    torch.testing.assert_close(negated[0], 1 - negated[1])
    shift = torch.zeros(2, FILTER, FILTER)
    shift[0, 2, 2] = shift[1, 2, 3] = 1
    same, moved = apply_filters(picture, shift)
    torch.testing.assert_close(same[..., 1:], moved[..., :-1])


@settings(deadline=None, max_examples=20)
@given(seed=seeds, level=st.floats(0, 1))
def test_a_filter_keeps_flat_areas(seed: int, level: float) -> None:
    kernel = torch.from_numpy(random_tone(np.random.default_rng(seed)).filter)[None]
    flat = torch.full((1, 1, 9, 9), level)
    torch.testing.assert_close(apply_filters(flat, kernel), flat, atol=1e-4, rtol=0)
