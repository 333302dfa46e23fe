"""The synthetic head: what is where, how large, and how it looks."""

import numpy as np
import pytest

from protoseg.synthesis.anatomy.canvas import Canvas
from protoseg.synthesis.anatomy.head.person import HEAD, paint_head
from protoseg.synthesis.anatomy.rendering import render
from protoseg.synthesis.anatomy.tissues import Tissue

SPACING = (3.0, 3.0, 5.0)
AXES = [np.arange(low, high, step) for low, high, step in zip((-90, -115, -150), (90, 125, 138), SPACING)]
COARSE = [np.arange(low, high, 8.0) for low, high in ((-90, 90), (-115, 125), (-150, 138))]

# ml.
PLAUSIBLE = {
    "right_cerebrum": (350, 900),
    "left_cerebrum": (350, 900),
    "ventricles": (6, 120),
    "thalami": (6, 25),
    "caudate_nuclei": (3, 16),
    "lentiform_nuclei": (5, 24),
    "hippocampi": (3, 16),
    "cerebellum": (70, 220),
    "brainstem": (12, 55),
    "spinal_cord": (5, 25),
    "skull": (300, 1100),
    "mandible": (35, 130),
    "vertebrae": (60, 240),
    "right_eye": (4, 13),
    "left_eye": (4, 13),
    "sinuses": (20, 170),
    "airway": (9, 60),
    "tongue": (35, 140),
    "parotid_glands": (18, 110),
    "submandibular_glands": (6, 40),
    "thyroid": (5, 45),
    "carotid_arteries": (5, 25),
    "jugular_veins": (7, 60),
}


def paint(seed: int, axes: list[np.ndarray] = AXES) -> Canvas:
    return paint_head(np.random.SeedSequence(seed), axes=axes, table=True)


@pytest.fixture(scope="module", params=[0, 1])
def person(request: pytest.FixtureRequest) -> Canvas:
    return paint(request.param)


def middle(canvas: Canvas, name: str) -> np.ndarray:
    inside = np.nonzero(canvas.labels == HEAD.labels[name])
    return np.array([axis[index].mean() for axis, index in zip(canvas.axes, inside)])


def test_labels_count_from_one() -> None:
    assert list(HEAD.labels.values()) == list(range(1, len(HEAD.labels) + 1))
    assert list(HEAD.labels) == list(PLAUSIBLE)


@pytest.mark.parametrize("name", PLAUSIBLE)
def test_structures_have_a_plausible_size(person: Canvas, name: str) -> None:
    millilitres = (person.labels == HEAD.labels[name]).sum() * np.prod(SPACING) / 1000
    smallest, largest = PLAUSIBLE[name]
    assert smallest < millilitres < largest


def test_structures_lie_where_they_belong(person: Canvas) -> None:
    at = {name: middle(person, name) for name in HEAD.labels}
    right, front, up = 0, 1, 2
    assert at["right_cerebrum"][right] > 20 and at["left_cerebrum"][right] < -20
    assert at["right_eye"][right] > 20 and at["left_eye"][right] < -20
    assert at["right_eye"][front] > at["thalami"][front] > at["cerebellum"][front]
    assert at["caudate_nuclei"][front] > at["thalami"][front] > at["hippocampi"][front] - 15
    assert at["caudate_nuclei"][up] > at["hippocampi"][up] > at["brainstem"][up]
    assert at["thalami"][up] > at["brainstem"][up] > at["tongue"][up] > at["thyroid"][up]
    assert at["tongue"][front] > at["airway"][front] > at["vertebrae"][front] > at["spinal_cord"][front]
    assert at["mandible"][up] > at["thyroid"][up] and at["sinuses"][up] > at["mandible"][up]
    assert abs(at["thyroid"][right]) < 8 and abs(at["brainstem"][right]) < 6


def test_the_skull_encloses_the_brain(person: Canvas) -> None:
    brain = np.isin(person.labels, [HEAD.labels[name] for name in ("right_cerebrum", "left_cerebrum", "cerebellum")])
    skull = person.labels == HEAD.labels["skull"]
    for slice_index in np.flatnonzero(brain.any(axis=(0, 1)) & (person.axes[2] > 40)):
        for axis in (0, 1):
            across, bone = (np.flatnonzero(part[:, :, slice_index].any(axis=1 - axis)) for part in (brain, skull))
            assert bone.min() < across.min() and bone.max() > across.max()


def test_the_brain_looks_as_on_mr(person: Canvas) -> None:
    gray, white, fluid = (
        (person.tissue == tissue) & (person.axes[2] > 30)
        for tissue in (Tissue.GRAY_MATTER, Tissue.WHITE_MATTER, Tissue.CEREBROSPINAL_FLUID)
    )
    assert 0.5 < gray.sum() / white.sum() < 3
    assert 0.03 < fluid.sum() / (gray.sum() + white.sum()) < 0.6
    t1, t2 = (render(person, np.random.default_rng(0), contrast=contrast) for contrast in ("t1", "t2"))
    assert t1[white].mean() > t1[gray].mean() > t1[fluid].mean()
    assert t2[white].mean() < t2[gray].mean() < t2[fluid].mean()


def test_a_seed_is_a_person() -> None:
    first, again, other = (paint(seed, COARSE) for seed in (5, 5, 6))
    assert np.array_equal(first.tissue, again.tissue) and np.array_equal(first.labels, again.labels)
    assert np.array_equal(first.coverage, again.coverage)
    assert 0.02 < np.mean(first.labels != other.labels) < 0.5


def test_the_sampling_does_not_change_the_person() -> None:
    fine = paint(4, [np.arange(axis[0], axis[-1] + 1, 4.0) for axis in COARSE])
    coarse = paint(4, COARSE)
    same = fine.labels[::2, ::2, ::2] == coarse.labels
    assert same.mean() > 0.995
