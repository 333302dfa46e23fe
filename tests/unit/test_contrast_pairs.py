"""Contrasts of a pair are alike, opposite or independent, and repeat with the seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.contrast_pairs import PROTOCOLS, contrast_pair, opposite, random_protocol
from protoseg.synthesis.random_contrast import Contrast

SOLID = [tissue for tissue in Tissue if tissue >= Tissue.SKIN and tissue not in (Tissue.LUNG, Tissue.GAS)]
ARBITRARY = {"arbitrary": 1.0}


def correlation(first: Contrast, second: Contrast) -> float:
    return float(np.corrcoef(first.mean[SOLID], second.mean[SOLID])[0, 1])


def pairs(**shares: float) -> list[tuple[Contrast, Contrast]]:
    return [contrast_pair(np.random.default_rng(seed), ARBITRARY, **shares) for seed in range(30)]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_repeats_with_the_seed(name: str) -> None:
    first, again, other = (random_protocol(np.random.default_rng(seed), {name: 1.0}) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mean, other.mean)
    assert first.mean.shape == first.texture.shape == (len(Tissue),)
    assert first.windowed == (name == "ct")


def test_one_protocol_looks_the_same_twice_and_opposites_are_opposite() -> None:
    assert min(correlation(*pair) for pair in pairs(same=1.0, opposed=0.0)) > 0.8
    assert max(correlation(*pair) for pair in pairs(same=0.0, opposed=1.0)) < -0.8
    assert abs(np.mean([correlation(*pair) for pair in pairs(same=0.0, opposed=0.0)])) < 0.2


@given(seed=st.integers(0, 2**32 - 1))
def test_the_opposite_is_visible_and_its_air_is_dark_or_bright(seed: int) -> None:
    mean = np.linspace(0, 1, len(Tissue), dtype=np.float32)
    other = opposite(Contrast(mean, 0 * mean, windowed=False), np.random.default_rng(seed))
    assert other.mean.min() >= 0 and other.mean.max() <= 1
    np.testing.assert_allclose(other.mean[SOLID], 1 - mean[SOLID], atol=1e-6)
    assert other.mean[Tissue.AIR] in (0, 1)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_weighting_is_never_negative_and_air_is_dark(seed: int) -> None:
    contrast = random_protocol(np.random.default_rng(seed), {"weighted": 1.0})
    assert contrast.mean.min() >= 0 and np.isfinite(contrast.mean).all() and contrast.texture.min() >= 0
    assert contrast.mean[Tissue.AIR] == 0


def test_blood_is_bright_in_some_weightings_and_dark_in_others() -> None:
    blood = [random_protocol(np.random.default_rng(s), {"weighted": 1.0}).mean[Tissue.VEIN] for s in range(60)]
    assert np.mean(np.array(blood) > 0.5) > 0.1 < np.mean(np.array(blood) < 0.2)
