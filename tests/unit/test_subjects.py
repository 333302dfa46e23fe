"""Synthetic subjects are painted once, lie as radiologists see them, and are labelled in their bodies only."""

from pathlib import Path

import numpy as np
import pytest

from protoseg.synthesis import subjects as subjects_module
from protoseg.synthesis.anatomy.tissues import Tissue
from protoseg.synthesis.subjects import STRUCTURES, Subject, load_subjects

FEW = {"abdomen": 3, "shapes": 4, "skin": 2}
Pool = dict[str, list[Subject]]


@pytest.fixture(scope="module")
def subjects(subjects_folder: Path) -> Pool:
    return load_subjects(FEW, subjects_folder, seed=5)


def test_a_larger_pool_begins_with_the_same_subjects(subjects_folder: Path) -> None:
    few, many = (load_subjects({"abdomen": count}, subjects_folder, seed=9)["abdomen"] for count in (2, 3))
    assert many[:2] == few


def test_subjects_are_painted_once(subjects_folder: Path, subjects: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects_module, "_paint", lambda job: pytest.fail("painted again"))
    assert load_subjects(FEW, subjects_folder, seed=5) == subjects


def test_a_slice_shows_the_patients_right_at_its_left_and_the_front_at_the_top(subjects: Pool) -> None:
    person = subjects["abdomen"][0]
    structures = np.stack([person.slice(index)[3] for index in range(person.count)])
    _, _, liver = np.nonzero(structures == STRUCTURES["liver"])
    _, _, spleen = np.nonzero(structures == STRUCTURES["spleen"])
    _, spine, _ = np.nonzero(structures == STRUCTURES["vertebrae"])
    assert liver.mean() < structures.shape[2] / 2 < spleen.mean()
    assert spine.mean() > (person.body.top + person.body.bottom) / 2


def test_every_labelled_pixel_lies_in_the_body(subjects: Pool) -> None:
    for person in subjects["abdomen"]:
        for index in range(person.count):
            tissue, _, _, structure = person.slice(index)
            assert (tissue[structure == 0] < Tissue.SKIN).all()
            rows, columns = np.nonzero(structure)
            assert person.body.top <= rows.min() and rows.max() < person.body.bottom
            assert person.body.left <= columns.min() and columns.max() < person.body.right
