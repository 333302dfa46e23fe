"""The study of refinement: what it measures, writes and remembers."""

import csv
import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from protoseg.engine.prediction import Prediction
from protoseg.workflows.refinement_study import study_refinement, study_table

LABELS = {"liver": 4, "spleen": 1}


def scan(name):
    """A scan of 3 slices with a liver (value 4) of 8 x 8 pixels and no spleen."""
    truth = torch.zeros(1, 16, 16, 3)
    truth[0, 4:12, 4:12] = 4
    affine = torch.diag(torch.tensor([2.0, 2.0, 5.0, 1.0]))
    meta = {"filename_or_obj": f"{name}.nii.gz"}
    return {
        "image": MetaTensor(truth + 1, affine=affine, meta=meta),
        "label": MetaTensor(truth, affine=affine, meta=meta),
    }


class CountedMethod:
    """Finds the liver moved by some pixels along x, and counts its calls."""

    def __init__(self, shift):
        self.shift, self.calls = shift, 0

    def __call__(self, volume):
        self.calls += 1
        liver = torch.roll(volume[0].as_tensor() == 5, self.shift, 0)
        return Prediction((4 * liver).permute(2, 1, 0).byte().numpy(), {})


@pytest.fixture
def methods():
    return {"coarse": CountedMethod(4), "+ graph cut": CountedMethod(0)}


def test_rows_hold_the_measures_of_every_method(methods, tmp_path):
    rows = study_refinement([scan("a"), scan("b")], methods, LABELS, tmp_path, made_with="x")
    assert [(row["scan"], row["method"], row["label"]) for row in rows[:4]] == [
        ("a", "coarse", "liver"),
        ("a", "coarse", "spleen"),
        ("a", "+ graph cut", "liver"),
        ("a", "+ graph cut", "spleen"),
    ]
    assert rows[0]["dice"] == 0.5
    assert rows[0]["hd95_mm"] == 8.0
    assert rows[0]["surface_dice_3mm"] < 0.8
    assert (rows[2]["dice"], rows[2]["surface_dice_3mm"], rows[2]["hd95_mm"]) == (1.0, 1.0, 0.0)
    assert math.isnan(rows[1]["dice"])  # no spleen, and none was found
    with (tmp_path / "refinement.csv").open() as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows) == 8
    assert written[2]["surface_dice_3mm"] == "1.0"
    assert (tmp_path / "refinement.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_goes_on_where_it_was_stopped(methods, tmp_path):
    first = study_refinement([scan("a")], methods, LABELS, tmp_path, made_with="x")
    calls = [method.calls for method in methods.values()]
    methods["+ TTT"] = CountedMethod(1)
    rows = study_refinement([scan("a")], methods, LABELS, tmp_path, made_with="x")
    np.testing.assert_equal(rows[:4], first)
    assert [method.calls for method in methods.values()] == [calls[0] + 1, calls[1], 1]  # once more, for the features
    assert rows[4]["method"] == "+ TTT"
    study_refinement([scan("a")], methods, LABELS, tmp_path, made_with="x")
    assert methods["+ TTT"].calls == 1


def test_what_other_weights_gave_is_not_used(methods, tmp_path):
    study_refinement([scan("a")], methods, LABELS, tmp_path, made_with="x")
    study_refinement([scan("a")], methods, LABELS, tmp_path, made_with="y")
    assert methods["+ graph cut"].calls == 2


def test_table_has_a_line_for_each_label(methods, tmp_path):
    rows = study_refinement([scan("a")], methods, LABELS, tmp_path, made_with="x")
    lines = study_table(rows).splitlines()
    assert lines[0].endswith("+ graph cut")
    assert lines[1].startswith("liver")
    assert lines[1].endswith("1.000 / 1.000 / 0.0")
    assert lines[2].split() == ["spleen", "-", "-"]
    assert lines[3].split()[:2] == ["mean", "0.500"]
    assert lines[4].startswith("seconds a scan")
