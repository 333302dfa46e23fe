"""The synthetic chest: every organ there, of a plausible size, where it belongs; the same for the same seed."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from protoseg.synthesis.anatomy.abdomen.labels import ABDOMEN_LABELS
from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.chest.person import CHEST
from protoseg.synthesis.anatomy.scan import paint_scan
from protoseg.synthesis.anatomy.tissues import Tissue

SPACING = (3.2, 3.2, 8.0)
COARSE = (6.4, 6.4, 16.0)
WHOLE = replace(CHEST, middle=(-40, -40))
"""From below the diaphragm to the thyroid: more than one scan's field of view."""

PLAUSIBLE_ML = {
    "spleen": (20, 350),
    "right_lung": (700, 4000),
    "left_lung": (600, 3500),
    "liver": (400, 1800),
    "heart_myocardium": (50, 320),
    "stomach": (80, 900),
    "pulmonary_artery": (40, 160),
    "aorta": (80, 350),
    "vena_cava": (15, 110),
    "vertebrae": (220, 650),
    "superior_vena_cava": (10, 50),
    "heart_left_ventricle": (35, 180),
    "heart_right_ventricle": (50, 350),
    "heart_left_atrium": (25, 140),
    "heart_right_atrium": (30, 180),
    "trachea": (25, 110),
    "oesophagus": (12, 90),
    "thyroid": (3, 60),
    "ribs": (200, 700),
    "sternum": (30, 120),
    "scapulae": (50, 180),
    "clavicles": (20, 100),
    "humeri": (60, 500),
}


@cache
def paint(seed: int, *, spacing: tuple[float, float, float] = SPACING) -> Canvas:
    shape = tuple(round(length / step) for length, step in zip((394, 304, 336), spacing))
    return paint_scan(seed, shape=shape, spacing=spacing, table=True, region=WHOLE)[0]


@pytest.fixture(scope="module", params=[0, 1, 2])
def person(request: pytest.FixtureRequest) -> Canvas:
    return paint(request.param)


def centre(person: Canvas, organ: str) -> np.ndarray:
    voxels = np.argwhere(person.labels == CHEST.labels[organ])
    return np.array([axis[index].mean() for axis, index in zip(person.axes, voxels.T)])


def test_labels_are_numbered_in_one_go_and_shared_ones_as_in_the_abdomen() -> None:
    assert sorted(CHEST.labels.values()) == list(range(1, len(CHEST.labels) + 1))
    shared = ABDOMEN_LABELS.keys() & CHEST.labels.keys()
    assert shared == {"spleen", "liver", "stomach", "aorta", "vena_cava", "vertebrae"}
    assert all(ABDOMEN_LABELS[organ] == CHEST.labels[organ] for organ in shared)


def test_nothing_else_is_labelled(person: Canvas) -> None:
    assert set(np.unique(person.labels)) == {0, *CHEST.labels.values()}


def test_organs_have_a_plausible_size(person: Canvas) -> None:
    counts = np.bincount(person.labels.ravel())
    sizes = {organ: counts[label] * np.prod(SPACING) / 1000 for organ, label in CHEST.labels.items()}
    wrong = {organ: size for organ, size in sizes.items() if not PLAUSIBLE_ML[organ][0] < size < PLAUSIBLE_ML[organ][1]}
    assert wrong == {}


def test_organs_lie_where_they_belong(person: Canvas) -> None:
    at = {organ: centre(person, organ) for organ in CHEST.labels}
    right, front, up = 0, 1, 2
    lungs = at["right_lung"][right], at["left_lung"][right]
    assert lungs[0] > 40 and lungs[1] < -40
    assert lungs[1] < at["heart_left_ventricle"][right] < at["heart_right_atrium"][right] < lungs[0]
    assert at["heart_left_ventricle"][right] < -20
    assert at["liver"][right] > 20 and at["spleen"][right] < -50 and at["stomach"][right] < -20
    assert at["superior_vena_cava"][right] > 15
    assert at["sternum"][front] > at["heart_right_ventricle"][front] > at["heart_left_atrium"][front]
    assert at["trachea"][front] > at["vertebrae"][front] and at["scapulae"][front] < at["clavicles"][front]
    assert at["thyroid"][up] > at["pulmonary_artery"][up] > at["heart_left_ventricle"][up] > at["liver"][up]


def test_lungs_hold_air_and_the_heart_rests_between_them(person: Canvas) -> None:
    lungs = np.isin(person.labels, [CHEST.labels["right_lung"], CHEST.labels["left_lung"]])
    assert np.mean(np.isin(person.tissue[lungs], [Tissue.LUNG, Tissue.GAS])) > 0.7
    level = int(np.argmin(np.abs(person.axes[2] - centre(person, "heart_left_ventricle")[2])))
    row = person.labels[:, :, level]
    heart = np.flatnonzero((row == CHEST.labels["heart_left_ventricle"]).any(axis=1))
    assert (row[: heart[0]] == CHEST.labels["left_lung"]).any() and (
        row[heart[-1] :] == CHEST.labels["right_lung"]
    ).any()


def test_a_seed_gives_the_same_person_and_another_seed_another() -> None:
    first, again, other = (paint.__wrapped__(seed, spacing=COARSE) for seed in (0, 0, 1))
    for name in ("tissue", "neighbour", "coverage", "labels"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert 0.03 < np.mean(first.labels != other.labels) < 0.5


def test_a_person_does_not_depend_on_the_sampling() -> None:
    fine, coarse = paint(0), paint(0, spacing=COARSE)
    for organ in ("left_lung", "liver", "aorta"):
        assert np.allclose(centre(fine, organ), centre(coarse, organ), atol=5)
