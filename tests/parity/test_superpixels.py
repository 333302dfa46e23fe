"""Superpixels against the published ones on slices of a real CT."""

from pathlib import Path

import numpy as np
import pytest

from protoseg.data.episodes.superpixels import CT_THRESHOLD, body_mask, superpixel_intensity, superpixels

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "superpixels_ct.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN})


def same_partition(found: np.ndarray, expected: np.ndarray) -> bool:
    """True where one renumbering, which keeps 0, turns one map into the other."""
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    one_to_one = len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
    return one_to_one and bool(((found == 0) == (expected == 0)).all())


def agreement(found: np.ndarray, expected: np.ndarray) -> float:
    """Share of the pixels whose superpixel is, of all found, the one that overlaps the expected one most."""
    pairs = np.zeros((int(expected.max()) + 1, int(found.max()) + 1))
    np.add.at(pairs, (expected, found), 1)
    return float(pairs.max(axis=1).sum() / pairs.sum())


def test_there_are_three_cases() -> None:
    assert CASES == ["ct15", "ct25", "ct5"]


@pytest.mark.parametrize("case", CASES)
def test_body_is_the_published_foreground(case: str) -> None:
    body = body_mask(GOLDEN[f"{case}/image"], threshold=CT_THRESHOLD)
    np.testing.assert_array_equal(body, GOLDEN[f"{case}/foreground"] > 0)


@pytest.mark.parametrize("case", CASES)
def test_superpixels_are_the_published_ones_up_to_renumbering(case: str) -> None:
    found = superpixels(GOLDEN[f"{case}/image"], threshold=CT_THRESHOLD)
    assert found.dtype == np.int16
    assert same_partition(found, GOLDEN[f"{case}/superpixels"])


@pytest.mark.parametrize("case", ["ct25", "ct5"])  # ct15 alone does not reach the window's end
def test_normalisation_is_undone(case: str) -> None:
    image = GOLDEN[f"{case}/image"]
    scan = superpixel_intensity((image - image.mean()) / image.std())
    np.testing.assert_allclose(scan, image, atol=1e-4)
    np.testing.assert_array_equal(body_mask(scan, threshold=CT_THRESHOLD), GOLDEN[f"{case}/foreground"] > 0)
    assert agreement(superpixels(scan, threshold=CT_THRESHOLD), GOLDEN[f"{case}/superpixels"]) > 0.98
